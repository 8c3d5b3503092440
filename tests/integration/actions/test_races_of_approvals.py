"""Several people say their word about one action at once, and claims of one fleet meet."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actions import approvals, reaper
from actions.approvals import NotYourWord, UnableToApprove
from actions.claims import claim
from actions.consent import Asks, Voice
from actions.guards import Fleet, GateAnswer, Shares
from actions.models import ActionType, Approval, Budget
from actions.queries import ActionView
from tests.integration.actions import fakes, make
from tests.integration.actions.test_races import at_once, errors
from vigil.kernel import clock

ANA, BO, CY = (Voice(actor=f"user:{name}", approves=True) for name in ("ana", "bo", "cy"))
ROUNDS = 5
WIDE = Shares(at_once=100, repaired=100, min_healthy=0)
"""Of a fleet whose shares keep nobody from ordering."""


@pytest.fixture(autouse=True)
def _wanted(stage: tuple[fakes.Fake, fakes.Gate]) -> None:
    """Everything is still wanted, within the limits it was ordered under."""
    stage[1].answer = GateAnswer(wanted=True, reason="still so", limits=make.FREE)


def _says(judge: Callable[..., ActionView], action_id: int, voice: Voice) -> Callable[[], ActionView]:
    return partial(judge, action_id=action_id, voice=voice, reason="", at=clock.now())


def _waiting(number: int) -> int:
    return make.ordered(key=f"k{number}", target=f"web-{number}", asks=Asks.APPROVER).id


def _words(action_id: int) -> list[tuple[str, str]]:
    return sorted(Approval.objects.filter(action_id=action_id).values_list("by", "verdict"))


def test_of_two_approvers_where_one_is_asked_one_counts(committed_remote: fakes.Fake) -> None:
    for number in range(ROUNDS):
        action_id = _waiting(number)
        results = at_once(*(_says(approvals.approve, action_id, voice) for voice in (BO, CY)))
        assert [type(error) for error in errors(results)] == [UnableToApprove]
        assert len(_words(action_id)) == 1
        assert make.story(action_id) == ["awaiting_approval", "ready"]


def test_two_approvers_where_two_are_asked_both_count_and_release_it_once(committed_remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    for number in range(ROUNDS):
        action_id = _waiting(number)
        assert errors(at_once(*(_says(approvals.approve, action_id, voice) for voice in (BO, CY)))) == []
        assert _words(action_id) == [("user:bo", "approved"), ("user:cy", "approved")]
        assert make.story(action_id).count("ready") == 1


def test_one_person_who_clicks_twice_at_once_is_one_person(committed_remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    for number in range(ROUNDS):
        action_id = _waiting(number)
        assert errors(at_once(*[_says(approvals.approve, action_id, BO)] * 3)) == []
        assert _words(action_id) == [("user:bo", "approved")]
        assert make.state(action_id) == "awaiting_approval"


def test_a_yes_and_a_no_at_once_leave_one_answer(committed_remote: fakes.Fake) -> None:
    for number in range(ROUNDS):
        action_id = _waiting(number)
        jobs = [_says(approvals.approve, action_id, BO), _says(approvals.reject, action_id, CY)]
        assert [type(error) for error in errors(at_once(*jobs))] == [UnableToApprove]
        word = {"ready": ("user:bo", "approved"), "rejected": ("user:cy", "rejected")}
        assert _words(action_id) == [word[make.state(action_id)]]


def test_whoever_ordered_it_does_not_count_in_a_race_either(committed_remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_PROTECTED_TARGETS = ["web-*"]
    for number in range(ROUNDS):
        action_id = make.by_hand(target=f"web-{number}").id
        [refused] = errors(at_once(*(_says(approvals.approve, action_id, voice) for voice in (ANA, BO))))
        assert isinstance(refused, NotYourWord | UnableToApprove)  # the latter when Bo was faster
        assert (_words(action_id), make.state(action_id)) == ([("user:bo", "approved")], "ready")


def test_a_word_that_comes_as_it_expires_comes_too_late(committed_remote: fakes.Fake) -> None:
    for number in range(ROUNDS):
        action_id = _waiting(number)
        make.word_overdue(action_id)
        jobs: list[Callable[[], object]] = [
            _says(approvals.approve, action_id, BO),
            partial(reaper.put_right, at=clock.now()),
        ]
        assert [type(error) for error in errors(at_once(*jobs))] == [UnableToApprove]
        assert (_words(action_id), make.state(action_id)) == ([], "expired")


def test_the_cap_of_a_fleet_holds_among_racing_claims(committed_remote: fakes.Fake) -> None:
    members = frozenset(f"web-{number}" for number in range(6))
    fleet = Fleet(name="web-*", members=members, unhealthy=frozenset(), shares=WIDE)
    ids = [make.ordered(key=f"k{number}", target=f"web-{number}", fleet=fleet).id for number in range(4)]
    Budget.objects.filter(scope="fleet:web-*").update(concurrency_max=2)  # narrowed after they were ordered
    results = at_once(*(partial(claim, action_id=action_id, worker=f"w{action_id}") for action_id in ids))
    assert errors(results) == []
    assert sorted(type(result).__name__ for result in results) == ["Claimed"] * 2 + ["NotClaimed"] * 2
