"""Condition trees for the tests of both languages: examples in canonical JSON, and a strategy for any tree."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from policies.engine import rules, tagforms
from policies.engine.conditions import (
    SEVERITIES,
    Absent,
    Across,
    AllOf,
    Anomaly,
    AnyOf,
    Band,
    Compare,
    Comparison,
    Condition,
    Direction,
    EventMatches,
    Forecast,
    Measure,
    Method,
    Not,
    Outside,
    PromQL,
    Ratio,
    ResolvedBy,
)
from policies.engine.tags import TagMatcher, TagOperator

CPU = {"type": "metric_exceeds", "metric": "cpu_percent", "threshold": 90}
ERRORS = {"metric": "errors", "aggregate": "rate", "window": "5m"}
CANONICAL: list[dict[str, Any]] = [
    CPU,
    *({"type": str(one), "metric": "cpu", "threshold": 0.5} for one in Comparison),
    {"type": "metric_outside", "metric": "cpu", "low": 10, "high": 90, "recover": {"low": 20, "high": 80}},
    {**CPU, "aggregate": "avg", "window": "5m", "recover": 80, "for": "2m"},
    {**CPU, "aggregate": "p95", "window": "1h", "across": "sum"},
    {**CPU, "across": "all"},
    {**CPU, "tags": {"region": "us-*"}},
    {**CPU, "tags": {"region": ["us-*", {"not": "us-east-1"}], "host": {"regex": "web-[0-9]+"}}},
    {"type": "metric_absent", "metric": "heartbeat", "for": "2m"},
    {"type": "event_matches", "event": "deploy_failed", "severity": "critical", "count": 3, "window": "5m"},
    {"type": "event_matches", "event": "link_*", "window": "1d", "resolved_by": {"tags": {"status": "resolved"}}},
    {
        "type": "event_matches",
        "event": "link_down",
        "window": "1d",
        "resolved_by": {"event": "link_up", "tags": {"port": "1*"}, "same": ["host", "port"]},
        "for": "1m",
    },
    {**CPU, "aggregate": "rate", "window": "5m", "across": "sum", "by": ["zone", "rack"]},
    {**CPU, "aggregate": "p99.9", "window": "5m"},
    {"type": "ratio", "over": ERRORS, "under": {**ERRORS, "metric": "requests"}, "threshold": 0.05},
    {
        "type": "ratio",
        "over": {"metric": "ok", "across": "sum", "by": ["zone"]},
        "under": {"metric": "all", "tags": {"job": "api"}, "across": "sum", "by": ["zone"]},
        "comparison": "below",
        "threshold": 0.99,
        "recover": 0.995,
        "for": "2m",
    },
    {"type": "ratio", "over": ERRORS, "under": ERRORS, "threshold": 1, "across": "all"},
    {"type": "anomaly", "metric": "latency_ms", "window": "1h"},
    {"type": "anomaly", "metric": "latency_ms", "window": "1h", "sigma": 3.5, "method": "ewma", "direction": "high"},
    {"type": "anomaly", "metric": "latency_ms", "window": "14d", "method": "seasonal", "period": "7d", "for": "5m"},
    {"type": "forecast_exceeds", "metric": "disk_percent", "threshold": 95, "window": "6h", "within": "4h"},
    {
        "type": "forecast_below",
        "metric": "free",
        "tags": {"mount": "/"},
        "threshold": 0,
        "window": "6h",
        "within": "4h",
    },
    {"type": "promql", "source": "prometheus", "query": "up == 0", "for": "1m"},
    {"type": "promql", "source": "mimir-1", "query": 'up{job="api"} == 0'},
    {"type": "all", "conditions": [CPU, {"type": "not", "condition": {**CPU, "for": "30s"}}], "for": "1d"},
    {"type": "any", "conditions": [CPU, CPU]},
]

_numbers = st.one_of(st.integers(-(10**6), 10**6).map(float), st.floats(allow_nan=False, allow_infinity=False))
_lengths = st.integers(1, 86_400).map(lambda seconds: timedelta(seconds=seconds))
_holds = st.one_of(st.just(timedelta(0)), _lengths)
_ODD = [
    "and",
    "or",
    "for",
    "events",
    "avg",
    "5xx",
    "a..b",
    "at",
    "by",
    "(",
    "anomalous",
    "over",
    "promql",
    "from",
    "quantile",
]
_names = st.one_of(
    st.sampled_from(["cpu", "cpu_percent", "node.load-1", "resolved", "within", "with", "high", *_ODD]),
    st.text(min_size=1, max_size=12).filter(lambda name: rules.name_problem(name) is None),
)
_globs = st.text('abc-_."\\ é', max_size=10).map(lambda text: text + "*")
_regexes = st.sampled_from(["web-[0-9]+", "a|b", r"\d+\.\w", 'say "hi"'])
_matchers = st.one_of(
    st.builds(TagMatcher, name=_names, operator=st.sampled_from(["=", "!="]).map(TagOperator), pattern=_globs),
    st.builds(TagMatcher, name=_names, operator=st.sampled_from(["=~", "!~"]).map(TagOperator), pattern=_regexes),
)
_tags = st.lists(_matchers, max_size=3).map(tagforms.grouped)
_windows = st.tuples(st.sampled_from(["avg", "rate", "p50", "p99", "p99.5", "changes", "count"]), _lengths)


_BY = ("zone",)


@st.composite
def _measures(draw: st.DrawFn, by: tuple[str, ...] = (), across: tuple[Across, ...] = tuple(Across)) -> Measure:
    aggregate, window = draw(st.one_of(st.just((None, None)), _windows))
    chosen = draw(st.sampled_from(across))
    return Measure(
        metric=draw(_names),
        tags=draw(_tags),
        aggregate=aggregate,
        window=window,
        across=chosen,
        by=by if chosen.is_number else (),
    )


@st.composite
def _limits(draw: st.DrawFn) -> tuple[Comparison, float, float | None]:
    comparison, threshold, other = draw(st.sampled_from(Comparison)), draw(_numbers), draw(_numbers)
    if comparison in (Comparison.EXCEEDS, Comparison.AT_LEAST):
        return comparison, threshold, draw(st.sampled_from([None, min(threshold, other)]))
    if comparison in (Comparison.BELOW, Comparison.AT_MOST):
        return comparison, threshold, draw(st.sampled_from([None, max(threshold, other)]))
    return comparison, threshold, None


@st.composite
def _ratios(draw: st.DrawFn, by: tuple[str, ...] = ()) -> Ratio:
    comparison, threshold, recover = draw(_limits())
    sides = tuple(across for across in Across if across is not Across.ALL)
    over, under = draw(_measures(by, sides)), draw(_measures(by, sides))
    joined = over.across.is_number and under.across.is_number
    return Ratio(
        over=over,
        under=under,
        comparison=comparison,
        threshold=threshold,
        recover=recover,
        across=Across.ANY if joined else draw(st.sampled_from([Across.ANY, Across.ALL])),
        hold_for=draw(_holds),
    )


@st.composite
def _compares(draw: st.DrawFn, by: tuple[str, ...] = ()) -> Compare:
    comparison, threshold, recover = draw(_limits())
    return Compare(
        measure=draw(_measures(by)),
        comparison=comparison,
        threshold=threshold,
        recover=recover,
        hold_for=draw(_holds),
    )


@st.composite
def _anomalies(draw: st.DrawFn) -> Anomaly:
    method, window = draw(st.sampled_from(Method)), draw(_lengths)
    period = draw(_lengths) if method is Method.SEASONAL else timedelta(days=1)
    return Anomaly(
        metric=draw(_names),
        tags=draw(_tags),
        window=window + 2 * period if method is Method.SEASONAL else window,
        sigma=draw(st.one_of(st.just(4.0), st.floats(0.001, 1000))),
        method=method,
        direction=draw(st.sampled_from(Direction)),
        period=period,
        hold_for=draw(_holds),
    )


@st.composite
def _outsides(draw: st.DrawFn) -> Outside:
    low, inner_low, inner_high, high = draw(st.lists(_numbers, min_size=4, max_size=4, unique=True).map(sorted))
    recover = draw(st.sampled_from([None, Band(low=inner_low, high=inner_high)]))
    band = Band(low=low, high=high)
    return Outside(measure=draw(_measures()), band=band, recover=recover, hold_for=draw(_holds))


_same = st.lists(_names, max_size=2, unique=True).map(tuple)
_leaves: st.SearchStrategy[Condition] = st.one_of(
    _compares(),
    _outsides(),
    st.builds(Absent, metric=_names, silent_for=_lengths, tags=_tags),
    st.builds(
        EventMatches,
        event=_names,
        severity=st.one_of(st.none(), st.sampled_from(SEVERITIES)),
        tags=_tags,
        count=st.integers(1, 100),
        window=_lengths,
        resolved_by=st.one_of(
            st.none(),
            st.builds(ResolvedBy, event=_names, tags=_tags, same=_same),
            st.builds(ResolvedBy, tags=_tags.filter(bool), same=_same),
        ),
        hold_for=_holds,
    ),
    _ratios(),
    _anomalies(),
    st.builds(
        Forecast,
        metric=_names,
        tags=_tags,
        comparison=st.sampled_from([Comparison.EXCEEDS, Comparison.BELOW]),
        threshold=_numbers,
        window=_lengths,
        within=_lengths,
        hold_for=_holds,
    ),
    st.builds(
        PromQL,
        query=st.text(min_size=1, max_size=30).filter(lambda text: rules.query_problem(text) is None),
        source=_names,
        hold_for=_holds,
    ),
)
_grouped_leaves: st.SearchStrategy[Condition] = st.one_of(_compares(_BY), _ratios(_BY), _anomalies())


def _compound(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(AllOf, conditions=several, hold_for=_holds),
        st.builds(AnyOf, conditions=several, hold_for=_holds),
        st.builds(Not, condition=inner, hold_for=_holds),
    )


trees: st.SearchStrategy[Condition] = st.one_of(
    st.recursive(_leaves, _compound, max_leaves=8), st.recursive(_grouped_leaves, _compound, max_leaves=4)
).filter(lambda tree: next(rules.problems(tree), None) is None)
