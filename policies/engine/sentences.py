"""A condition as a sentence; parsing the sentence gives the same tree."""

from collections.abc import Iterable

from policies.engine import durations, numerals, words
from policies.engine.conditions import (
    DEFAULT_PERIOD,
    DEFAULT_SIGMA,
    DEFAULT_SOURCE,
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
    Leaf,
    Measure,
    Method,
    Not,
    Outside,
    PromQL,
    Ratio,
    ResolvedBy,
    hold_of,
)
from policies.engine.tags import TagMatcher

SIGNS = {
    Comparison.EXCEEDS: ">",
    Comparison.BELOW: "<",
    Comparison.AT_LEAST: ">=",
    Comparison.AT_MOST: "<=",
    Comparison.EQUALS: "==",
    Comparison.NOT_EQUALS: "!=",
}
ANOMALOUS = {
    Direction.BOTH: "anomalous",
    Direction.HIGH: "anomalously high",
    Direction.LOW: "anomalously low",
}


def to_sentence(condition: Condition) -> str:
    """The one canonical sentence of a condition."""
    match condition:
        case AllOf() | AnyOf():
            joined = _joined(condition)
            return f"({joined}){_hold(condition)}" if condition.hold_for else joined
        case Not() if condition.hold_for:
            return f"({_negated(condition)}){_hold(condition)}"
        case Not():
            return _negated(condition)
        case _:
            return _leaf(condition) + _hold(condition)


def measure_text(measure: Measure) -> str:
    """`avg(cpu_percent, 5m)`; an aggregate across series goes around the one over a window."""
    text = selector(measure.metric, measure.tags)
    if measure.aggregate is not None and measure.window is not None:
        text = f"{measure.aggregate}({text}, {durations.text(measure.window)})"
    if not measure.across.is_number:
        return text
    return f"{measure.across}({text} by {names_text(measure.by)})" if measure.by else f"{measure.across}({text})"


def ratio_text(condition: Ratio) -> str:
    """`rate(errors, 5m) / rate(requests, 5m)`."""
    return f"{measure_text(condition.over)} / {measure_text(condition.under)}"


def selector(name: str, tags: Iterable[TagMatcher] = ()) -> str:
    """A metric or event name with its tag matchers: `cpu_percent{region="us-*"}`."""
    tags = tuple(tags)
    return name_text(name) + (tags_text(tags) if tags else "")


def tags_text(tags: Iterable[TagMatcher]) -> str:
    """`{region="us-*"}`."""
    return "{" + ", ".join(f"{name_text(tag.name)}{tag.operator}{quoted(tag.pattern)}" for tag in tags) + "}"


def names_text(names: Iterable[str]) -> str:
    """`zone, rack`."""
    return ", ".join(name_text(name) for name in names)


def name_text(name: str) -> str:
    """A name as it may stand in a sentence, in quotes only when it would be read as something else."""
    return name if words.is_plain_name(name) else quoted(name)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def band_text(band: Band) -> str:
    return f"{numerals.exact(band.low)}..{numerals.exact(band.high)}"


def _joined(condition: AllOf | AnyOf) -> str:
    word = " and " if isinstance(condition, AllOf) else " or "
    return word.join(_inner(child) for child in condition.conditions)


def _negated(condition: Not) -> str:
    return f"not {_inner(condition.condition)}"


def _inner(condition: Condition) -> str:
    """Inside another condition an `and` or `or` wears brackets, also where precedence would do."""
    text = to_sentence(condition)
    return f"({text})" if isinstance(condition, AllOf | AnyOf) and not condition.hold_for else text


def _hold(condition: Condition) -> str:
    hold = hold_of(condition)
    return f" for {durations.text(hold)}" if hold else ""


def _leaf(condition: Leaf) -> str:
    match condition:
        case Compare():
            return _compare(condition)
        case Outside():
            return _outside(condition)
        case Ratio():
            return _ratio(condition)
        case Anomaly():
            return _anomaly(condition)
        case Forecast():
            return _forecast(condition)
        case PromQL():
            source = "" if condition.source == DEFAULT_SOURCE else f" from {name_text(condition.source)}"
            return f"promql {quoted(condition.query)}{source}"
        case Absent():
            return f"no {selector(condition.metric, condition.tags)} for {durations.text(condition.silent_for)}"
        case EventMatches():
            return event_text(condition)


def _compare(condition: Compare) -> str:
    return f"{measure_text(condition.measure)} {_limit(condition, condition.measure.across)}"


def _ratio(condition: Ratio) -> str:
    return f"{ratio_text(condition)} {_limit(condition, condition.across)}"


def _limit(condition: Compare | Ratio, across: Across) -> str:
    recover = "" if condition.recover is None else f" recover at {numerals.exact(condition.recover)}"
    return f"{SIGNS[condition.comparison]} {numerals.exact(condition.threshold)}{_series(across)}{recover}"


def _outside(condition: Outside) -> str:
    recover = "" if condition.recover is None else f" recover at {band_text(condition.recover)}"
    band = f"outside {band_text(condition.band)}{_series(condition.measure.across)}"
    return f"{measure_text(condition.measure)} {band}{recover}"


def _series(across: Across) -> str:
    return " on all series" if across is Across.ALL else ""


def _anomaly(condition: Anomaly) -> str:
    name = selector(condition.metric, condition.tags)
    using = "" if condition.method is Method.ROBUST_Z else f" using {condition.method}"
    if condition.method is Method.SEASONAL and condition.period != DEFAULT_PERIOD:
        using += f" every {durations.text(condition.period)}"
    beyond = "" if condition.sigma == DEFAULT_SIGMA else f" beyond {numerals.exact(condition.sigma)} sigma"
    return f"{name} {ANOMALOUS[condition.direction]} over {durations.text(condition.window)}{using}{beyond}"


def _forecast(condition: Forecast) -> str:
    limit = f"{SIGNS[condition.comparison]} {numerals.exact(condition.threshold)}"
    times = f"within {durations.text(condition.within)}, from {durations.text(condition.window)}"
    return f"{selector(condition.metric, condition.tags)} {limit} {times}"


def event_text(condition: EventMatches) -> str:
    """`3 critical deploy_failed events in 5m`."""
    severity = "" if condition.severity is None else f"{name_text(condition.severity)} "
    what = severity + selector(condition.event, condition.tags)
    came = f"{what} event" if condition.count == 1 else f"{condition.count} {what} events"
    resolved = "" if condition.resolved_by is None else f" resolved by {_resolving(condition.resolved_by)}"
    return f"{came} in {durations.text(condition.window)}{resolved}"


def _resolving(resolved: ResolvedBy) -> str:
    name = "" if resolved.event is None else name_text(resolved.event)
    tags = tags_text(resolved.tags) if resolved.tags else ""
    return f"{name}{tags}" + (f" with same {names_text(resolved.same)}" if resolved.same else "")
