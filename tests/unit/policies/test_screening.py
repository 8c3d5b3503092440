"""Screening may doubt; what it says for sure is what the full evaluation says."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.engine import evaluation, language, screening
from policies.engine.conditions import (
    Absent,
    Across,
    AllOf,
    AnyOf,
    Band,
    Compare,
    Comparison,
    Condition,
    Measure,
    Outside,
)
from policies.engine.screening import Fleet, Heard, Screened, Windowed
from policies.engine.tags import TagMatcher
from policies.engine.values import Outcome, Sample, Series, TargetData
from tests.unit.policies.builders import NOW, STALENESS, ago

TARGETS = ("web-1", "web-2", "web-3")
METRICS = ("cpu", "load")
FROM_SAMPLES = ("rate", "increase", "delta", "p50", "p99", "stddev", "changes")


@dataclass(frozen=True)
class Summary:
    """As a database sums up: plain addition, in the order it likes."""

    count: int
    total: float
    low: float
    high: float


def summary(values: Sequence[float]) -> Summary:
    total = 0.0
    for value in reversed(values):
        total += value if abs(value) <= screening.HUGE else 0.0
    return Summary(len(values), total, min(values), max(values))


type Found = list[tuple[str, Series]]


def fleet(found: Found, condition: Condition) -> Fleet:
    """What the sweep would read of these series: the newest sample of each, and a summary of each window."""
    heard: dict[str, list[Heard]] = defaultdict(list)
    summaries: dict[tuple[str, timedelta], dict[int, Summary]] = {}
    for number, (target, series) in enumerate(found):
        last = series.samples[-1]
        heard[series.name].append(Heard(number, target, series.tags, last.at, last.value))
    reads = screening.reads(condition)
    assert reads is not None
    for metric, window in reads.windows:
        inside = {
            number: [sample.value for sample in series.samples if NOW - window < sample.at <= NOW]
            for number, (_, series) in enumerate(found)
            if series.name == metric
        }
        summaries[metric, window] = {number: summary(values) for number, values in inside.items() if values}
    exact: dict[Windowed, dict[int, float]] = defaultdict(dict)
    for metric, window, aggregate in reads.samples:
        for number, (_, series) in enumerate(found):
            samples = [sample for sample in series.samples if NOW - window < sample.at <= NOW]
            value = screening.exactly(aggregate, samples, window=window, at=NOW)
            if series.name == metric and value is not None:
                exact[metric, window, aggregate][number] = value
    return Fleet(series=heard, summaries=summaries, exact=exact, at=NOW, staleness=STALENESS)


def screened(condition: Condition, found: Found) -> Screened:
    return screening.screen(condition, fleet(found, condition), targets=frozenset(TARGETS))


def outcomes(condition: Condition, found: Found) -> Mapping[str, Outcome]:
    answers = {}
    for target in TARGETS:
        by_metric: dict[str, tuple[Series, ...]] = {}
        for own, series in found:
            if own == target:
                by_metric[series.name] = (*by_metric.get(series.name, ()), series)
        data = TargetData(target=target, series=by_metric)
        answers[target] = evaluation.evaluate(condition, data, at=NOW, staleness=STALENESS).outcome
    return answers


_numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 1.0, 5.0, 90.0, 1e15, -1e15, 1e300, -1e300, 5e-324]),
    st.floats(-100, 100),
    st.floats(allow_nan=False, allow_infinity=False),
)
_ages = st.integers(-40, 700)
_zones = st.sampled_from([{}, {"zone": "eu"}, {"zone": "us"}])


@st.composite
def _series(draw: st.DrawFn) -> tuple[str, Series]:
    ages = sorted(draw(st.lists(_ages, min_size=1, max_size=6)), reverse=True)
    samples = [Sample(id=place, at=ago(age), value=draw(_numbers)) for place, age in enumerate(ages)]
    name, tags = draw(st.sampled_from(METRICS)), draw(_zones)
    return draw(st.sampled_from(TARGETS)), Series(name=name, tags=tags, samples=tuple(samples))


_found = st.lists(_series(), max_size=8)
_windows = st.sampled_from([15, 60, 300]).map(lambda seconds: timedelta(seconds=seconds))
_tags = st.sampled_from([(), (TagMatcher(name="zone", pattern="eu"),), (TagMatcher(name="zone", pattern="*"),)])
_holds = st.sampled_from([timedelta(0), timedelta(seconds=30)])


@st.composite
def _measures(draw: st.DrawFn) -> Measure:
    aggregate = draw(st.sampled_from([None, *sorted(screening.SUMMARIZED), *FROM_SAMPLES]))
    return Measure(
        metric=draw(st.sampled_from(METRICS)),
        tags=draw(_tags),
        aggregate=aggregate,
        window=None if aggregate is None else draw(_windows),
        across=draw(st.sampled_from(Across)),
    )


@st.composite
def _bands(draw: st.DrawFn) -> Band:
    low, high = sorted(draw(st.lists(_numbers, min_size=2, max_size=2)))
    return Band(low=low, high=high)


_leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(
        Compare, measure=_measures(), comparison=st.sampled_from(Comparison), threshold=_numbers, hold_for=_holds
    ),
    st.builds(Outside, measure=_measures(), band=_bands(), hold_for=_holds),
    st.builds(Absent, metric=st.sampled_from(METRICS), silent_for=_windows, tags=_tags),
)


def _compound(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(AllOf, conditions=several, hold_for=_holds), st.builds(AnyOf, conditions=several, hold_for=_holds)
    )


_conditions = st.recursive(_leaves, _compound, max_leaves=5)


@given(condition=_conditions, found=_found)
@settings(max_examples=1_500)
def test_what_is_sure_is_right(condition: Condition, found: Found) -> None:
    answer = screened(condition, found)
    for target, outcome in outcomes(condition, found).items():
        if target in answer.unknown:
            assert outcome is Outcome.UNKNOWN
        elif target not in answer.suspect:
            assert outcome is Outcome.HEALTHY


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    aggregate=st.sampled_from(["avg", "sum", "min", "max", "count"]),
    comparison=st.sampled_from(Comparison),
)
def test_a_threshold_that_is_just_met_is_never_rounded_away(
    values: list[float], aggregate: str, comparison: Comparison
) -> None:
    samples = tuple(Sample(id=place, at=ago(20 - place), value=value) for place, value in enumerate(values))
    found: Found = [("web-1", Series(name="cpu", samples=samples))]
    measure = Measure(metric="cpu", aggregate=aggregate, window=timedelta(minutes=5))
    probe = Compare(measure=measure, comparison=comparison, threshold=0.0)
    value = evaluation.evaluate(probe, TargetData(target="web-1", series={"cpu": (found[0][1],)}), at=NOW,
                                staleness=STALENESS).value  # fmt: skip
    assert value is not None
    condition = Compare(measure=measure, comparison=comparison, threshold=value)
    if outcomes(condition, found)["web-1"] is Outcome.VIOLATED:
        assert "web-1" in screened(condition, found).suspect


@pytest.mark.parametrize(
    ("sentence", "suspect", "unknown"),
    [
        ("cpu > 90", {"web-2"}, {"web-3"}),
        ("cpu < 90", {"web-1"}, {"web-3"}),
        ("avg(cpu, 5m) > 60", {"web-2"}, {"web-3"}),
        ("max(cpu, 5m) > 96", set(), {"web-3"}),
        ("cpu outside 10..94", {"web-2"}, {"web-3"}),
        ("cpu > 90 and load > 1", set(), {"web-3"}),
        ("cpu > 90 or load > 1", {"web-2"}, {"web-1", "web-3"}),
        ("no cpu for 1m", {"web-3"}, set()),
        ("no load for 1m", set(), {"web-1", "web-3"}),
    ],
)
def test_only_what_must_be_is_doubted(sentence: str, suspect: set[str], unknown: set[str]) -> None:
    def series(*values: float, newest: float = 0, name: str = "cpu") -> Series:
        samples = [
            Sample(id=place, at=ago(newest + 15 * (len(values) - place - 1)), value=value)
            for place, value in enumerate(values)
        ]
        return Series(name=name, samples=tuple(samples))

    found: Found = [
        ("web-1", series(40, 45)),
        ("web-2", series(40, 95)),
        ("web-2", series(0.5, name="load")),
        ("web-3", series(99, newest=600)),
    ]
    assert screened(language.parse(sentence), found) == Screened(suspect=frozenset(suspect), unknown=frozenset(unknown))


@pytest.mark.parametrize(
    "sentence", ["not cpu > 1", "sum(cpu by zone) > 1", "cpu / load > 1",
                 "3 deploy events in 5m", "cpu anomalous over 1h", "cpu > 1 and 3 deploy events in 5m"]
)  # fmt: skip
def test_what_cannot_be_told_for_all_at_once_is_not_screened(sentence: str) -> None:
    assert screening.reads(language.parse(sentence)) is None
