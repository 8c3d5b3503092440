"""A remedy of several steps, each with its own wait and proof, undone where it was asked for."""

from datetime import datetime, timedelta

import pytest

from actions import queries
from actions.models import Action, ActionType
from actions.queries import ActionView
from policies import authoring, remedies
from policies.documents import UnableToReadPolicy
from tests.integration.policies import cast

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
FREE = {"cooldown": "1s", "rate": {"count": 100, "per": "1m"}, "common_cause": {"percent": 100}}


def _actions() -> list[ActionView]:
    return queries.for_incident(cast.incident().pk)


def _end(action: ActionView, at: datetime) -> None:
    """Ended well at `at`, as its execution would leave it."""
    row = Action.objects.get(pk=action.id)
    cast.end_action(action.id, at=at, settle=row.settle or timedelta(0))
    if not row.verified:
        Action.objects.filter(pk=action.id).update(verify_after=None)


def test_each_step_is_ordered_with_its_own_settle_time(at: datetime) -> None:
    cast.policy(settle="20s", then=[{"action": "restart", "settle": "90s"}, {"action": "page"}], **FREE)
    cast.post(92, at=at)
    [first] = _actions()
    _end(first, at + SECOND)
    cast.post(93, at=at + 30 * SECOND)
    assert [one.kind for one in _actions()] == ["scale-up", "restart"]
    assert [Action.objects.get(pk=one.id).settle for one in _actions()] == [20 * SECOND, 90 * SECOND]


def test_a_page_is_told_and_not_judged_and_then_the_ladder_is_at_its_end(at: datetime) -> None:
    cast.policy(settle="0s", then=[{"action": "page", "params": {"message": "web is hot"}}], **FREE)
    cast.post(92, at=at)
    _end(_actions()[0], at + SECOND)
    cast.post(93, at=at + 2 * SECOND)
    _, page = _actions()
    assert (page.kind, page.verified) == ("page", False)
    assert ActionType.objects.get(name="page").remediator.kind == "log"
    _end(page, at + 3 * SECOND)
    assert remedies.verify_due(at=at + MINUTE) == 0
    cast.post(94, at=at + MINUTE)
    incident = cast.incident()
    assert incident.exhausted
    assert "page (step 2 of 2) was told" in incident.decisions.latest("id").reason


def test_what_did_not_help_is_undone_with_the_same_parameters_before_the_next_step(at: datetime) -> None:
    cast.policy(settle="0s", rollback=True, then=[{"action": "restart"}], **FREE)
    cast.post(92, at=at)
    _end(_actions()[0], at + SECOND)
    cast.post(93, at=at + 2 * SECOND)
    up, down = _actions()
    assert (down.kind, down.params, down.verified) == ("scale-down", up.params, False)
    assert down.dedup_key == f"{up.dedup_key}:rollback"
    assert down.reason.startswith("scale-up (step 1 of 2) did not help; scale-down undoes it: ")
    cast.post(94, at=at + 3 * SECOND)
    assert len(_actions()) == 2, "the next step waits for the undoing"
    _end(down, at + 4 * SECOND)
    cast.post(95, at=at + 5 * SECOND)
    assert [one.kind for one in _actions()] == ["scale-up", "scale-down", "restart"]
    assert queries.get(down.id).verification == ""


def test_it_is_exhausted_only_after_the_undoing(at: datetime) -> None:
    cast.policy(settle="0s", rollback=True, **FREE)
    cast.post(92, at=at)
    _end(_actions()[0], at + SECOND)
    cast.post(93, at=at + 2 * SECOND)
    assert not cast.incident().exhausted
    _end(_actions()[1], at + 3 * SECOND)
    cast.post(94, at=at + 4 * SECOND)
    assert cast.incident().exhausted


def test_a_step_that_helped_is_never_undone_and_the_ladder_stops(at: datetime) -> None:
    cast.policy(settle="0s", rollback=True, then=[{"action": "restart"}], **FREE)
    cast.post(92, at=at)
    _end(_actions()[0], at + SECOND)
    cast.post(40, at=at + 2 * SECOND)
    assert cast.incident().status == "resolved"
    assert [one.verification for one in _actions()] == ["effective"]


