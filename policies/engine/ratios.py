"""Judge a ratio: each series of one measure over its partner of the other, never over nothing and never over zero."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from policies.engine import comparing, measuring, sentences
from policies.engine.bounds import bound_of
from policies.engine.conditions import Measure, Ratio
from policies.engine.measuring import Found, Measured, Missing
from policies.engine.values import Series, TargetData, Verdict

type _One = Found | Missing


def ratio(condition: Ratio, data: TargetData, *, at: datetime, staleness: timedelta, was_violated: bool) -> Verdict:
    """The verdict of one ratio; its own `for` is not looked at."""
    bound = bound_of(condition, was_violated=was_violated)
    measured = _quotients(condition, data, at, staleness)
    if not measured.found:
        never = f"{data.target} has never sent {_unheard(condition, data)}"
        return comparing.nothing(never, sentences.ratio_text(condition), bound, measured)

    def heard(missing: Missing) -> float | None:
        then = None if missing.last is None else _quotients(condition, data, missing.last.at, staleness)
        return next((one.value for one in then.found if one.series == missing.series), None) if then else None

    def label(found: Found) -> str:
        named = comparing.telling_tags(measured, found) if len(measured.found) > 1 else ()
        return sentences.ratio_text(condition) + (f" of {sentences.tags_text(named)}" if named else "")

    silent = comparing.fell_silent(bound, measured, heard, at=at, staleness=staleness) if was_violated else ()
    return comparing.judged(bound, measured, label=label, silent=silent, across=condition.across)


def _quotients(condition: Ratio, data: TargetData, at: datetime, staleness: timedelta) -> Measured:
    over = _side(condition.over, data, at, staleness)
    under = _side(condition.under, data, at, staleness)
    read = [_quotient(condition, series, one, other) for series, one, other in _pairs(condition, over, under)]
    return Measured(
        found=tuple(one for one in read if isinstance(one, Found)),
        missing=tuple(one for one in read if isinstance(one, Missing)),
    )


def _side(measure: Measure, data: TargetData, at: datetime, staleness: timedelta) -> Sequence[_One]:
    """Every series of one side, or the one number they make together."""
    measured = measuring.measure(measure, data, at=at, staleness=staleness)
    if not measured.found or not measure.across.is_number:
        return (*measured.found, *measured.missing)
    value = comparing.combined(measure.across, [found.value for found in measured.found])
    newest = max(found.newest_at for found in measured.found)
    return (Found(series=Series(name=measure.metric), value=value, newest_at=newest),)


def _pairs(condition: Ratio, over: Sequence[_One], under: Sequence[_One]) -> list[tuple[Series, _One, _One | None]]:
    """One number goes with every series; series go with those of the same tags; a lone one with another lone one."""
    if condition.over.across.is_number and len(over) == 1:
        return [(other.series, over[0], other) for other in under] or [(over[0].series, over[0], None)]
    if len(under) == 1 and (condition.under.across.is_number or len(over) == 1):
        return [(one.series, one, under[0]) for one in over]
    partners = {_key(other.series.tags): other for other in under}
    return [(one.series, one, partners.get(_key(one.series.tags))) for one in over]


def _key(tags: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(tags.items())


def _quotient(condition: Ratio, series: Series, over: _One, under: _One | None) -> _One:
    if isinstance(over, Missing) or under is None or isinstance(under, Missing):
        return _without(condition, series, over, under)
    last = measuring.newest(series, max(over.newest_at, under.newest_at))
    name = sentences.measure_text(condition.under)
    if under.value == 0:
        return Missing(series=series, reason=f"{name} is 0, so there is no ratio to judge", last=last)
    value = over.value / under.value
    if not math.isfinite(value):
        return Missing(series=series, reason=f"{sentences.ratio_text(condition)} is not a number", last=last)
    return Found(series=series, value=value, newest_at=min(over.newest_at, under.newest_at))


def _without(condition: Ratio, series: Series, over: _One, under: _One | None) -> Missing:
    """The side that is missing says why; with none of the same tags, how to divide all the same."""
    silent = next((one for one in (over, under) if isinstance(one, Missing)), None)
    if silent is not None:
        return Missing(series=series, reason=silent.reason, last=silent.last)
    names = sentences.measure_text(condition.over), sentences.measure_text(condition.under)
    reason = f"{names[0]} has no {names[1]} of the same tags to be divided by; sum(...) on both sides needs none"
    return Missing(series=series, reason=reason, last=series.samples[-1] if series.samples else None)


def _unheard(condition: Ratio, data: TargetData) -> str:
    sides = (condition.over, condition.under)
    unheard = [side for side in sides if not measuring.selected(side.metric, side.tags, data)]
    first = unheard[0] if unheard else condition.over
    return sentences.selector(first.metric, first.tags)
