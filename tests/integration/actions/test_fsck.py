"""`manage.py fsck` on a database that is well, and on ones that were tampered with."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from actions import control, steering
from actions.models import Action, Attempt
from tests.integration.actions import fakes, make
from vigil.kernel import clock

pytestmark = pytest.mark.django_db


def fsck() -> dict[str, list[str]]:
    """By invariant, what is said of it."""
    out = StringIO()
    found: dict[str, list[str]] = {}
    try:
        call_command("fsck", "--json", stdout=out)
        code = 0
    except SystemExit as stop:
        code = int(str(stop.code))
    told = json.loads(out.getvalue())
    for one in told["broken"]:
        found.setdefault(one["invariant"], []).append(f"{one['subject']}: {one['says']}")
    assert told["holds"] is (code == 0) is (not found)
    return found


def test_a_life_as_it_should_be_breaks_nothing(remote: fakes.Fake) -> None:
    action_id = make.ordered().id
    make.run(action_id)
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now())
    steering.cancel(
        action_id=make.ordered(target="web-02", key="another").id, actor="user:ana", reason="", at=clock.now()
    )
    assert fsck() == {}


def test_a_state_that_nobody_told_of_is_found(remote: fakes.Fake) -> None:
    action_id = make.ordered().id
    Action.objects.filter(pk=action_id).update(state="needs_human")
    assert fsck() == {"I1": [f"action:{action_id}: its story ends in ready, and it is needs_human"]}


def test_an_effect_that_was_sent_twice_is_found(remote: fakes.Fake) -> None:
    action_id = make.ordered(kind="restart").id
    make.run(action_id)
    first = Attempt.objects.get()
    Attempt.objects.create(
        action_id=action_id,
        number=2,
        token=first.token,
        worker="w",
        intent_at=first.intent_at,
        first_byte_at=first.intent_at,
    )
    Attempt.objects.filter(pk=first.pk).update(first_byte_at=first.intent_at)
    assert fsck().keys() == {"I3", "I4", "I5"}


def test_an_edited_history_is_found(remote: fakes.Fake) -> None:
    make.ordered()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET actor = 'user:eve' WHERE subject LIKE 'action:%'")
    assert list(fsck()) == ["I9"]


def test_it_says_what_it_looked_at() -> None:
    out = StringIO()
    call_command("fsck", stdout=out)
    assert [line.split()[:2] for line in out.getvalue().splitlines()][-1] == ["holds", "I10"]
    assert "BROKEN" not in out.getvalue()
