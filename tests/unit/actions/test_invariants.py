"""Each invariant, broken on purpose."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actions import invariants
from actions.invariants import Call, Life, Pause
from actions.states import State

NOW = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

CALL = Call(number=1, token=7, intent_at=NOW - MINUTE, first_byte_at=NOW - MINUTE)
DONE = Life(
    action_id=456,
    state=State.SUCCEEDED,
    state_seq=4,
    at_most_once=True,
    deadline=NOW + 10 * MINUTE,
    longest=5 * MINUTE,
    cancel_requested_at=None,
    steps=(
        (1, "", "ready"),
        (2, "ready", "leased"),
        (3, "leased", "executing"),
        (4, "executing", "succeeded"),
    ),
    calls=(CALL,),
)
WAITING = replace(DONE, state=State.READY, state_seq=1, steps=DONE.steps[:1], calls=())
AT_WORK = replace(DONE, state=State.EXECUTING, state_seq=3, steps=DONE.steps[:3])
PAUSED = Pause(began_at=NOW - 2 * MINUTE, ended_at=NOW)


def broken(life: Life, *, at: datetime = NOW, pauses: tuple[Pause, ...] = ()) -> list[str]:
    return [one.invariant for one in invariants.of_action(life, at=at, pauses=pauses)]


@pytest.mark.parametrize("life", [DONE, WAITING, AT_WORK], ids=["done", "waiting", "at work"])
def test_a_usual_life_breaks_none(life: Life) -> None:
    assert broken(life) == []


@pytest.mark.parametrize(
    ("life", "invariant"),
    [
        (replace(DONE, steps=DONE.steps[1:]), "I1"),
        (replace(DONE, state_seq=5), "I1"),
        (replace(DONE, state=State.FAILED), "I1"),
        (replace(WAITING, steps=((1, "", "executing"),), state=State.EXECUTING), "I1"),
        (replace(DONE, calls=()), "I4"),
        (replace(DONE, calls=(CALL, replace(CALL, number=2, token=8))), "I5"),
        (replace(DONE, deadline=NOW - 2 * MINUTE), "I6"),
        (replace(DONE, cancel_requested_at=NOW - 2 * MINUTE), "I6"),
    ],
    ids=[
        "an entry is missing",
        "an entry was never written",
        "the story ends elsewhere",
        "it began at work",
        "called without an intent",
        "sent twice",
        "sent after its deadline",
        "begun after it was cancelled",
    ],
)
def test_what_is_broken_is_found(life: Life, invariant: str) -> None:
    assert invariant in broken(life)


def test_what_may_be_repeated_may_leave_twice() -> None:
    again = (CALL, replace(CALL, number=2, token=8))
    assert "I5" not in broken(replace(DONE, at_most_once=False, calls=again))


def test_nothing_leaves_while_vigil_is_paused() -> None:
    assert broken(DONE, pauses=(PAUSED,)) == ["I6"]


def test_the_switch_has_five_seconds() -> None:
    just_before = Pause(began_at=CALL.intent_at - timedelta(seconds=4), ended_at=None)
    assert broken(DONE, pauses=(just_before,)) == []


@pytest.mark.parametrize(
    ("life", "after", "expected"),
    [
        (WAITING, 10.5, []),
        (WAITING, 11.5, ["I7"]),
        (AT_WORK, 4.5, []),
        (AT_WORK, 5.5, ["I10"]),
        (DONE, 60, []),
    ],
    ids=["waits for the dispatcher", "waits for ever", "takes its time", "holds for ever", "is over"],
)
def test_everything_ends(life: Life, after: float, expected: list[str]) -> None:
    assert broken(life, at=NOW + after * MINUTE) == expected


def test_a_person_may_take_all_the_time() -> None:
    steps = (*AT_WORK.steps, (4, "executing", "needs_human"))
    asked = replace(AT_WORK, state=State.NEEDS_HUMAN, state_seq=4, steps=steps)
    assert broken(asked, at=NOW + 600 * MINUTE) == []


@pytest.mark.parametrize(("tokens", "count"), [([1, 2, 5], 0), ([1, 1], 1), ([3, 2, 1], 2)])
def test_the_fence_of_a_target_only_rises(tokens: list[int], count: int) -> None:
    calls = [replace(CALL, token=token) for token in tokens]
    assert len(list(invariants.of_target("web-01", calls))) == count
