"""Regroup the data of many targets by tags: a group becomes a target of its own, named `zone=eu-1`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from policies.engine import conditions, tags
from policies.engine.conditions import Condition
from policies.engine.values import Event, FleetData, Series, TargetData

type _Key = tuple[str, ...]


@dataclass(slots=True)
class _Members:
    series: dict[str, list[Series]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


def name(group: Mapping[str, str]) -> str:
    """The target's name of a group: `zone=eu-1`, or `zone=eu-1,rack=7` in the order of `by`."""
    return ",".join(f"{tag}={value}" for tag, value in group.items())


def regroup(condition: Condition, data: FleetData) -> dict[str, TargetData]:
    """One TargetData for each group that a grouped measure of the condition finds, by the group's name.

    Every series and event that has the tags belongs to its group. One that lacks any of them belongs to none:
    a group without a name could not be acted on.
    """
    by = conditions.grouping(condition)
    groups: dict[_Key, _Members] = {}
    for target in data.targets:
        _share(groups, by, target)
    wanted = {key for key, members in groups.items() if by and _is_meant(condition, members)}
    since = max((target.since for target in data.targets if target.since is not None), default=None)
    named = ((dict(zip(by, key, strict=True)), groups[key]) for key in sorted(wanted))
    return {
        name(group): TargetData(
            target=name(group),
            series={metric: tuple(series) for metric, series in members.series.items()},
            events=tuple(sorted(members.events, key=lambda event: (event.at, event.id))),
            answers={question: answer.about(_within(group)) for question, answer in data.answers.items()},
            since=since,
        )
        for group, members in named
    }


def _share(groups: dict[_Key, _Members], by: Sequence[str], target: TargetData) -> None:
    for metric, many in target.series.items():
        for series in many:
            for members in _home(groups, by, series.tags):
                members.series.setdefault(metric, []).append(series)
    for event in target.events:
        for members in _home(groups, by, event.tags):
            members.events.append(event)


def _home(groups: dict[_Key, _Members], by: Sequence[str], found: Mapping[str, str]) -> Iterator[_Members]:
    """The group of something with these tags, if it has them all."""
    key = tuple(found.get(tag, "") for tag in by)
    if all(key):
        yield groups.setdefault(key, _Members())


def _is_meant(condition: Condition, members: _Members) -> bool:
    grouped = (one for node in conditions.walk(condition) for one in conditions.measures_of(node) if one.by)
    return any(_fits(one.tags, members.series.get(one.metric, ())) for one in grouped)


def _fits(matchers: Sequence[tags.TagMatcher], several: Iterable[Series]) -> bool:
    return any(tags.match(matchers, series.tags) for series in several)


def _within(group: Mapping[str, str]) -> Callable[[Mapping[str, str]], bool]:
    return lambda labels: all(labels.get(tag) == value for tag, value in group.items())
