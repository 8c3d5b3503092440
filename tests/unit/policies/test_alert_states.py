"""The states that Prometheus' compliance suite demands of an alert generator, as scenarios of samples over time.

Samples come every 15 s and rules are evaluated every 30 s, as there. A closed incident is `inactive`; data that stops
closes it where the policy says so, which is Prometheus' only way.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from policies.engine import conditions, evaluation, language, lifecycle
from policies.engine.lifecycle import IncidentState, OnNoData, Status, Timings
from policies.engine.values import Sample, Series, TargetData
from tests.unit.policies.builders import NOW, STALENESS

INACTIVE, PENDING, FIRING = Status.NONE, Status.PENDING, Status.OPEN
EVERY, SAMPLED = 30, 15


@dataclass(frozen=True, kw_only=True)
class Scenario:
    name: str
    condition: str
    values: str
    """`9x4` is four samples of 9; `-x4` is a minute without any."""
    states: tuple[tuple[float, Status], ...]
    """Each state with the minute of the evaluation at which it begins."""
    until: float
    keep_open_for: float = 0


QUIET = "3x1 5x3 9x4"
"""Two minutes in which nothing is wrong."""
SCENARIOS = [
    Scenario(
        name="pending, firing, resolved, and the same again",
        condition="m > 10 for 6m",
        values=f"{QUIET} 11x13 15x32 19x16 9x20 15x45 8x16",
        states=(
            (0, INACTIVE),
            (2, PENDING),
            (8, FIRING),
            (17.5, INACTIVE),
            (22.5, PENDING),
            (28.5, FIRING),
            (33.5, INACTIVE),
        ),
        until=37,
    ),
    Scenario(
        name="pending that resolves before it fires",
        condition="m > 10 for 3m",
        values=f"{QUIET} 11x11 9x20",
        states=((0, INACTIVE), (2, PENDING), (5, INACTIVE)),
        until=9,
    ),
    Scenario(
        name="always inactive",
        condition="m > 99 for 3m",
        values=f"{QUIET} 11x11 9x20",
        states=((0, INACTIVE),),
        until=9,
    ),
    Scenario(
        name="no more data while pending",
        condition="m > 10 for 10m",
        values=f"{QUIET} 11x8 -x40",
        states=((0, INACTIVE), (2, PENDING), (9, INACTIVE)),
        until=13,
    ),
    Scenario(
        name="no more data while firing",
        condition="m > 10 for 1m",
        values=f"{QUIET} 11x8 -x40",
        states=((0, INACTIVE), (2, PENDING), (3, FIRING), (9, INACTIVE)),
        until=13,
    ),
    Scenario(
        name="zero for fires at once, resolves and fires again",
        condition="m > 10",
        values=f"{QUIET} 15x13 9x72 11x13 9x20",
        states=((0, INACTIVE), (2, FIRING), (5.5, INACTIVE), (23.5, FIRING), (26.5, INACTIVE)),
        until=30,
    ),
    Scenario(
        name="a for below the interval fires at the second evaluation",
        condition="m > 13 for 15s",
        values=f"{QUIET} 15x13 9x20",
        states=((0, INACTIVE), (2, PENDING), (2.5, FIRING), (5.5, INACTIVE)),
        until=8,
    ),
    Scenario(
        name="the later of two series",
        condition="m > 10 for 3m",
        values="1x32 11x33 9x21",
        states=((0, INACTIVE), (8, PENDING), (11, FIRING), (16.5, INACTIVE)),
        until=20,
    ),
    Scenario(
        name="keep firing for a while",
        condition="m > 10 for 1m",
        values=f"{QUIET} 11x8 9x40",
        states=((0, INACTIVE), (2, PENDING), (3, FIRING), (6, INACTIVE)),
        until=10,
        keep_open_for=2,
    ),
    Scenario(
        name="bad again while kept firing is the same alert",
        condition="m > 10 for 1m",
        values=f"{QUIET} 11x8 9x4 11x4 9x40",
        states=((0, INACTIVE), (2, PENDING), (3, FIRING), (8, INACTIVE)),
        until=12,
        keep_open_for=2,
    ),
]


def samples(values: str) -> Iterator[Sample]:
    letters = (piece.split("x") for piece in values.split())
    every = [value for value, times in letters for _ in range(int(times))]
    for place, value in enumerate(every):
        if value != "-":
            yield Sample(id=place, at=NOW + timedelta(seconds=SAMPLED * place), value=float(value))


def timings_of(scenario: Scenario) -> Timings:
    return Timings(
        hold_for=conditions.top_level_hold(language.parse(scenario.condition)),
        keep_open_for=timedelta(minutes=scenario.keep_open_for),
        on_no_data=OnNoData.RESOLVE,
    )


def run(
    scenario: Scenario, *, since: float = 0, state: IncidentState | None = None
) -> list[tuple[float, IncidentState]]:
    """The state after each evaluation, by its minute."""
    data = TargetData(target="web-01", series={"m": (Series(name="m", samples=tuple(samples(scenario.values))),)})
    condition, timings = language.parse(scenario.condition), timings_of(scenario)
    state, found = state or IncidentState(), []
    for tick in range(int(since * 60 / EVERY), int(scenario.until * 60 / EVERY) + 1):
        at = NOW + timedelta(seconds=EVERY * tick)
        verdict = evaluation.evaluate(condition, data, at=at, staleness=STALENESS, was_violated=state.was_violated)
        state = lifecycle.advance(state, verdict, at, timings).state
        found.append((EVERY * tick / 60, state))
    return found


def changes(found: list[tuple[float, IncidentState]]) -> list[tuple[float, Status]]:
    return [
        (minute, state.status)
        for place, (minute, state) in enumerate(found)
        if place == 0 or found[place - 1][1].status is not state.status
    ]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_states_change_when_prometheus_says(scenario: Scenario) -> None:
    assert changes(run(scenario)) == list(scenario.states)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_restart_in_between_changes_nothing(scenario: Scenario) -> None:
    """States are stored after every evaluation, so a process may end after any of them."""
    whole = run(scenario)
    middle = len(whole) // 2
    minute, state = whole[middle]
    assert run(scenario, since=minute + EVERY / 60, state=state) == whole[middle + 1 :]


LONG = Scenario(name="long", condition="m > 10 for 25m", values="11x400", states=(), until=15)


@pytest.mark.parametrize(
    ("down_until", "fires_at"),
    [(15.5, 25), (25, 35), (45, 55), (90, 100)],
    ids=["not down", "ten minutes", "half an hour", "over an hour"],
)
def test_time_in_which_it_was_down_is_not_counted_toward_for(down_until: float, fires_at: float) -> None:
    """Prometheus restores alike, but forgets after an hour of outage, and never fires in the first ten minutes."""
    before = run(LONG)[-1][1]
    after = run(replace(LONG, until=100), since=down_until, state=before)
    assert changes(after) == [(down_until, PENDING), (fires_at, FIRING)]


def test_an_alert_that_fired_before_a_restart_fires_after_it() -> None:
    fired = run(replace(LONG, until=30))[-1][1]
    after = run(replace(LONG, until=60), since=50, state=fired)
    assert changes(after) == [(50, FIRING)]
    assert after[-1][1].opened_at == fired.opened_at


@pytest.mark.parametrize(
    ("hold", "expected"), [(5, FIRING), (15, FIRING), (20, PENDING)], ids=["shorter", "just reached", "longer"]
)
def test_a_changed_for_counts_from_when_it_began(hold: int, expected: Status) -> None:
    """As when Prometheus reloads its rules: what is pending keeps its time."""
    pending = run(replace(LONG, until=14.5))[-1][1]
    changed = replace(LONG, condition=f"m > 10 for {hold}m", until=15)
    assert run(changed, since=15, state=pending)[-1][1].status is expected


def test_a_longer_for_does_not_unfire() -> None:
    fired = run(replace(LONG, until=30))[-1][1]
    changed = replace(LONG, condition="m > 10 for 1d", until=31)
    assert run(changed, since=30.5, state=fired)[-1][1].status is FIRING


def test_late_samples_correct_history_without_moving_what_is_newest() -> None:
    """A sample that arrives late changes what a window holds, and never the newest value."""
    given = tuple(samples("5x8"))
    late = Sample(id=99, at=NOW + timedelta(seconds=40), value=500)
    corrected = tuple(sorted((*given, late), key=lambda sample: sample.at))
    at = given[-1].at

    def judge(sentence: str, several: tuple[Sample, ...]) -> tuple[float | None, object]:
        data = TargetData(target="web-01", series={"m": (Series(name="m", samples=several),)})
        verdict = evaluation.evaluate(language.parse(sentence), data, at=at, staleness=STALENESS)
        return verdict.value, verdict.newest_at

    assert judge("m > 10", given) == judge("m > 10", corrected) == (5, at)
    assert judge("max(m, 5m) > 10", given) == (5, at)
    assert judge("max(m, 5m) > 10", corrected) == (500, at)


def test_a_late_healthy_sample_breaks_a_nested_for() -> None:
    held = language.parse("m > 10 for 1m and m > 0")
    given = tuple(samples("11x3 -x1 11x4"))
    late = Sample(id=99, at=NOW + timedelta(seconds=45), value=3)
    outcomes = []
    for several in (given, tuple(sorted((*given, late), key=lambda sample: sample.at))):
        data = TargetData(target="web-01", series={"m": (Series(name="m", samples=several),)})
        outcomes.append(evaluation.evaluate(held, data, at=given[-1].at, staleness=STALENESS).outcome.value)
    assert outcomes == ["violated", "healthy"]
