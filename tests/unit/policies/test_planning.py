"""Which step of a remedy comes next."""

from datetime import datetime, timedelta

import pytest

from policies.engine import planning
from policies.engine.planning import Effect, GiveUp, LadderStep, Take, Tried, Wait
from tests.unit.policies.builders import NOW, ago

ONE = (LadderStep(action="restart"),)
THREE = (
    LadderStep(action="restart", wait=timedelta(seconds=60)),
    LadderStep(action="scale-up"),
    LadderStep(action="page"),
)
STILL = [Effect.RUNNING, Effect.UNVERIFIED, Effect.EFFECTIVE]
SPENT = [Effect.INEFFECTIVE, Effect.RELAPSED, Effect.UNVERIFIABLE, Effect.FAILED, Effect.CANCELLED]


def tried(step: int, effect: Effect, ended_at: datetime | None = None) -> Tried:
    return Tried(step=step, effect=effect, ended_at=ended_at)


def test_the_first_step_is_taken_at_once() -> None:
    assert planning.next_step(ONE, (), at=NOW) == Take(step=0, what=ONE[0], reason="taking restart")


@pytest.mark.parametrize("effect", STILL)
def test_a_step_that_may_still_help_is_waited_for(effect: Effect) -> None:
    answer = planning.next_step(THREE, [tried(0, effect)], at=NOW)
    assert isinstance(answer, Wait)
    assert answer.until is None
    assert answer.reason.startswith("restart (step 1 of 3) ")


@pytest.mark.parametrize("effect", SPENT)
def test_one_action_per_incident_when_there_is_one_step(effect: Effect) -> None:
    answer = planning.next_step(ONE, [tried(0, effect, ago(600))], at=NOW)
    assert isinstance(answer, GiveUp)
    assert answer.reason.endswith(", and it was the only step")


@pytest.mark.parametrize("effect", SPENT)
def test_a_spent_step_leads_to_the_next(effect: Effect) -> None:
    answer = planning.next_step(THREE, [tried(0, effect, ago(60))], at=NOW)
    assert isinstance(answer, Take)
    assert (answer.step, answer.what.action) == (1, "scale-up")


def test_the_next_step_comes_only_after_the_wait() -> None:
    answer = planning.next_step(THREE, [tried(0, Effect.FAILED, ago(20))], at=NOW)
    assert answer == Wait(
        until=NOW + timedelta(seconds=40),
        reason="restart (step 1 of 3) failed; scale-up (step 2 of 3) comes in 40s",
    )


def test_after_the_last_step_it_gives_up_loudly() -> None:
    spent = [tried(step, Effect.INEFFECTIVE, ago(90)) for step in (2, 0, 1)]
    assert planning.next_step(THREE, spent, at=NOW) == GiveUp(
        reason="page (step 3 of 3) did not help, and it was the last of 3 steps"
    )


def test_an_earlier_step_that_still_runs_holds_the_later_ones() -> None:
    both = [tried(0, Effect.RUNNING), tried(1, Effect.FAILED, ago(5))]
    assert planning.next_step(THREE, both, at=NOW) == Wait(reason="restart (step 1 of 3) is not finished yet")


def test_a_policy_without_an_action_gives_up() -> None:
    assert planning.next_step((), (), at=NOW) == GiveUp(reason="the policy has no action")


def test_a_ladder_shortened_by_an_edit_is_exhausted() -> None:
    answer = planning.next_step(ONE, [tried(2, Effect.FAILED, ago(5))], at=NOW)
    assert isinstance(answer, GiveUp)


UNDONE = (LadderStep(action="scale-up", params={"replicas": 4}, undone_by="scale-down"), LadderStep(action="page"))


def undone(effect: Effect, ended_at: datetime | None = None) -> Tried:
    return Tried(step=0, effect=effect, ended_at=ended_at, undoing=True)


def test_a_step_that_did_not_help_is_undone_before_the_next() -> None:
    answer = planning.next_step(UNDONE, [tried(0, Effect.INEFFECTIVE, ago(60))], at=NOW)
    assert isinstance(answer, Take)
    assert (answer.step, answer.undoing) == (0, True)
    assert (answer.what.action, answer.what.params) == ("scale-down", {"replicas": 4})
    assert answer.reason == "scale-up (step 1 of 2) did not help; scale-down undoes it"


@pytest.mark.parametrize("effect", [one for one in SPENT if one is not Effect.INEFFECTIVE])
def test_only_what_is_known_not_to_have_helped_is_undone(effect: Effect) -> None:
    answer = planning.next_step(UNDONE, [tried(0, effect, ago(60))], at=NOW)
    assert isinstance(answer, Take)
    assert (answer.step, answer.undoing) == (1, False)


def test_an_undoing_under_way_is_waited_for() -> None:
    both = [tried(0, Effect.INEFFECTIVE, ago(60)), undone(Effect.RUNNING)]
    assert planning.next_step(UNDONE, both, at=NOW) == Wait(
        reason="the undoing of scale-up (step 1 of 2) is not finished yet"
    )


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        (Effect.DONE, "was undone"),
        (Effect.FAILED, "could not be undone"),
        (Effect.CANCELLED, "could not be undone"),
    ],
)
def test_after_the_undoing_the_next_step_comes_however_it_ended(effect: Effect, said: str) -> None:
    both = [undone(effect, ago(5)), tried(0, Effect.INEFFECTIVE, ago(60))]
    answer = planning.next_step(UNDONE, both, at=NOW)
    assert isinstance(answer, Take)
    assert (answer.step, answer.undoing) == (1, False)
    assert f"did not help and {said}; taking page" in answer.reason


def test_the_last_step_is_undone_before_it_gives_up() -> None:
    spent = [tried(0, Effect.INEFFECTIVE, ago(60))]
    assert isinstance(planning.next_step(UNDONE[:1], spent, at=NOW), Take)
    answer = planning.next_step(UNDONE[:1], [*spent, undone(Effect.DONE, ago(5))], at=NOW)
    assert answer == GiveUp(reason="scale-up did not help and was undone, and it was the only step")


def test_a_page_is_told_and_never_waited_for() -> None:
    spent = [tried(0, Effect.FAILED, ago(60)), tried(1, Effect.DONE, ago(5))]
    assert planning.next_step(UNDONE, spent, at=NOW) == GiveUp(
        reason="page (step 2 of 2) was told, and it was the last of 2 steps"
    )
