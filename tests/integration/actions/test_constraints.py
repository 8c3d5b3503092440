"""What the database itself refuses, whatever the code believes."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from actions.models import Action, ActionType, Attempt, Budget, ControlSwitch
from tests.integration.actions import fakes, make
from vigil.kernel import clock

HOLDING = ["leased", "executing", "accepted", "unknown", "needs_human"]


def force(action_id: int, **columns: object) -> None:
    with transaction.atomic():
        Action.objects.filter(pk=action_id).update(**columns)


def leased_columns(state: str) -> dict[str, object]:
    return {"state": state, "lease_owner": "w1" if state in ("leased", "executing") else None}


@pytest.mark.parametrize("state", HOLDING)
@pytest.mark.parametrize("other", HOLDING)
def test_one_effect_per_target(remote: fakes.Fake, state: str, other: str) -> None:
    first, second = make.by_hand(), make.by_hand()
    force(first.id, **leased_columns(state))
    with pytest.raises(IntegrityError):
        force(second.id, **leased_columns(other))


def test_two_targets_may_be_held(remote: fakes.Fake) -> None:
    force(make.by_hand().id, **leased_columns("leased"))
    force(make.by_hand(target="web-02").id, **leased_columns("leased"))
    assert Action.objects.filter(state="leased").count() == 2


def test_one_live_action_per_key(remote: fakes.Fake) -> None:
    first, second = make.by_hand(), make.by_hand(target="web-02")
    with pytest.raises(IntegrityError):
        force(second.id, dedup_key=first.dedup_key)
    force(first.id, state="cancelled", finished_at=clock.now())
    force(second.id, dedup_key=first.dedup_key)


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "leased"},
        {"lease_owner": "w1"},
        {"state": "succeeded"},
        {"finished_at": clock.now()},
        {"state": "somewhere"},
        {"verification": "perhaps"},
        {"target": ""},
        {"state_seq": 0},
        {"attempt_no": 4},
        {"deadline": clock.now() - timedelta(days=1)},
    ],
    ids=lambda columns: "-".join(columns),
)
def test_an_action_that_contradicts_itself_is_refused(remote: fakes.Fake, columns: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        force(make.by_hand().id, **columns)


def test_attempts_are_numbered_once(remote: fakes.Fake) -> None:
    action = make.by_hand()
    make.run(action.id)
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(action_id=action.id, number=1, token=9, worker="w9", intent_at=clock.now())


def test_an_outcome_has_a_time(remote: fakes.Fake) -> None:
    action = make.by_hand()
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(
            action_id=action.id, number=9, token=9, worker="w9", intent_at=clock.now(), outcome="failed"
        )


def test_there_is_one_switch(remote: fakes.Fake) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ControlSwitch.objects.create(pk=2, mode="active", at=clock.now())


@pytest.mark.parametrize("columns", [{"retry_safety": "maybe"}, {"risk": "none"}, {"max_seconds": 0}, {"name": ""}])
def test_a_type_that_nobody_understands_is_refused(remote: fakes.Fake, columns: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ActionType.objects.filter(name="custom").update(**columns)


@pytest.mark.parametrize("caps", [{"rate_count": 1}, {"rate_seconds": 1}, {"rate_count": 1, "rate_seconds": 0}])
def test_half_a_rate_is_refused(remote: fakes.Fake, caps: dict[str, int]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.create(scope="policy:x", **caps)
