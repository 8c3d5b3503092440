"""Flapping: when it begins, when it ends, what it silences, and that ordinary healing is none."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import explain, flapping, lifecycle
from policies.engine.flapping import NOTHING, History, Limits
from policies.engine.lifecycle import Flap, IncidentState, Status, Step, Timings
from policies.engine.values import Outcome
from tests.unit.policies.builders import NOW, verdict

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
LETTERS = {"v": V, "h": H, "u": U}
AT_ONCE = Timings()


def live(
    story: str, timings: Timings = AT_ONCE, state: IncidentState | None = None, *, every: float = 15, since: float = 0
) -> list[Step]:
    """One evaluation for each letter, every 15 s."""
    steps: list[Step] = []
    state = state or IncidentState()
    for place, letter in enumerate(story):
        at = NOW + timedelta(seconds=since + every * place)
        steps.append(lifecycle.advance(state, verdict(LETTERS[letter]), at, timings))
        state = steps[-1].state
    return steps


def flaps(steps: Iterable[Step]) -> list[Flap]:
    return [step.flap for step in steps if step.flap is not None]


def percent(step: Step) -> float:
    return flapping.percent(step.state.history.results)


NEWEST, NEXT = 1.25 * 5, (1.25 - 0.5 / 19) * 5


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("", 0),
        ("01", NEWEST),
        ("10", NEWEST),
        ("01" + "1" * 19, 0.75 * 5),
        ("010", NEWEST + NEXT),
        ("0" + "10" * 10, 100),
        ("10" * 10 + "1", 100),
    ],
)
def test_the_percentage_weighs_newer_changes_more(results: str, expected: float) -> None:
    assert flapping.percent(results) == pytest.approx(expected)


def test_a_change_every_time_is_exactly_100_percent() -> None:
    assert flapping.percent("0" + "10" * 10) == 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """Results as (seconds, open?), None for an evaluation without one, and what is remembered after them."""

    case: str
    told: tuple[tuple[float, bool | None], ...]
    remembered: str
    last: float | None = None


TABLE = [
    Row(case="calm from the beginning is not remembered", told=((0, False), (15, False)), remembered=""),
    Row(case="the first opening is a change", told=((0, True),), remembered="01", last=0),
    Row(case="an unchanged result counts once an interval", told=((0, True), (15, True)), remembered="011", last=15),
    Row(case="and no more often", told=((0, True), (1, True), (2, True), (14.9, True)), remembered="01", last=0),
    Row(case="a change counts at once", told=((0, True), (1, False), (2, True)), remembered="0101", last=2),
    Row(
        case="a change within an interval is its last word",
        told=((0, True), (1, False), (14, False), (15, False)),
        remembered="0100",
        last=15,
    ),
    Row(case="intervals nobody judged in count nothing", told=((0, True), (600, True)), remembered="011", last=600),
    Row(case="without data there is no result", told=((0, True), (15, None), (30, None)), remembered="01", last=0),
    Row(case="what is old is forgotten", told=((0, True), (21 * 60 + 1, None)), remembered=""),
    Row(case="and not before", told=((0, True), (21 * 60, None)), remembered="01", last=0),
    Row(
        case="a change after that is the first one",
        told=((0, True), (15, False), (3600, True)),
        remembered="01",
        last=3600,
    ),
    Row(
        case="a clock set back is not waited for",
        told=((0, True), (-3600, True), (-3585, True)),
        remembered="0111",
        last=-3585,
    ),
    Row(
        case="a clock that is a little behind another counts nothing twice",
        told=((15, True), (14.9, True), (15.1, True)),
        remembered="01",
        last=15,
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.case)
def test_what_becomes_a_result(row: Row) -> None:
    history, was_open = NOTHING, False
    for seconds, is_open in row.told:
        at = NOW + timedelta(seconds=seconds)
        history = flapping.after(history, was_open=was_open, is_open=is_open, at=at, limits=Limits())
        was_open = was_open if is_open is None else is_open
    last_at = None if row.last is None else NOW + timedelta(seconds=row.last)
    assert (history.results, history.last_at) == (row.remembered, last_at)


@pytest.mark.parametrize("ends_open", [True, False], ids=["open", "calm"])
def test_only_21_results_are_remembered_and_nothing_without_a_change_among_them(ends_open: bool) -> None:
    history = History(results="01" if ends_open else "10", last_at=NOW)
    sizes = []
    for place in range(1, 21):
        at = NOW + timedelta(seconds=15 * place)
        history = flapping.after(history, was_open=ends_open, is_open=ends_open, at=at, limits=Limits())
        sizes.append(len(history.results))
    assert sizes == [*range(3, 22), 0]
    assert history == NOTHING


def test_going_up_and_down_every_time_is_flapping_until_it_is_calm() -> None:
    steps = live("vh" * 10 + "h" * 20)
    assert flaps(steps) == [Flap.BEGAN, Flap.ENDED]
    began = next(place for place, step in enumerate(steps) if step.flap is Flap.BEGAN)
    assert percent(steps[began]) >= 50 > percent(steps[began - 1])
    ended = next(place for place, step in enumerate(steps) if step.flap is Flap.ENDED)
    assert percent(steps[ended]) < 25 <= percent(steps[ended - 1])


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
    assert blind[-1].state.history.results == calm[-1].state.history.results


def test_where_no_data_counts_as_violated_it_is_a_result() -> None:
    assert live("vuu", Timings(on_no_data=lifecycle.OnNoData.OPEN))[-1].state.history.results == "0111"


@pytest.mark.parametrize("readings", [1, 5, 75], ids=["one an interval", "every 3 s", "five a second"])
def test_how_often_readings_come_makes_no_difference(readings: int) -> None:
    """Half a minute bad and half a minute well, for ten minutes."""
    steps = live(("v" * 2 * readings + "h" * 2 * readings) * 10, every=15 / readings)
    assert steps[-1].state.history.results == "0" + "1100" * 5
    assert flaps(steps) == [Flap.BEGAN]


def test_up_and_down_between_two_sweeps_is_not_missed() -> None:
    """Bad for a second in every quarter of a minute: each sweep would find it well."""
    steps: list[Step] = []
    for place in range(12):
        steps += live("vh", state=steps[-1].state if steps else None, every=1, since=15 * place)
    assert Flap.BEGAN in flaps(steps)


def test_without_any_result_for_long_the_end_is_announced() -> None:
    state = live("vh" * 10)[-1].state
    [step] = live("u", state=state, since=10 * 30 + 3600)
    assert (step.flap, step.state.history) == (Flap.ENDED, NOTHING)


def test_data_that_comes_and_goes_flaps_where_it_closes_incidents() -> None:
    closing = Timings(on_no_data=lifecycle.OnNoData.RESOLVE)
    assert flaps(live("vu" * 10, closing)) == [Flap.BEGAN]


def test_a_failed_evaluation_is_no_result() -> None:
    state = live("vhv")[-1].state
    assert lifecycle.failed(state, "no such column").state == state


def test_over_100_it_never_begins() -> None:
    assert flaps(live("vh" * 30, Timings(flap=Limits(high=101)))) == []


def test_what_to_remember_fades_after_21_calm_evaluations() -> None:
    steps = live("vh" + "h" * 20)
    assert [step.state.at_rest for step in steps] == [False] * 21 + [True]


def test_an_incident_that_stays_open_is_nothing_to_remember_either() -> None:
    steps = live("v" * 30 + "h")
    assert [step.state.history == NOTHING for step in steps] == [False] * 20 + [True] * 10 + [False]
    assert steps[-1].state.history.results == "10", "its closing is a change all the same"


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
    assert flapping.reason(began.state.history) == (
        "It flaps since 12:02:00: it opens and closes all the time, so nothing is ordered until it has calmed down."
    )
    assert flapping.reason(steps[-1].state.history) == flapping.reason(began.state.history)
    assert flapping.numbers(steps[-1].state.history, Limits()) == {
        "change_percent": 100.0,
        "high_percent": 50,
        "low_percent": 25,
        "results": "0" + "10" * 10,
    }


tellings = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([True, False, None])), max_size=80)


@given(tellings, st.integers(5, 45), st.integers(50, 101))
def test_whatever_is_told_the_memory_is_bounded_and_agrees_with_itself(
    told: list[tuple[int, bool | None]], low: int, high: int
) -> None:
    history, seconds, limits = NOTHING, 0, Limits(high=high, low=low)
    was_open = False
    for passed, is_open in told:
        seconds += passed
        at = NOW + timedelta(seconds=seconds)
        before = history
        history = flapping.after(before, was_open=was_open, is_open=is_open, at=at, limits=limits)
        was_open = was_open if is_open is None else is_open
        assert len(history.results) <= flapping.REMEMBERED
        assert (history.results == "") is (history == NOTHING)
        assert history == NOTHING or (history.results[0] != history.results[1] and history.last_at is not None)
        assert history == NOTHING or history.results[-1] == str(int(was_open))
        assert 0 <= flapping.percent(history.results) <= 100
        assert not history.flapping or flapping.percent(history.results) >= low
        assert history.flapping or flapping.percent(history.results) < high
        assert flapping.after(history, was_open=was_open, is_open=is_open, at=at, limits=limits) == history, "once"


@given(st.text("vhu", max_size=80), st.integers(5, 45), st.integers(50, 101))
def test_entries_and_exits_take_turns(story: str, low: int, high: int) -> None:
    timings = replace(AT_ONCE, flap=Limits(low=low, high=high))
    steps = live(story, timings)
    assert flaps(steps) == [Flap.BEGAN, Flap.ENDED] * (len(flaps(steps)) // 2) + [Flap.BEGAN] * (len(flaps(steps)) % 2)
    assert all(not step.may_act for step in steps if step.state.flapping)