def test_the_gate_drops_a_step_when_it_healed_between_the_order_and_the_call(at: datetime) -> None:
    cast.policy(settle="0s", then=[{"action": "restart"}], **FREE)
    cast.post(92, at=at)
    _end(_actions()[0], at + SECOND)
    cast.post(93, at=at + 2 * SECOND)
    step = _actions()[1]
    cast.post(40, at=at + 3 * SECOND)
    answer = remedies.still_wanted(
        action_id=step.id, incident_id=step.incident_id, policy_name="high-cpu-alert", target="web-01",
        kind=step.kind, at=at + 4 * SECOND,
    )  # fmt: skip
    assert not answer.wanted


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"action": "restart", "params": {}, "rollback": True}, "rollback"),
        ({"then": [{"action": "snapshot", "rollback": True}]}, "then[0].rollback"),
        ({"stable_for": "2h"}, "stable_for"),
        ({"then": [{"action": "restart", "samples": 0}]}, "then[0].samples"),
        ({"demote": {"bad": 4, "of": 3}}, "demote.bad"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(change: dict[str, object], path: str, db: None) -> None:
    with pytest.raises(UnableToReadPolicy) as refused:
        cast.policy(**change)
    assert [one.path for one in refused.value.errors] == [path]


def test_what_undoes_a_step_must_take_its_parameters(db: None) -> None:
    ActionType.objects.filter(name="scale-up").update(rollback="restart")
    with pytest.raises(UnableToReadPolicy, match="`restart` undoes it, and cannot"):
        cast.policy(rollback=True)


def test_a_policy_says_again_what_was_written(db: None) -> None:
    written = {
        "settle": "20s", "stable_for": "1m", "samples": 3, "rollback": True, "demote": {"bad": 2, "of": 4},
        "then": [{"action": "scale-up", "params": {}, "after": "1m", "stable_for": "30s", "samples": 2,
                  "rollback": True}],
    }  # fmt: skip
    shown = authoring.written(cast.policy(**written))
    assert {field: shown[field] for field in written} == written


def test_it_takes_as_many_samples_as_were_asked_for(at: datetime) -> None:
    cast.policy(settle="0s", samples=3)
    cast.post(92, at=at)
    [action] = _actions()
    _end(action, at + SECOND)
    for number in (2, 3):
        cast.post(40, at=at + number * SECOND)
        assert queries.get(action.id).verification == ""
    cast.post(40, at=at + 4 * SECOND)
    assert queries.get(action.id).verification == "effective"


def test_it_must_stay_well_for_as_long_as_was_asked_for(at: datetime) -> None:
    cast.policy(settle="0s", stable_for="30s")
    cast.post(92, at=at)
    [action] = _actions()
    _end(action, at + SECOND)
    cast.post(40, at=at + 2 * SECOND)
    cast.post(41, at=at + 20 * SECOND)
    assert queries.get(action.id).verification == ""
    cast.post(42, at=at + 33 * SECOND)
    assert queries.get(action.id).verification == "effective"


def test_bad_again_before_it_was_stable_did_not_help(at: datetime) -> None:
    cast.policy(settle="0s", stable_for="30s")
    cast.post(92, at=at)
    [action] = _actions()
    _end(action, at + SECOND)
    cast.post(40, at=at + 2 * SECOND)
    cast.post(95, at=at + 20 * SECOND)
    assert queries.get(action.id).verification == "ineffective"


def test_too_few_samples_in_time_are_no_proof(at: datetime) -> None:
    cast.policy(settle="0s", samples=3)
    cast.post(92, at=at)
    [action] = _actions()
    _end(action, at + SECOND)
    cast.post(40, at=at + timedelta(minutes=4))
    assert remedies.verify_due(at=at + timedelta(minutes=6)) == 1
    judged = queries.get(action.id)
    assert judged.verification == "unverifiable"
