"""Ratios, anomalies, forecasts, queries and events as JSON, read from fields and written back."""

from datetime import timedelta

from policies.engine import durations, measureforms, numerals, rules, tagforms
from policies.engine.conditions import (
    DEFAULT_EVENT_WINDOW,
    DEFAULT_PERIOD,
    DEFAULT_SIGMA,
    DEFAULT_SOURCE,
    ZERO,
    Across,
    Anomaly,
    Comparison,
    Direction,
    EventMatches,
    Forecast,
    Measure,
    Method,
    PromQL,
    Ratio,
    ResolvedBy,
)
from policies.engine.fields import Fields

RATIO, ANOMALY, PROMQL, EVENT = "ratio", "anomaly", "promql", "event_matches"
FORECASTS = {"forecast_exceeds": Comparison.EXCEEDS, "forecast_below": Comparison.BELOW}
COMPARISONS = {str(one).removeprefix("metric_"): one for one in Comparison}
_WORDS = {comparison: word for word, comparison in COMPARISONS.items()}
_FORECAST_TYPES = {comparison: name for name, comparison in FORECASTS.items()}

type Json = dict[str, object]


def hold(fields: Fields) -> timedelta:
    """The field `for`; zero without it."""
    return fields.duration("for") if fields.has("for") else ZERO


def read_ratio(fields: Fields) -> Ratio:
    fields.only(("type", "over", "under", "comparison", "threshold", "recover", "across", "for"))
    word = fields.choice("comparison", tuple(COMPARISONS)) if fields.has("comparison") else None
    return Ratio(
        over=_side(fields, "over"),
        under=_side(fields, "under"),
        comparison=COMPARISONS[word or "exceeds"],
        threshold=fields.number("threshold"),
        recover=fields.number("recover") if fields.has("recover") else None,
        across=measureforms.across(fields, (Across.ANY, Across.ALL)),
        hold_for=hold(fields),
    )


def _side(fields: Fields, name: str) -> Measure:
    inner = fields.inner(name)
    if inner is None:
        return Measure(metric="")
    inner.only(measureforms.FIELDS)
    return measureforms.read(inner)


def write_ratio(condition: Ratio) -> Json:
    document: Json = {"type": RATIO, "over": measureforms.write(condition.over)}
    document["under"] = measureforms.write(condition.under)
    if condition.comparison is not Comparison.EXCEEDS:
        document["comparison"] = _WORDS[condition.comparison]
    document["threshold"] = numerals.plain(condition.threshold)
    if condition.recover is not None:
        document["recover"] = numerals.plain(condition.recover)
    return document if condition.across is Across.ANY else {**document, "across": str(condition.across)}


def read_anomaly(fields: Fields) -> Anomaly:
    fields.only(("type", "metric", "tags", "window", "sigma", "method", "direction", "period", "for"))
    if not fields.has("window"):
        fields.complain("window", "say from how far back to learn what is usual, such as 1h")
    method = fields.choice("method", tuple(Method)) if fields.has("method") else None
    direction = fields.choice("direction", tuple(Direction)) if fields.has("direction") else None
    return Anomaly(
        metric=fields.name("metric"),
        tags=tagforms.read(fields),
        window=fields.duration("window") if fields.has("window") else ZERO,
        sigma=fields.number("sigma") if fields.has("sigma") else DEFAULT_SIGMA,
        method=Method(method or Method.ROBUST_Z),
        direction=Direction(direction or Direction.BOTH),
        period=fields.duration("period") if fields.has("period") else DEFAULT_PERIOD,
        hold_for=hold(fields),
    )


def write_anomaly(condition: Anomaly) -> Json:
    document: Json = {"type": ANOMALY, "metric": condition.metric, **tagforms.write(condition.tags)}
    document["window"] = durations.text(condition.window)
    if condition.sigma != DEFAULT_SIGMA:
        document["sigma"] = numerals.plain(condition.sigma)
    if condition.method is not Method.ROBUST_Z:
        document["method"] = str(condition.method)
    if condition.direction is not Direction.BOTH:
        document["direction"] = str(condition.direction)
    if condition.period != DEFAULT_PERIOD:
        document["period"] = durations.text(condition.period)
    return document


def read_forecast(name: str, fields: Fields) -> Forecast:
    fields.only(("type", "metric", "tags", "threshold", "window", "within", "for"))
    return Forecast(
        metric=fields.name("metric"),
        tags=tagforms.read(fields),
        comparison=FORECASTS[name],
        threshold=fields.number("threshold"),
        window=fields.duration("window"),
        within=fields.duration("within"),
        hold_for=hold(fields),
    )


def write_forecast(condition: Forecast) -> Json:
    named: Json = {"metric": condition.metric, **tagforms.write(condition.tags)}
    times: Json = {"window": durations.text(condition.window), "within": durations.text(condition.within)}
    kind = _FORECAST_TYPES[condition.comparison]
    return {"type": kind, **named, "threshold": numerals.plain(condition.threshold), **times}


def read_promql(fields: Fields) -> PromQL:
    fields.only(("type", "source", "query", "for"))
    query = fields.text("query")
    problem = rules.query_problem(query) if isinstance(fields.raw("query"), str) else None
    if problem is not None:
        fields.complain("query", problem)
    source = fields.name("source") if fields.has("source") else DEFAULT_SOURCE
    return PromQL(query=query, source=source, hold_for=hold(fields))


def write_promql(condition: PromQL) -> Json:
    return {"type": PROMQL, "source": condition.source, "query": condition.query}


def read_event(fields: Fields) -> EventMatches:
    fields.only(("type", "event", "severity", "tags", "count", "window", "resolved_by", "for"))
    inner = fields.inner("resolved_by") if fields.has("resolved_by") else None
    return EventMatches(
        event=fields.name("event"),
        severity=fields.name("severity") if fields.has("severity") else None,
        tags=tagforms.read(fields),
        count=fields.whole("count") if fields.has("count") else 1,
        window=fields.duration("window") if fields.has("window") else DEFAULT_EVENT_WINDOW,
        resolved_by=None if inner is None else _read_resolving(inner),
        hold_for=hold(fields),
    )


def _read_resolving(fields: Fields) -> ResolvedBy:
    fields.only(("event", "tags", "same"))
    return ResolvedBy(
        event=fields.name("event") if fields.has("event") else None,
        tags=tagforms.read(fields),
        same=fields.names("same") if fields.has("same") else (),
    )


def write_event(condition: EventMatches) -> Json:
    document: Json = {"type": EVENT, "event": condition.event}
    if condition.severity is not None:
        document["severity"] = condition.severity
    document |= tagforms.write(condition.tags)
    if condition.count != 1:
        document["count"] = condition.count
    document["window"] = durations.text(condition.window)
    if condition.resolved_by is not None:
        document["resolved_by"] = _write_resolving(condition.resolved_by)
    return document


def _write_resolving(resolved: ResolvedBy) -> Json:
    named: Json = {} if resolved.event is None else {"event": resolved.event}
    same: Json = {"same": list(resolved.same)} if resolved.same else {}
    return {**named, **tagforms.write(resolved.tags), **same}
