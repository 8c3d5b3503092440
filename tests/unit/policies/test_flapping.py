"""Flapping: when it begins, when it ends, what it silences, and that ordinary healing is none."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import explain, flapping, lifecycle
from policies.engine.lifecycle import Flap, IncidentState, Status, Step, Timings
from policies.engine.values import Outcome
from tests.unit.policies.builders import NOW, verdict

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
LETTERS = {"v": V, "h": H, "u": U}
AT_ONCE = Timings()


def live(story: str, timings: Timings = AT_ONCE, state: IncidentState | None = None) -> list[Step]:
    """One evaluation for each letter, every 15 s."""
    steps: list[Step] = []
    state = state or IncidentState()
    for place, letter in enumerate(story):
        at = NOW + timedelta(seconds=15 * place)
        steps.append(lifecycle.advance(state, verdict(LETTERS[letter]), at, timings))
        state = steps[-1].state
    return steps


def flaps(steps: Iterable[Step]) -> list[Flap]:
    return [step.flap for step in steps if step.flap is not None]


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        ("", 0),
        ("1" * 21, 0),
        ("1", 1.25 * 5),
        ("1" + "0" * 20, 0.75 * 5),
        ("1" * 20, 0.75 * 5),
        ("10" * 10 + "1", 100),
        ("10", 1.25 * 5 + (1.25 - 0.5 / 19) * 5),
    ],
)
def test_the_percentage_weighs_newer_changes_more(recent: str, expected: float) -> None:
    assert flapping.percent(recent) == pytest.approx(expected)


def test_only_21_results_are_remembered_and_calm_ones_not_written() -> None:
    recent = ""
    for is_open in [True, *([False] * 20)]:
        recent = flapping.remember(recent, is_open=is_open)
    assert recent == "1" + "0" * 20
    assert flapping.remember(recent, is_open=False) == ""


def test_going_up_and_down_every_time_is_flapping_until_it_is_calm() -> None:
    steps = live("vh" * 10 + "h" * 20)
    assert flaps(steps) == [Flap.BEGAN, Flap.ENDED]
    began = next(place for place, step in enumerate(steps) if step.flap is Flap.BEGAN)
    assert flapping.percent(steps[began].state.recent) >= 50 > flapping.percent(steps[began - 1].state.recent)
    ended = next(place for place, step in enumerate(steps) if step.flap is Flap.ENDED)
    assert flapping.percent(steps[ended].state.recent) < 25 <= flapping.percent(steps[ended - 1].state.recent)


def test_while_flapping_nothing_is_ordered_and_nothing_more_announced() -> None:
    steps = live("vh" * 10 + "v")
    began = next(place for place, step in enumerate(steps) if step.flap is Flap.BEGAN)
    assert steps[0].may_act
    assert all(not step.may_act for step in steps[began:])
    assert [step.announces for step in steps[began:]] == [True, *([False] * (len(steps) - began - 1))]
    assert [step.announces for step in steps[:began]] == [True] * began
    assert all(step.transition is not None for step in steps), "the incidents themselves are recorded all the same"


def test_the_end_is_announced_once_and_remedies_are_ordered_again() -> None:
    steps = live("vh" * 10 + "v" * 20)
    after = steps[next(place for place, step in enumerate(steps) if step.flap is Flap.ENDED) :]
    assert [step.announces for step in after] == [True, *([False] * (len(after) - 1))]
    assert all(step.may_act for step in after)


@pytest.mark.parametrize("story", ["v", "vvvhhh", "vvhhhvvhhhhh", "vhhhhvhhhhvhhhh", "vvvvvhhhhhvvvvvhhhhhvvvvvhhhhh"])
def test_remedies_that_work_and_relapse_are_no_flapping(story: str) -> None:
    assert flaps(live(story)) == []


def test_a_violation_that_never_lasts_is_no_flapping() -> None:
    """Nobody was told of it: it only ever pended."""
    steps = live("vh" * 20, Timings(hold_for=timedelta(minutes=2)))
    assert flaps(steps) == []
    assert not any(step.announces for step in steps)


def test_keep_open_for_is_what_calms_flapping() -> None:
    steps = live("vh" * 20, Timings(keep_open_for=timedelta(minutes=1)))
    assert flaps(steps) == []
    assert [step.transition for step in steps if step.transition] == [lifecycle.Transition.OPENED]


def test_evaluations_without_data_are_no_results() -> None:
    calm = live("vh" * 10)
    blind = live("vhuuuuuuuu" * 10)
    assert blind[-1].state.recent == calm[-1].state.recent


def test_data_that_comes_and_goes_flaps_where_it_closes_incidents() -> None:
    closing = Timings(on_no_data=lifecycle.OnNoData.RESOLVE)
    assert flaps(live("vu" * 10, closing)) == [Flap.BEGAN]


def test_a_failed_evaluation_is_no_result() -> None:
    state = live("vhv")[-1].state
    assert lifecycle.failed(state, "no such column").state == state


def test_over_100_it_never_begins() -> None:
    assert flaps(live("vh" * 30, Timings(flap_high=101))) == []


def test_what_to_remember_fades_after_21_calm_evaluations() -> None:
    steps = live("vh" + "h" * 20)
    assert [step.state.at_rest for step in steps] == [False] * 21 + [True]


def test_a_state_without_results_begins_calm() -> None:
    """A state stored before flapping was known has none."""
    stored = IncidentState(status=Status.OPEN, since=NOW, opened_at=NOW)
    assert live("h", state=stored)[0].flap is None


def test_the_sentence_says_it() -> None:
    steps = live("vh" * 10)
    began = next(step for step in steps if step.flap is Flap.BEGAN)
    assert explain.step(began, policy="high-cpu", target="web-01").endswith(
        "It is flapping now: nothing more is announced or ordered until it calms down."
    )
    assert lifecycle.flapping_reason(steps[-1].state, AT_ONCE) == (
        "It is flapping: 100 % change in 21 evaluations; nothing is ordered until it is under 25 %."
    )


@given(st.text("vhu", max_size=80), st.integers(5, 45), st.integers(50, 101))
def test_entries_and_exits_take_turns(story: str, low: int, high: int) -> None:
    timings = replace(AT_ONCE, flap_low=low, flap_high=high)
    steps = live(story, timings)
    assert flaps(steps) == [Flap.BEGAN, Flap.ENDED] * (len(flaps(steps)) // 2) + [Flap.BEGAN] * (len(flaps(steps)) % 2)
    assert all(0 <= flapping.percent(step.state.recent) <= 100.001 for step in steps)
    assert all(not step.may_act for step in steps if step.state.flapping)
