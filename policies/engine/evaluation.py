"""evaluate(condition, data, at) -> Verdict: the one function that ingest, sweep, preview and policy tests all call."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from policies.engine import (
    anomalies,
    asking,
    comparing,
    conditions,
    durations,
    forecasts,
    grouping,
    history,
    measuring,
    occurrences,
    ratios,
    sentences,
)
from policies.engine.conditions import (
    Absent,
    AllOf,
    Anomaly,
    AnyOf,
    Compare,
    Condition,
    EventMatches,
    Forecast,
    Not,
    Outside,
    PromQL,
    Ratio,
    hold_of,
)
from policies.engine.values import FleetData, Numbers, Outcome, TargetData, Verdict

_MOST_REASONS = 3
_WORST_FIRST = (Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.HEALTHY)
_OPPOSITE = {
    Outcome.VIOLATED: Outcome.HEALTHY,
    Outcome.HEALTHY: Outcome.VIOLATED,
    Outcome.UNKNOWN: Outcome.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What one judgement looks at."""

    data: TargetData
    at: datetime
    staleness: timedelta
    was_violated: bool


def evaluate(
    condition: Condition,
    data: TargetData,
    *,
    at: datetime,
    staleness: timedelta,
    was_violated: bool = False,
) -> Verdict:
    """Judge one target at one time. The condition's own `for` is left to the lifecycle; nested ones are judged here.

    A value counts for `staleness` after its time; `was_violated` applies `recover`. A condition with `by` is judged
    for every group among this target's own series, and the worst group answers; see `evaluate_groups` for a fleet.
    """
    if conditions.grouping(condition):
        own = FleetData(targets=(data,), answers=data.answers)
        held = grouping.regroup(condition, own) if was_violated else ()
        verdicts = evaluate_groups(condition, own, at=at, staleness=staleness, was_violated=held)
        return _worst(verdicts, condition, data)
    return _at_once(condition, _View(data=data, at=at, staleness=staleness, was_violated=was_violated))


def evaluate_part(
    condition: Condition, data: TargetData, *, at: datetime, staleness: timedelta, was_violated: bool
) -> Verdict:
    """Judge a condition that stands inside another one: its `for` is judged from stored samples.

    Inside one with `by`, give the data of one group.
    """
    return _inside(condition, _View(data=data, at=at, staleness=staleness, was_violated=was_violated))


def evaluate_groups(
    condition: Condition,
    data: FleetData,
    *,
    at: datetime,
    staleness: timedelta,
    was_violated: Collection[str] = (),
    expected: Collection[str] = (),
) -> dict[str, Verdict]:
    """Judge a condition with `by`: the verdict of each group by its name, such as `zone=eu-1`.

    A group counts as one target made of all series with its tags. `was_violated` names groups to which `recover`
    applies; these and the `expected` ones get a verdict, unknown, even when nothing of them is left.
    """
    groups = grouping.regroup(condition, data)
    for name in (*was_violated, *expected):
        groups.setdefault(name, TargetData(target=name))
    return {
        name: _at_once(condition, _View(data=group, at=at, staleness=staleness, was_violated=name in was_violated))
        for name, group in groups.items()
    }


def _worst(verdicts: Mapping[str, Verdict], condition: Condition, data: TargetData) -> Verdict:
    """The worst group answers for all, and is named."""
    if not verdicts:
        by = ", ".join(conditions.grouping(condition))
        return Verdict(outcome=Outcome.UNKNOWN, reason=f"{data.target} has no series to group by {by}")
    name, worst = min(verdicts.items(), key=lambda item: _WORST_FIRST.index(item[1].outcome))
    return replace(worst, reason=f"{name}: {worst.reason}")


def _at_once(condition: Condition, view: _View) -> Verdict:
    """The verdict at this moment, whatever the condition's own `for`."""
    data, at, staleness, was_violated = view.data, view.at, view.staleness, view.was_violated
    match condition:
        case Compare() | Outside():
            return comparing.compare(condition, data, at=at, staleness=staleness, was_violated=was_violated)
        case Ratio():
            return ratios.ratio(condition, data, at=at, staleness=staleness, was_violated=was_violated)
        case Anomaly():
            return anomalies.anomaly(condition, data, at=at, staleness=staleness, was_violated=was_violated)
        case Forecast():
            return forecasts.forecast(condition, data, at=at, staleness=staleness, was_violated=was_violated)
        case PromQL():
            return asking.promql(condition, data, at=at, staleness=staleness)
        case Absent():
            return _absent(condition, view)
        case EventMatches():
            return occurrences.events(condition, data, at=at)
        case AllOf():
            return _joined(condition.conditions, view, decisive=Outcome.HEALTHY)
        case AnyOf():
            return _joined(condition.conditions, view, decisive=Outcome.VIOLATED)
        case Not():
            return _negated(condition, view)


