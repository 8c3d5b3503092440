"""The incident lifecycle as a table: a story of evaluations, and the status and transition after each."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import lifecycle
from policies.engine.flapping import History
from policies.engine.lifecycle import IncidentState, OnNoData, Status, Step, Timings, Transition
from policies.engine.values import Outcome
from tests.unit.policies.builders import NOW, verdict

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
NONE, PENDING, OPEN = Status.NONE, Status.PENDING, Status.OPEN
PENDED, OPENED, FORGOTTEN = Transition.PENDED, Transition.OPENED, Transition.FORGOTTEN
RESOLVED, UNVERIFIED = Transition.RESOLVED, Transition.RESOLVED_UNVERIFIED

AT_ONCE = Timings()
HOLD = Timings(hold_for=timedelta(seconds=60))
KEEP_OPEN = Timings(keep_open_for=timedelta(seconds=60))


def no_data(answer: OnNoData, base: Timings = AT_ONCE) -> Timings:
    return replace(base, on_no_data=answer)


def advance(state: IncidentState, outcome: Outcome, seconds: float, timings: Timings) -> Step:
    return lifecycle.advance(state, verdict(outcome), NOW + timedelta(seconds=seconds), timings)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Each beat: seconds from the start, the verdict, the status after it, and what happened."""

    rule: str
    timings: Timings
    story: tuple[tuple[float, Outcome, Status, Transition | None], ...]


