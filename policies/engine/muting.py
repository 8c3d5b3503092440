"""Whether an incident is muted, by what, and why: silences, maintenance, inhibition, a common cause.

A muted incident is recorded and shown; it announces nothing and orders nothing.
"""

import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from policies.engine import calendar, suggestions, tags, targets
from policies.engine.calendar import Schedule
from policies.engine.conditions import SEVERITIES
from policies.engine.tags import TagMatcher, TagOperator
from policies.engine.values import TargetData

FIELDS = ("target", "policy", "severity")
"""What a matcher can name of the incident itself; every other name is a tag."""
LEAST_BAD = 5
"""Fewer bad targets say nothing about a common cause, whatever their share."""
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]{0,63})\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)


class Kind(enum.StrEnum):
    """What mutes; also the guard that its decisions name."""

    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    INHIBITION = "inhibition"
    COMMON_CAUSE = "common_cause"


class UnusableMatcher(ValueError):
    """The matcher cannot be meant as it stands; the message says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What matchers look at."""

    target: str
    policy: str
    severity: str
    tags: Mapping[str, str] = field(default_factory=dict)
    incident_id: int | None = None

    def named(self, name: str) -> str:
        """The incident's own field of that name, else its tag; "" when it has none."""
        return str(getattr(self, name)) if name in FIELDS else self.tags.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Why an incident is muted."""

    kind: Kind
    reason: str
    """The same at every evaluation while nothing changes, so that it is written down once."""
    until: datetime | None = None
    numbers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Somebody wants no noise about these incidents for a while."""

    id: int
    matchers: tuple[TagMatcher, ...]
    """Blank: the one incident alone."""
    starts_at: datetime
    ends_at: datetime | None
    """None: until the incident is over."""
    author: str
    comment: str
    incident_id: int | None = None

    def covers(self, subject: Subject, at: datetime) -> bool:
        """Whether it is in force and means this incident."""
        if at < self.starts_at or (self.ends_at is not None and at >= self.ends_at):
            return False
        if not self.matchers:
            return self.incident_id is not None and self.incident_id == subject.incident_id
        return match(self.matchers, subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Work on some targets that was announced: Vigil keeps its hands off."""

    id: int
    target: str
    schedule: Schedule
    author: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """While a source incident is open, target incidents that agree with it on `equal` are held."""

    id: int
    name: str
    source: tuple[TagMatcher, ...]
    target: tuple[TagMatcher, ...]
    equal: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """When many targets going bad at once are taken for one trouble."""

    percent: int
    """More than this share of the group's known targets; 100 never holds."""
    within: timedelta
    group_by: str = ""
    """The tag that divides the policy's targets into groups; "" is one group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The numbers that made the brake hold."""

    bad: int
    known: int

    def reason(self, brake: Brake, group: str) -> str:
        """One sentence with the numbers."""
        where = f" where {brake.group_by} is {group}" if brake.group_by else ""
        seconds = int(brake.within.total_seconds())
        return (
            f"{self.bad} of {self.known} known targets{where} went bad within {seconds} s, "
            f"more than {brake.percent} %: a common cause is likely, so no single target is acted on"
        )


def agreed(data: TargetData) -> dict[str, str]:
    """The tags that say the same in every series and event of a target that has them: what is true of all of it."""
    said: dict[str, set[str]] = {}
    everything = [one.tags for many in data.series.values() for one in many] + [one.tags for one in data.events]
    for found in everything:
        for name, value in found.items():
            said.setdefault(name, set()).add(value)
    return {name: next(iter(values)) for name, values in sorted(said.items()) if len(values) == 1}


def read(text: str) -> TagMatcher:
    """Read `name = value`, with `=`, `!=`, `=~` or `!~`; UnusableMatcher says what is wrong."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise UnusableMatcher(f"`{text[:60]}` is no matcher; write name, operator and value, as in `target = web-*`")
    name, operator, value = found.groups()
    if value.startswith(("=", "~")):
        advice = "there are the operators `=`, `!=`, `=~` and `!~`; a value in quotes may begin with any sign"
        raise UnusableMatcher(f"`{text[:60]}`: {advice}")
    return made(name=name, operator=operator, value=_unquoted(value))


def made(*, name: str, operator: str, value: str) -> TagMatcher:
    """A matcher of its three parts; UnusableMatcher says what is wrong."""
    if operator not in TagOperator:
        raise UnusableMatcher(f"`{operator[:20]}` is no operator; there are `=`, `!=`, `=~` and `!~`")
    matcher = TagMatcher(name=name, operator=TagOperator(operator), pattern=value)
    problem = tags.problem(matcher) or _misspelt(matcher)
    if problem is not None:
        raise UnusableMatcher(f"`{name}`: {problem}")
    return matcher


def text(matcher: TagMatcher) -> str:
    """The matcher as `read` takes it back."""
    plain = re.fullmatch(r"[^\s\"=~](?:.*[^\s\"])?", matcher.pattern)
    value = matcher.pattern if plain else json.dumps(matcher.pattern, ensure_ascii=False)
    return f"{matcher.name} {matcher.operator.value} {value}"


def sentence(matchers: Sequence[TagMatcher]) -> str:
    """All of them as one line."""
    return " and ".join(text(one) for one in matchers)


def objection(matchers: Sequence[TagMatcher]) -> str | None:
    """Why these matchers together cannot be meant; None when they can.

    What fits the empty text fits everything that lacks the tag, so at least one must ask for something.
    """
    if not matchers:
        return "name what is meant with at least one matcher, such as `target = web-*`; `target = *` is everything"
    if any(_asks_for_something(one) for one in matchers):
        return None
    return "these fit every incident; if that is meant, write `target = *`"


def match(matchers: Iterable[TagMatcher], subject: Subject) -> bool:
    """Whether the incident meets every matcher; there must be one."""
    wanted = list(matchers)
    return bool(wanted) and all(_holds(one, subject) for one in wanted)


def silenced(silences: Iterable[Silence], subject: Subject, *, at: datetime) -> Mute | None:
    """By the silence that lasts longest."""
    covering = [one for one in silences if one.covers(subject, at)]
    if not covering:
        return None
    longest = max(covering, key=lambda one: (one.ends_at is None, one.ends_at or at, one.id))
    if longest.ends_at is None:
        until = "until the incident is over"
    else:
        until = f"until {clock(longest.ends_at, beside=longest.starts_at)}"
    return Mute(
        kind=Kind.SILENCE,
        reason=f"silenced by {_person(longest.author)} {until}{_why(longest.comment)}",
        until=longest.ends_at,
        numbers={"silence_id": longest.id, "until": _iso(longest.ends_at)},
    )


def in_maintenance(windows: Iterable[Window], target: str, *, at: datetime) -> Mute | None:
    """By the maintenance window that is open longest."""
    openings = [
        (span, one)
        for one in windows
        if targets.matches(one.target, target) and (span := calendar.open_at(one.schedule, at)) is not None
    ]
    if not openings:
        return None
    span, window = max(openings, key=lambda pair: (pair[0].ends_at, pair[1].id))
    return Mute(
        kind=Kind.MAINTENANCE,
        reason=f"in maintenance until {clock(span.ends_at, beside=span.starts_at)}{_why(window.comment)}",
        until=span.ends_at,
        numbers={"maintenance_id": window.id, "until": _iso(span.ends_at)},
    )


def overtaken(windows: Iterable[Window], target: str, *, ordered_at: datetime, at: datetime) -> Mute | None:
    """By a window that was open at any time since the action was ordered: nothing is replayed after maintenance."""
    for window in windows:
        if not targets.matches(window.target, target):
            continue
        span = calendar.last_between(window.schedule, since=ordered_at, until=at)
        if span is not None:
            return Mute(
                kind=Kind.MAINTENANCE,
                reason=f"ordered at {clock(ordered_at)}, before the maintenance that ended at {clock(span.ends_at)}"
                if span.ends_at <= at
                else f"in maintenance until {clock(span.ends_at, beside=span.starts_at)}{_why(window.comment)}",
                until=span.ends_at,
                numbers={"maintenance_id": window.id, "until": _iso(span.ends_at)},
            )
    return None


def inhibited(rules: Iterable[Inhibition], subject: Subject, sources: Iterable[Subject]) -> Mute | None:
    """By an open source incident. One that is source and target of a rule at once holds no other of its kind."""
    known = list(sources)
    for rule in rules:
        if not match(rule.target, subject):
            continue
        both = match(rule.source, subject)
        for source in known:
            if _holds_back(rule, source, subject) and not (both and match(rule.target, source)):
                return Mute(
                    kind=Kind.INHIBITION,
                    reason=f"held by {rule.name}: {source.policy} is open on {source.target} "
                    f"(incident {source.incident_id})",
                    numbers={"inhibition_id": rule.id, "source_incident_id": source.incident_id},
                )
    return None


def common_cause(brake: Brake, *, bad: int, known: int, standing: bool = False) -> Cause | None:
    """Whether so many bad targets of a group mean one cause; a brake that holds lets go when the share has fallen."""
    enough = standing or bad >= LEAST_BAD
    return Cause(bad=bad, known=known) if enough and bad * 100 > known * brake.percent else None


def clock(moment: datetime, *, beside: datetime | None = None) -> str:
    """A moment in UTC; without its date where `beside` is on the same one."""
    shown = moment.astimezone(UTC)
    same_day = beside is not None and beside.astimezone(UTC).date() == shown.date()
    return f"{shown:%H:%M} UTC" if same_day else f"{shown:%Y-%m-%d %H:%M} UTC"


def _holds(matcher: TagMatcher, subject: Subject) -> bool:
    value = subject.named(matcher.name)
    if matcher.name == "target" and not matcher.operator.is_regex and matcher.pattern in targets.EVERYTHING:
        return not matcher.operator.negates
    return tags.match([matcher], {matcher.name: value})


def _holds_back(rule: Inhibition, source: Subject, subject: Subject) -> bool:
    """An incident does not hold itself, and a label that neither has is no agreement."""
    if source.incident_id == subject.incident_id or not match(rule.source, source):
        return False
    return all(source.named(name) == subject.named(name) != "" for name in rule.equal)


def _asks_for_something(matcher: TagMatcher) -> bool:
    if matcher.name == "target" and matcher.operator is TagOperator.IS and matcher.pattern in targets.EVERYTHING:
        return True
    return not tags.match([matcher], {})


def _misspelt(matcher: TagMatcher) -> str | None:
    """A tag may have any name, but one that is nearly a field's was meant to be that."""
    if matcher.name not in FIELDS:
        meant = suggestions.closest(matcher.name, FIELDS)
        near = meant is not None and (matcher.name.lower() == meant or matcher.name.rstrip("s") == meant)
        return f"did you mean `{meant}`?" if near else None
    if matcher.name == "severity" and not matcher.operator.is_regex and not _is_glob(matcher.pattern):
        known = matcher.pattern in SEVERITIES
        return None if known else f"there are the severities {', '.join(SEVERITIES)}"
    return None


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        inner = json.loads(value)
    except json.JSONDecodeError as error:
        raise UnusableMatcher(
            f'`{value[:60]}` is not closed as it was opened; quote it as in `target = "a b"`'
        ) from error
    return str(inner)


def _person(actor: str) -> str:
    return actor.removeprefix("user:")


def _why(comment: str) -> str:
    return f": {' '.join(comment.split())}" if comment.strip() else ""


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