def _inside(condition: Condition, view: _View) -> Verdict:
    """The verdict of a condition inside another one, where its `for` is judged from history."""
    now = _at_once(condition, view)
    if not hold_of(condition) or now.outcome is not Outcome.VIOLATED:
        return now
    return _held(condition, view, now)


def _held(condition: Condition, view: _View, now: Verdict) -> Verdict:
    """Look back from now: one healthy moment ends it, one unknown moment leaves it open."""
    hold = hold_of(condition)
    unsure = False
    since = view.at
    moments = history.moments(condition, view.data, since=view.at - hold, until=view.at, staleness=view.staleness)
    for moment in reversed(moments):
        past = _at_once(condition, replace(view, at=moment)).outcome
        if past is Outcome.HEALTHY:
            return replace(now, outcome=Outcome.HEALTHY, reason=_progress(now, view.at - since, hold))
        unsure = unsure or past is Outcome.UNKNOWN
        since = since if unsure else moment
    if unsure:
        return replace(now, outcome=Outcome.UNKNOWN, reason=f"{_progress(now, view.at - since, hold)}, unknown before")
    return replace(now, reason=f"{now.reason} for {durations.spell(hold)}")


def _progress(now: Verdict, lasted: timedelta, hold: timedelta) -> str:
    return f"{now.reason} for {durations.spell(lasted)} of {durations.spell(hold)}"


def _joined(conditions: Sequence[Condition], view: _View, *, decisive: Outcome) -> Verdict:
    """One decisive answer settles it, one unknown answer leaves it open, else all agree on the opposite."""
    verdicts = [_inside(condition, view) for condition in conditions]
    outcomes = {verdict.outcome for verdict in verdicts}
    outcome = next((one for one in (decisive, Outcome.UNKNOWN) if one in outcomes), _OPPOSITE[decisive])
    deciding = [verdict for verdict in verdicts if verdict.outcome is outcome]
    return Verdict(
        outcome=outcome,
        reason=_together([verdict.reason for verdict in deciding]),
        numbers=_numbered(verdicts),
        value=deciding[0].value,
        newest_at=max((verdict.newest_at for verdict in verdicts if verdict.newest_at is not None), default=None),
        fewest=min((verdict.fewest for verdict in deciding if verdict.fewest is not None), default=None),
    )


def _negated(condition: Not, view: _View) -> Verdict:
    """The child stood on the other side of its own line when the whole was violated."""
    inner = _inside(condition.condition, replace(view, was_violated=not view.was_violated))
    return replace(inner, outcome=_OPPOSITE[inner.outcome])


def _together(reasons: Sequence[str]) -> str:
    said = " and ".join(reasons[:_MOST_REASONS])
    unsaid = len(reasons) - _MOST_REASONS
    return f"{said} and {unsaid} more" if unsaid > 0 else said


def _numbered(verdicts: Sequence[Verdict]) -> Numbers:
    return {
        f"{place}.{name}": number
        for place, verdict in enumerate(verdicts, start=1)
        for name, number in verdict.numbers.items()
    }


def _absent(condition: Absent, view: _View) -> Verdict:
    """Silence of something never heard is not silence: it stays unknown."""
    name = sentences.selector(condition.metric, condition.tags)
    chosen = measuring.selected(condition.metric, condition.tags, view.data)
    heard = [last.at for series in chosen if (last := measuring.newest_number(series, view.at)) is not None]
    if not heard:
        return Verdict(outcome=Outcome.UNKNOWN, reason=f"{view.data.target} has never sent {name}")
    silence = view.at - max(heard)
    silent = silence >= condition.silent_for
    said = f"no {name} for {durations.spell(silence)}" if silent else f"{name} seen {durations.spell(silence)} ago"
    return Verdict(
        outcome=Outcome.VIOLATED if silent else Outcome.HEALTHY,
        reason=said,
        numbers={"silent_seconds": silence.total_seconds(), "allowed_seconds": condition.silent_for.total_seconds()},
        value=silence.total_seconds(),
        newest_at=max(heard),
    )