ROWS = [
    Row(rule="1 opens at once without for", timings=AT_ONCE, story=((0, V, OPEN, OPENED),)),
    Row(rule="1 pends with for", timings=HOLD, story=((0, V, PENDING, PENDED),)),
    Row(rule="1 healthy without an incident is nothing", timings=AT_ONCE, story=((0, H, NONE, None),)),
    Row(
        rule="2 opens at the evaluation that completes for",
        timings=HOLD,
        story=(
            (0, V, PENDING, PENDED),
            (30, V, PENDING, None),
            (59, V, PENDING, None),
            (60, V, OPEN, OPENED),
            (75, V, OPEN, None),
        ),
    ),
    Row(
        rule="3 a short violation is forgotten",
        timings=HOLD,
        story=((0, V, PENDING, PENDED), (30, H, NONE, FORGOTTEN), (45, H, NONE, None)),
    ),
    Row(
        rule="3 for starts anew after a healthy moment",
        timings=HOLD,
        story=(
            (0, V, PENDING, PENDED),
            (30, H, NONE, FORGOTTEN),
            (45, V, PENDING, PENDED),
            (75, V, PENDING, None),
            (105, V, OPEN, OPENED),
        ),
    ),
    Row(rule="4 resolves when healthy", timings=AT_ONCE, story=((0, V, OPEN, OPENED), (15, H, NONE, RESOLVED))),
    Row(
        rule="4 stays open inside keep_open_for",
        timings=KEEP_OPEN,
        story=(
            (0, V, OPEN, OPENED),
            (15, H, OPEN, None),
            (45, H, OPEN, None),
            (74, H, OPEN, None),
            (75, H, NONE, RESOLVED),
        ),
    ),
    Row(
        rule="4 a violation inside keep_open_for starts it anew",
        timings=KEEP_OPEN,
        story=(
            (0, V, OPEN, OPENED),
            (15, H, OPEN, None),
            (45, V, OPEN, None),
            (60, H, OPEN, None),
            (90, H, OPEN, None),
            (120, H, NONE, RESOLVED),
        ),
    ),
    Row(
        rule="5 violated after resolved is a new incident",
        timings=AT_ONCE,
        story=((0, V, OPEN, OPENED), (15, H, NONE, RESOLVED), (30, V, OPEN, OPENED)),
    ),
    Row(rule="6 unknown without an incident is nothing", timings=AT_ONCE, story=((0, U, NONE, None),)),
    Row(
        rule="6 keep leaves an open incident open",
        timings=AT_ONCE,
        story=((0, V, OPEN, OPENED), (15, U, OPEN, None), (30, U, OPEN, None), (45, H, NONE, RESOLVED)),
    ),
    Row(
        rule="6 keep leaves a pending one pending and blind time uncounted",
        timings=HOLD,
        story=(
            (0, V, PENDING, PENDED),
            (30, U, PENDING, None),
            (60, V, PENDING, None),
            (90, V, OPEN, OPENED),
        ),
    ),
    Row(
        rule="6 keep does not count blind time toward keep_open_for",
        timings=KEEP_OPEN,
        story=(
            (0, V, OPEN, OPENED),
            (15, H, OPEN, None),
            (45, U, OPEN, None),
            (75, H, OPEN, None),
            (105, H, NONE, RESOLVED),
        ),
    ),
    Row(rule="6 open opens for want of data", timings=no_data(OnNoData.OPEN), story=((0, U, OPEN, OPENED),)),
    Row(
        rule="6 open respects for",
        timings=no_data(OnNoData.OPEN, HOLD),
        story=((0, U, PENDING, PENDED), (30, V, PENDING, None), (60, U, OPEN, OPENED)),
    ),
    Row(
        rule="6 what no data opened resolves when data is healthy",
        timings=no_data(OnNoData.OPEN),
        story=((0, U, OPEN, OPENED), (15, H, NONE, RESOLVED)),
    ),
    Row(
        rule="6 resolve closes unverified",
        timings=no_data(OnNoData.RESOLVE),
        story=((0, V, OPEN, OPENED), (15, U, NONE, UNVERIFIED), (30, U, NONE, None)),
    ),
    Row(
        rule="6 resolve closes unverified even inside keep_open_for",
        timings=no_data(OnNoData.RESOLVE, KEEP_OPEN),
        story=((0, V, OPEN, OPENED), (15, H, OPEN, None), (30, U, NONE, UNVERIFIED)),
    ),
    Row(
        rule="6 resolve forgets a pending one",
        timings=no_data(OnNoData.RESOLVE, HOLD),
        story=((0, V, PENDING, PENDED), (15, U, NONE, FORGOTTEN)),
    ),
    Row(
        rule="8 a gap does not count toward for",
        timings=HOLD,
        story=((0, V, PENDING, PENDED), (600, V, PENDING, None), (630, V, PENDING, None), (660, V, OPEN, OPENED)),
    ),
    Row(
        rule="8 what had lasted before the gap still counts",
        timings=HOLD,
        story=(
            (0, V, PENDING, PENDED),
            (30, V, PENDING, None),
            (630, V, PENDING, None),
            (660, V, OPEN, OPENED),
        ),
    ),
    Row(
        rule="8 a gap does not count toward keep_open_for",
        timings=KEEP_OPEN,
        story=(
            (0, V, OPEN, OPENED),
            (15, H, OPEN, None),
            (600, H, OPEN, None),
            (630, H, OPEN, None),
            (660, H, NONE, RESOLVED),
        ),
    ),
    Row(
        rule="8 a gap that ends blind is taken off once",
        timings=HOLD,
        story=(
            (0, V, PENDING, PENDED),
            (30, V, PENDING, None),
            (630, U, PENDING, None),
            (660, V, OPEN, OPENED),
        ),
    ),
    Row(
        rule="10 a skipped tick is no gap",
        timings=HOLD,
        story=((0, V, PENDING, PENDED), (30, V, PENDING, None), (60, V, OPEN, OPENED)),
    ),
    Row(
        rule="10 two skipped ticks are one",
        timings=HOLD,
        story=((0, V, PENDING, PENDED), (45, V, PENDING, None), (75, V, PENDING, None), (105, V, OPEN, OPENED)),
    ),
    Row(
        rule="a clock set back starts the count afresh",
        timings=HOLD,
        story=((0, V, PENDING, PENDED), (-3600, V, PENDING, None), (-3570, V, PENDING, None), (-3540, V, OPEN, OPENED)),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.rule)
def test_the_table(row: Row) -> None:
    state = IncidentState()
    for seconds, outcome, status, transition in row.story:
        step = advance(state, outcome, seconds, row.timings)
        assert (seconds, step.state.status, step.transition) == (seconds, status, transition)
        assert step.reason
        state = step.state


def test_an_evaluation_that_failed_changes_nothing_but_the_reason() -> None:
    """Rule 7: the time of the last evaluation stays too, so that a long failure becomes a gap."""
    pending = advance(IncidentState(), V, 0, HOLD).state
    step = lifecycle.failed(pending, "no such column")
    assert (step.state, step.transition) == (pending, None)
    assert step.reason == "could not be judged: no such column"


def test_opening_keeps_the_time_the_violation_began() -> None:
    state = advance(IncidentState(), V, 0, HOLD).state
    state = advance(state, V, 30, HOLD).state
    opened = advance(state, V, 60, HOLD).state
    assert (opened.since, opened.opened_at) == (NOW, NOW + timedelta(seconds=60))


def test_a_closed_incident_leaves_only_the_time_of_the_evaluation_and_that_it_was() -> None:
    opened = advance(IncidentState(), V, 0, AT_ONCE).state
    closed = advance(opened, H, 15, AT_ONCE).state
    assert closed == IncidentState(
        last_evaluated_at=NOW + timedelta(seconds=15), history=History(results="010", last_at=closed.last_evaluated_at)
    )


def test_a_gap_starts_a_grace_period_that_later_steps_keep() -> None:
    state = advance(IncidentState(), V, 0, AT_ONCE).state
    end = NOW + timedelta(seconds=720)
    for seconds, expected in [(600, end), (615, end), (719, end), (720, None), (735, None)]:
        step = advance(state, V, seconds, replace(AT_ONCE, max_gap=timedelta(seconds=110)))
        assert step.in_grace_until == expected, seconds
        state = step.state


def test_a_new_policy_has_no_gap_and_no_grace() -> None:
    assert advance(IncidentState(), V, 0, AT_ONCE).in_grace_until is None


def test_two_intervals_are_no_gap_but_more_is() -> None:
    seen = IncidentState(last_evaluated_at=NOW)
    assert advance(seen, H, 30, AT_ONCE).in_grace_until is None
    assert advance(seen, H, 31, AT_ONCE).in_grace_until == NOW + timedelta(seconds=151)


@pytest.mark.parametrize(
    ("story", "expected"),
    [((), False), ((V,), True), ((V, H), False), ((V, H, V), True), ((V, U), True)],
    ids=["nothing yet", "violated", "kept open", "violated again", "then blind"],
)
def test_recover_applies_while_the_condition_is_violated(story: tuple[Outcome, ...], expected: bool) -> None:
    state = IncidentState()
    for place, outcome in enumerate(story):
        state = advance(state, outcome, place * 15, KEEP_OPEN).state
    assert state.was_violated is expected


def test_the_reason_counts_toward_for() -> None:
    state = advance(IncidentState(), V, 0, HOLD).state
    assert advance(state, V, 30, HOLD).reason == "because, for 30s of 1m"
    assert advance(state, H, 30, HOLD).reason == "because"


def test_the_reason_says_until_when_it_is_kept_open() -> None:
    state = advance(IncidentState(), V, 0, KEEP_OPEN).state
    assert advance(state, H, 15, KEEP_OPEN).reason == "because; kept open until 12:01:15"


timings = st.builds(
    Timings,
    hold_for=st.integers(0, 120).map(lambda seconds: timedelta(seconds=seconds)),
    keep_open_for=st.integers(0, 120).map(lambda seconds: timedelta(seconds=seconds)),
    on_no_data=st.sampled_from(OnNoData),
)
beats = st.lists(st.tuples(st.integers(-60, 300), st.sampled_from(Outcome)), max_size=30)


@given(timings, beats)
def test_any_story_keeps_status_and_times_in_agreement(timings: Timings, story: list[tuple[int, Outcome]]) -> None:
    state, seconds = IncidentState(), 0
    for passed, outcome in story:
        before, seconds = state.status, seconds + passed
        step = advance(state, outcome, seconds, timings)
        state = step.state
        assert (state.since is not None) is (state.status is not NONE)
        assert (state.opened_at is not None) is (state.status is OPEN)
        assert state.healthy_since is None or state.status is OPEN
        assert (step.transition is None) is (before is state.status)
        assert state.since is None or state.since <= NOW + timedelta(seconds=seconds)


@given(timings, beats)
def test_only_data_can_heal(timings: Timings, story: list[tuple[int, Outcome]]) -> None:
    state, seconds = IncidentState(), 0
    for passed, outcome in story:
        seconds += passed
        step = advance(state, outcome, seconds, timings)
        assert step.transition is not RESOLVED or outcome is H
        assert step.transition is not UNVERIFIED or outcome is U
        state = step.state
