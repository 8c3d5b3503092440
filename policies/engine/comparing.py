"""Judge a comparison: measure every series of the target, then make one answer of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from policies.engine import aggregates, measuring, sentences
from policies.engine.bounds import Bound, bound_of
from policies.engine.conditions import Across, Compare, Measure, Outside
from policies.engine.measuring import Found, Measured, Missing
from policies.engine.tags import TagMatcher
from policies.engine.values import Outcome, TargetData, Verdict

SILENCE_REMEMBERED = 12
"""While violated, a series that fell silent above its line holds the answer open for so many staleness windows."""

_COMBINE: dict[Across, Callable[[Sequence[float]], float]] = {
    Across.AVG: aggregates.mean,
    Across.SUM: aggregates.total,
    Across.MIN: min,
    Across.MAX: max,
    Across.COUNT: lambda values: float(len(values)),
}

type Label = Callable[[Found], str]
"""How the number of one series is called in a reason."""
type WhenHeard = Callable[[Missing], float | None]
"""The number a silent series gave when it was last heard; None when it gave none even then."""


def compare(
    condition: Compare | Outside, data: TargetData, *, at: datetime, staleness: timedelta, was_violated: bool
) -> Verdict:
    """The verdict of one comparison; its own `for` is not looked at."""
    measure = condition.measure
    bound = bound_of(condition, was_violated=was_violated)
    measured = measuring.measure(measure, data, at=at, staleness=staleness)
    if not measured.found:
        never = f"{data.target} has never sent {sentences.selector(measure.metric, measure.tags)}"
        return nothing(never, sentences.measure_text(measure), bound, measured)
    if measure.across.is_number:
        return _combined(measure, bound, measured)
    silent: Sequence[Missing] = ()
    if was_violated:
        heard = partial(measuring.when_heard, measure, staleness=staleness)
        silent = fell_silent(bound, measured, heard, at=at, staleness=staleness)
    label = partial(measure_label, measure, measured)
    return judged(bound, measured, label=label, silent=silent, across=measure.across)


def combined(across: Across, values: Sequence[float]) -> float:
    """The one number of several series; not finite when it is too large for a float."""
    return _COMBINE[across](values)


def fell_silent(
    bound: Bound, measured: Measured, heard: WhenHeard, *, at: datetime, staleness: timedelta
) -> list[Missing]:
    """An agent that died while it reported trouble must not look like a fix because others live on."""
    recent = [one for one in measured.missing if _recent(one, at, staleness)]
    values = [(one, heard(one)) for one in recent]
    return [one for one, value in values if value is not None and bound.broken_by(value)]


def nothing(never: str, label: str, bound: Bound, measured: Measured) -> Verdict:
    """The answer when no series has a number: why the most recently heard one has none, or that there never was one."""
    known = min(measured.missing, key=lambda one: (one.last is None, -_moment(one)), default=None)
    return Verdict(
        outcome=Outcome.UNKNOWN,
        reason=never if known is None else known.reason,
        numbers={label: None, **bound.numbers()},
        newest_at=measured.newest_at,
    )


def judged(
    bound: Bound, measured: Measured, *, label: Label, silent: Sequence[Missing] = (), across: Across = Across.ANY
) -> Verdict:
    """Any: the worst series answers for all. All: the mildest one does. At least one must have been found."""
    pick = min if across is Across.ALL else max
    chosen = pick(measured.found, key=lambda found: (bound.broken_by(found.value), bound.excess(found.value)))
    violated = bound.broken_by(chosen.value)
    verdict = _verdict(bound, label(chosen), chosen.value, measured, violated)
    if violated and across is Across.ALL and len(measured.found) > 1:
        return replace(verdict, reason=f"{verdict.reason}, as on all {len(measured.found)} series")
    if not violated and silent and across is Across.ANY:
        return replace(verdict, outcome=Outcome.UNKNOWN, reason=silent[0].reason, value=None)
    return verdict


def measure_label(measure: Measure, measured: Measured, chosen: Found) -> str:
    """Among several series the tags in which they differ say which one is meant."""
    if len(measured.found) < 2:
        return sentences.measure_text(measure)
    return sentences.measure_text(replace(measure, tags=telling_tags(measured, chosen)))


def telling_tags(measured: Measured, chosen: Found) -> tuple[TagMatcher, ...]:
    """The tags of one series in which it differs from another."""
    others = [found.series.tags for found in measured.found]
    return tuple(
        TagMatcher(name=name, pattern=value)
        for name, value in sorted(chosen.series.tags.items())
        if any(tags.get(name) != value for tags in others)
    )


def _recent(missing: Missing, at: datetime, staleness: timedelta) -> bool:
    return missing.last is not None and at - missing.last.at <= staleness * SILENCE_REMEMBERED


def _moment(missing: Missing) -> float:
    return 0.0 if missing.last is None else missing.last.at.timestamp()


def _combined(measure: Measure, bound: Bound, measured: Measured) -> Verdict:
    value = combined(measure.across, [found.value for found in measured.found])
    label = sentences.measure_text(measure)
    if not math.isfinite(value):
        return Verdict(outcome=Outcome.UNKNOWN, reason=f"{label} is not a number", newest_at=measured.newest_at)
    return _verdict(bound, label, value, measured, bound.broken_by(value))


def _verdict(bound: Bound, label: str, value: float, measured: Measured, violated: bool) -> Verdict:
    return Verdict(
        outcome=Outcome.VIOLATED if violated else Outcome.HEALTHY,
        reason=f"{label} {bound.statement(value)}",
        numbers={label: value, **bound.numbers()},
        value=value,
        newest_at=measured.newest_at,
        fewest=min((found.samples for found in measured.found if found.samples is not None), default=None),
    )
