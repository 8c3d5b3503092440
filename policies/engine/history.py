"""The moments at which the answer of a condition may change, for judging a nested `for` from stored samples."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from policies.engine import conditions, globs, measuring
from policies.engine.conditions import Absent, Anomaly, Condition, EventMatches, Forecast
from policies.engine.values import TargetData

MOST_MOMENTS = 600
"""More are thinned out evenly: finer than any sweep looks, and a dense series cannot stall one."""
_JUST_AFTER = timedelta(microseconds=1)


def moments(
    condition: Condition, data: TargetData, *, since: datetime, until: datetime, staleness: timedelta
) -> list[datetime]:
    """`since` itself and every later moment before `until` at which a sample came or ceased to count, in order."""
    times = {
        moment
        for node in conditions.walk(condition)
        for came_at, counts_for in _spans(node, data, staleness)
        for moment in (came_at, came_at + counts_for)
        if since < moment < until
    }
    return _thinned([since, *sorted(times)])


def _spans(node: Condition, data: TargetData, staleness: timedelta) -> Iterator[tuple[datetime, timedelta]]:
    """When each sample of a leaf came, and for how long it has a say."""
    for measure in conditions.measures_of(node):
        length = measure.window or staleness + _JUST_AFTER
        for series in measuring.selected(measure.metric, measure.tags, data):
            yield from ((sample.at, length) for sample in series.samples)
    match node:
        case Forecast() | Anomaly():
            length = node.window if isinstance(node, Forecast) else staleness + _JUST_AFTER
            for series in measuring.selected(node.metric, node.tags, data):
                yield from ((sample.at, length) for sample in series.samples)
        case Absent():
            for series in measuring.selected(node.metric, node.tags, data):
                yield from ((sample.at, node.silent_for) for sample in series.samples)
        case EventMatches():
            yield from ((event.at, node.window) for event in data.events if _meant(node, event.name))
        case _:
            return


def _meant(node: EventMatches, name: str) -> bool:
    return any(globs.matches(pattern, name) for pattern in conditions.event_names(node))


def _thinned(times: list[datetime]) -> list[datetime]:
    if len(times) <= MOST_MOMENTS:
        return times
    step = (len(times) - 1) / (MOST_MOMENTS - 1)
    return [times[round(place * step)] for place in range(MOST_MOMENTS)]
