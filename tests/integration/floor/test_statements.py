"""Statements that are put together once say and do what Django's own would."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from actions.models import Action, Attempt
from tests.integration.actions import make
from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.kernel import statements
from vigil.kernel.statements import Given, Select

pytestmark = pytest.mark.django_db

AT = datetime(2026, 1, 19, 12, 0, 0, 123456, tzinfo=UTC)
ANY = Q()
ON_TARGET = Select(
    lambda: (
        Action.objects.filter(target=Given("target", Action._meta.get_field("target")))
        .select_related("action_type__remediator")
        .defer("action_type__remediator__secret")
        .annotate(one_more=F("attempt_no") + 1)
        .order_by("id")
    )
)


def test_rows_are_those_of_a_queryset() -> None:
    first, second = make.by_hand(target="web-01").id, make.by_hand(target="web-01").id
    other = make.by_hand(target="web-02").id
    for target, expected in (("web-01", [first, second]), ("web-02", [other]), ("web-03", [])):
        found = ON_TARGET(target=target)
        assert [row.pk for row in found] == expected
        for row in found:
            known = Action.objects.get(pk=row.pk)
            columns = [field.attname for field in Action._meta.concrete_fields]
            assert {name: getattr(row, name) for name in columns} == {name: getattr(known, name) for name in columns}
            assert row.one_more == known.attempt_no + 1  # type: ignore[attr-defined]


def test_what_was_selected_along_needs_no_second_statement() -> None:
    make.by_hand(target="web-01")
    row = ON_TARGET.one(target="web-01")
    assert row is not None
    with CaptureQueriesContext(connection) as seen:
        assert row.action_type.remediator.kind
        assert len(seen) == 0
        assert row.action_type.remediator.secret == ""  # it was deferred
        assert len(seen) == 1


def test_nothing_is_taken_for_part_of_the_text() -> None:
    target = "web-01'); DROP TABLE actions_action; -- %s"
    action = make.by_hand(target="web-01").id
    Action.objects.filter(pk=action).update(target=target)
    assert [row.pk for row in ON_TARGET(target=target)] == [action]


def test_an_update_changes_what_is_equal_and_nothing_else() -> None:
    first, second = make.by_hand(target="web-01").id, make.by_hand(target="web-02").id
    values = {"notes": "100 % ok", "params": {"a": [1, "%s"]}, "attempt_no": F("attempt_no") + 1, "started_at": Now()}
    changed = [statements.update(Action, where=ANY, equal={"id": pk}, values=values) for pk in (first, first, 0)]
    assert changed == [1, 1, 0]
    row = Action.objects.get(pk=first)
    assert (row.notes, row.params, row.attempt_no) == ("100 % ok", {"a": [1, "%s"]}, 2)
    assert row.started_at is not None
    assert Action.objects.get(pk=second).attempt_no == 0


def test_a_condition_of_its_own_gives_a_statement_of_its_own() -> None:
    action = make.by_hand().id
    for where, changed in ((Q(state="ready"), 1), (Q(state="leased"), 0), (Q(state="ready"), 1)):
        assert statements.update(Action, where=where, equal={"id": action}, values={"notes": "x"}) == changed


def test_an_inserted_row_has_its_key_and_comes_back_as_it_was() -> None:
    attempt = Attempt(action_id=make.by_hand().id, number=1, token=7, worker="w", intent_at=AT, details={"a": None})
    statements.insert(attempt)
    known = Attempt.objects.get(pk=attempt.pk)
    columns = [field.attname for field in Attempt._meta.concrete_fields]
    assert [getattr(known, name) for name in columns] == [getattr(attempt, name) for name in columns]


def test_an_entry_written_so_is_as_unchangeable_as_any() -> None:
    entry = entries.write(kind="test", subject="test:1", actor="test", reason="it's")
    assert entries.broken_links("test:1") == []
    with pytest.raises(Exception, match="never changed"):
        entry.save()
    assert Entry.objects.get(pk=entry.pk).reason == "it's"
