"""Everything that mutes, compiled and cached in each process; and what it says of an incident.

The book's version row tells of changes here too, so a reading that is about nothing bad pays nothing for muting, and
one that is pays no query of its own unless something changed or an inhibition rule is about it.
"""

import functools
import operator
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from django.db import models
from django.db.models import Q

from policies import book
from policies.engine import calendar, muting
from policies.engine.calendar import Schedule, Weekly
from policies.engine.muting import Inhibition, Kind, Mute, Silence, Subject, Window
from policies.engine.tags import TagMatcher, TagOperator
from policies.models import CommonCause, Incident, IncidentStatus, InhibitionRule, MaintenanceWindow
from policies.models import Silence as SilenceRow

log = structlog.get_logger(__name__)

REMEMBERED = timedelta(days=2)
"""Windows are known this long after their end: no action waits longer, and one ordered before must not begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A common cause that holds the targets of one group of one policy."""

    policy: str
    group_by: str
    group: str
    mute: Mute

    def covers(self, subject: Subject) -> bool:
        """Whether the incident belongs to the group."""
        return self.policy == subject.policy and (not self.group_by or subject.tags.get(self.group_by) == self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What mutes now or will, as values."""

    version: tuple[int, int]
    silences: tuple[Silence, ...]
    windows: tuple[Window, ...]
    inhibitions: tuple[Inhibition, ...]
    causes: tuple[Standing, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing mutes anything."""
        return not (self.silences or self.windows or self.inhibitions or self.causes)


_lock = threading.Lock()
_cached: Kept | None = None


def current(at: datetime) -> Kept:
    """What mutes, at most half a second old."""
    global _cached
    version = book.mutes_version(at)
    with _lock:
        if _cached is None or _cached.version != version:
            _cached = _load(version, at)
        return _cached


def why(subject: Subject, *, acts_in_maintenance: bool, at: datetime) -> Mute | None:
    """Why the incident is muted now; None when it is not."""
    kept = current(at)
    if kept.is_empty:
        return None
    windows = () if acts_in_maintenance else kept.windows
    return (
        muting.silenced(kept.silences, subject, at=at)
        or muting.in_maintenance(windows, subject.target, at=at)
        or _inhibited(kept.inhibitions, subject)
        or next((one.mute for one in kept.causes if one.covers(subject)), None)
    )


def why_not_begun(subject: Subject, *, acts_in_maintenance: bool, ordered_at: datetime, at: datetime) -> Mute | None:
    """As `why`, for an action that has not begun: maintenance since it was ordered counts too, if it is over."""
    mute = why(subject, acts_in_maintenance=acts_in_maintenance, at=at)
    if mute is not None or acts_in_maintenance:
        return mute
    return muting.overtaken(current(at).windows, subject.target, ordered_at=ordered_at, at=at)


def of_incident(incident: Incident, *, at: datetime) -> Mute | None:
    """Why a stored incident is muted now; one that is over is not."""
    if not incident.live:
        return None
    acts = incident.policy_version.document.get("act_in_maintenance") is True
    return why(subject_of(incident, policy=incident.policy.name), acts_in_maintenance=acts, at=at)


def subject_of(incident: Incident, *, policy: str) -> Subject:
    """An incident as matchers see it."""
    return Subject(
        target=incident.target,
        policy=policy,
        severity=incident.severity,
        tags=incident.tags,
        incident_id=incident.pk,
    )


def may_be_source(subject: Subject, *, at: datetime) -> bool:
    """Whether an incident like this one could hold others."""
    return any(muting.match(rule.source, subject) for rule in current(at).inhibitions)


def mute_of(cause: CommonCause) -> Mute:
    """What a common cause that stands says."""
    return Mute(
        kind=Kind.COMMON_CAUSE,
        reason=cause.reason,
        numbers={
            "common_cause_id": cause.pk,
            "bad": cause.bad,
            "known": cause.known,
            "percent": cause.percent,
            "within_seconds": cause.within_seconds,
            "group": cause.group,
        },
    )


def schedule_of(row: MaintenanceWindow) -> Schedule | None:
    """When the window is open; None when it was ended before it began."""
    ends = [moment for moment in (row.ends_at, row.ended_at) if moment is not None]
    ends_at = min(ends, default=None)
    if ends_at is not None and ends_at <= row.starts_at:
        return None
    return Schedule(starts_at=row.starts_at, ends_at=ends_at, weekly=weekly_of(row))


def weekly_of(row: MaintenanceWindow) -> Weekly | None:
    """Its hours of the week; None when it is open once."""
    if not row.days or row.opens is None or row.closes is None:
        return None
    days = frozenset(calendar.DAYS.index(day) for day in row.days.split())
    return Weekly(days=days, opens=row.opens, closes=row.closes, zone=ZoneInfo(row.timezone))


def silence_of(row: SilenceRow) -> Silence:
    """A silence as the engine wants it."""
    return Silence(
        id=row.pk,
        matchers=tuple(muting.read(one) for one in row.matchers),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        author=row.author,
        comment=row.comment,
        incident_id=row.incident_id,
    )


def _load(version: tuple[int, int], at: datetime) -> Kept:
    """The version was read before the rows, so the worst case is one load too many, never one too few."""
    not_over = Q(ends_at=None) | Q(ends_at__gt=at - REMEMBERED)
    silences = SilenceRow.objects.filter(not_over, ended_at=None)
    windows = MaintenanceWindow.objects.filter(not_over, Q(ended_at=None) | Q(ended_at__gt=at - REMEMBERED))
    causes = CommonCause.objects.filter(ended_at=None).select_related("policy")
    return Kept(
        version=version,
        silences=_readable(silence_of, silences),
        windows=_readable(window_of, windows),
        inhibitions=_readable(inhibition_of, InhibitionRule.objects.filter(ended_at=None).order_by("id")),
        causes=tuple(
            Standing(policy=row.policy.name, group_by=row.group_by, group=row.group, mute=mute_of(row))
            for row in causes
        ),
    )


def _readable[R: models.Model, V](read: Callable[[R], V | None], rows: Iterable[R]) -> tuple[V, ...]:
    """One row that this Vigil cannot read must not stop every evaluation."""
    values = []
    for row in rows:
        try:
            value = read(row)
        except (ValueError, ZoneInfoNotFoundError) as error:
            log.error("policies.muting.unreadable", row=str(row), reason=str(error))
            continue
        if value is not None:
            values.append(value)
    return tuple(values)


def window_of(row: MaintenanceWindow) -> Window | None:
    """A window as the engine wants it; None when it was ended before it began."""
    schedule = schedule_of(row)
    if schedule is None:
        return None
    return Window(id=row.pk, target=row.target, schedule=schedule, author=row.author, comment=row.comment)


def inhibition_of(row: InhibitionRule) -> Inhibition:
    """A rule as the engine wants it."""
    return Inhibition(
        id=row.pk,
        name=row.name,
        source=tuple(muting.read(one) for one in row.source),
        target=tuple(muting.read(one) for one in row.target),
        equal=tuple(row.equal),
    )


def _inhibited(rules: Sequence[Inhibition], subject: Subject) -> Mute | None:
    concerned = [rule for rule in rules if muting.match(rule.target, subject)]
    return muting.inhibited(concerned, subject, _sources(concerned)) if concerned else None


def _sources(rules: Sequence[Inhibition]) -> list[Subject]:
    """Open incidents that may be a source; what the database can tell apart it leaves out."""
    narrow = [_plainly(rule.source) for rule in rules]
    wanted = functools.reduce(operator.or_, narrow) if all(narrow) else Q()
    opened = Incident.objects.filter(wanted, status=IncidentStatus.OPEN).select_related("policy").order_by("id")
    return [subject_of(incident, policy=incident.policy.name) for incident in opened]


def _plainly(matchers: Iterable[TagMatcher]) -> Q:
    columns = {"policy": "policy__name", "severity": "severity", "target": "target"}
    wanted = Q()
    for one in matchers:
        plain = one.operator is TagOperator.IS and not {"*", "?"} & set(one.pattern) and one.pattern != "all"
        if plain and one.name in columns:
            wanted &= Q(**{columns[one.name]: one.pattern})
    return wanted
