"""What an action costs: little, and no more when its target has much behind it; no rule pays for it."""

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from actions import claims, line, steering, transitions
from actions.claims import Claimed, Intent, NotClaimed
from actions.models import NOT_OVER, Action
from actions.states import State
from tests.integration.actions import fakes, make
from tests.servers.stack import DATABASE
from vigil.audit import entries


@pytest.mark.django_db
@pytest.mark.skipif(DATABASE != "sqlite", reason="PostgreSQL chooses by size; an empty table says nothing")
def test_who_is_in_the_way_is_found_among_the_living() -> None:
    for rows in (Action.objects.filter(line.UNOBSTRUCTED, pk=1), Action.objects.filter(NOT_OVER, target="web-01")):
        assert "actions_live_on_target" in rows.explain()


def test_an_action_costs_so_many_statements_from_hint_to_result(remote: fakes.Fake) -> None:
    make.run(make.by_hand(target="warm-up").id)
    action = make.by_hand()
    with CaptureQueriesContext(connection) as seen:
        assert isinstance(make.run(action.id), Intent)
    steps = [query["sql"] for query in seen.captured_queries if "SAVEPOINT" not in query["sql"]]
    # One to read it; then six for the claim, four for the intent, one for the remediator's secret, four for the result.
    assert len(steps) <= 16, "\n".join(sql[:120] for sql in steps)
    assert make.story(action.id) == ["ready", "leased", "executing", "succeeded"]
    assert entries.broken_links(f"action:{action.id}") == []


def test_a_row_is_not_taken_for_known_where_the_database_works_a_column_out(remote: fakes.Fake) -> None:
    row = Action.objects.get(pk=make.by_hand().id)
    with pytest.raises(TypeError, match="read the action again"), transaction.atomic():
        transitions.step(
            action_id=row.pk,
            held=row,
            origin=State.READY,
            goal=State.CANCELLED,
            because=transitions.why(actor="test", reason=""),
            at=row.created_at,
            values={"hint_count": F("hint_count") + 1},
        )
    assert make.state(row.pk) == "ready"


def test_a_row_that_was_changed_meanwhile_is_not_claimed(remote: fakes.Fake) -> None:
    action = make.by_hand()
    seen = claims.read(action.id)
    steering.annotate(action_id=action.id, notes="look at me", actor="user:ana", at=action.created_at)
    assert isinstance(claims.claim(action_id=action.id, worker="w1", row=seen), NotClaimed)
    assert isinstance(claims.claim(action_id=action.id, worker="w1"), Claimed)
    assert entries.broken_links(f"action:{action.id}") == []


def test_a_note_between_two_steps_stays_in_the_chain(remote: fakes.Fake) -> None:
    action = make.by_hand()
    claimed = make.leased(action.id)
    steering.annotate(action_id=action.id, notes="look at me", actor="user:ana", at=action.created_at)
    assert isinstance(claims.intend(claimed), Intent)
    assert entries.broken_links(f"action:{action.id}") == []
