"""A recorded stretch of time as a course to play against: what came, when it was judged, what muted, what was done."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from actions import queries as actions
from actions.queries import ActionView
from metrics import queries
from metrics.queries import EventData, Recorded
from policies import judging
from policies.book import Rule
from policies.engine import globs, muting
from policies.engine.muting import Inhibition, Mute, Silence, Subject, Window
from policies.engine.rehearsal import course as courses
from policies.engine.rehearsal import timeline
from policies.engine.rehearsal.course import Course, Fate, Fates
from policies.engine.rehearsal.timeline import Arrival
from policies.engine.values import Event, Sample
from policies.models import Answer, Decision, Incident, InhibitionRule, MaintenanceWindow
from policies.models import Silence as SilenceRow
from policies.muting import kept
from vigil.periodic.models import PeriodicRun

JOB = "policies.sweep"
UNFINISHED = timedelta(days=366)
"""An action that has not ended ends after everything that is played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """What muted in the stretch, each within the time that it was in force."""

    silences: tuple[Silence, ...]
    windows: tuple[Window, ...]
    inhibitions: tuple[tuple[Inhibition, datetime, datetime | None], ...]
    """With the time from and until which each was there."""
    sources: tuple[tuple[Subject, datetime, datetime | None], ...]
    """Incidents of other policies, each with the time it was open."""
    own: tuple[tuple[str, int, datetime, datetime | None], ...]
    """The policy's own incidents of that time: the target, the number, and from and until when it was live."""

    def number_of(self, target: str, at: datetime) -> int | None:
        """The incident that was live on the target then: a person may have acknowledged just that one."""
        return next(
            (number for name, number, since, until in self.own if name == target and _within(at, since, until)), None
        )

    def why(self, subject: Subject, *, acts_in_maintenance: bool, at: datetime) -> Mute | None:
        """As a live Vigil would have said it."""
        windows = () if acts_in_maintenance else self.windows
        return (
            muting.silenced(self.silences, subject, at=at)
            or muting.in_maintenance(windows, subject.target, at=at)
            or muting.inhibited(
                [rule for rule, since, until in self.inhibitions if _within(at, since, until)],
                subject,
                [source for source, since, until in self.sources if _within(at, since, until)],
            )
        )


def course(rule: Rule, *, since: datetime, until: datetime, takes: timedelta = timedelta(0)) -> Course:
    """What came in between, judged when the sweep ran; actions that were not ordered then are taken to end well."""
    came = [*_samples(rule, since, until), *_events(rule, since, until)]
    return Course(
        begins_at=since,
        ends_at=until,
        arrivals=sorted((one for one in came if one.at <= until), key=timeline.time_of),
        sweeps=_sweeps(since, until),
        fate=_fates(rule, since, until, takes),
        skims=True,
    )


def size(rule: Rule, *, since: datetime, until: datetime) -> int:
    """How many samples would be played."""
    return queries.samples_total(metrics=rule.needs.metrics, since=since, until=until)


def muted(rule: Rule, *, since: datetime, until: datetime) -> Muted:
    """Everything that could have muted an incident of this policy."""
    there = Q(created_at__lte=until) & (Q(ended_at=None) | Q(ended_at__gt=since))
    silences = SilenceRow.objects.filter(there).order_by("id")
    windows = MaintenanceWindow.objects.filter(there).order_by("id")
    rules = InhibitionRule.objects.filter(there).order_by("id")
    return Muted(
        silences=tuple(_silence(row) for row in silences),
        windows=tuple(one for row in windows if (one := _window(row)) is not None),
        inhibitions=tuple((kept.inhibition_of(row), row.created_at, row.ended_at) for row in rules),
        sources=tuple(_sources(rule, since, until)) if rules else (),
        own=tuple(_own(rule, since, until)),
    )


def _samples(rule: Rule, since: datetime, until: datetime) -> Iterator[Arrival]:
    """Also those from before that a window of the policy still reaches."""
    longest = max((span for span in rule.needs.metrics.values() if span), default=timedelta(0))
    several = queries.recorded(metrics=rule.needs.metrics, since=since - longest, until=until)
    for place, series in enumerate(several):
        yield from timeline.marked(_each(series, place), staleness=judging.staleness())


def _each(one: Recorded, place: int) -> Iterator[Arrival]:
    for kept_sample in one.samples:
        sample = Sample(id=kept_sample.id, at=kept_sample.at, value=kept_sample.value)
        yield Arrival(kept_sample.received_at, one.target, one.tags, sample, one.name, place)


def _events(rule: Rule, since: datetime, until: datetime) -> Iterator[Arrival]:
    if not rule.needs.events:
        return
    begin = since - max(rule.needs.events.values())
    there_are = queries.event_names(since=begin, until=until)
    names = {name for name in there_are if any(globs.matches(wanted, name) for wanted in rule.needs.events)}
    for event, received_at in queries.recorded_events(names=names, since=begin, until=until):
        yield Arrival(received_at, event.target, event.tags, _event(event))


def _event(one: EventData) -> Event:
    return Event(name=one.name, severity=one.severity, tags=one.tags, at=one.at, id=one.id)


def _sweeps(since: datetime, until: datetime) -> list[datetime]:
    """When the sweep did run, as far back as that is known; before, once in each interval."""
    every = timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS)
    runs = PeriodicRun.objects.filter(job=JOB)
    oldest = runs.order_by("started_at").values_list("started_at", flat=True).first()
    known_from = until if oldest is None else max(since, oldest)
    ran = runs.filter(started_at__gt=since, started_at__lte=until).values_list("started_at", flat=True)
    seconds = int(every.total_seconds())
    first = since + timedelta(seconds=-since.timestamp() % seconds)
    guessed = courses.ticks(first, known_from, every=every)
    return sorted({*(one for one in guessed if one < known_from or oldest is None), *ran})


def _fates(rule: Rule, since: datetime, until: datetime, takes: timedelta) -> Fates:
    """What became of the actions that this policy ordered then; the same order at another time may end otherwise."""
    mine = Decision.objects.filter(policy_id=rule.policy_id, answer=Answer.ORDER, at__gte=since, at__lte=until)
    ordered = list(mine.values_list("incident_id", "action_id", "at"))
    tried = actions.for_incidents({incident for incident, _, _ in ordered})
    done = {action.id: action for several in tried.values() for action in several}
    known = {
        (action.target, action.kind, at): _fate(action, at)
        for _, number, at in ordered
        if (action := done.get(number or 0)) is not None
    }

    def fate(policy: str, target: str, action: str, at: datetime) -> Fate:
        assumed = Fate(acted_at=at, ended_at=at + takes, succeeds=True)
        return known.get((target, action, at), assumed)

    return fate


def _fate(action: ActionView, at: datetime) -> Fate:
    settle = None
    if action.finished_at is not None and action.verify_after is not None:
        settle = action.verify_after - action.finished_at
    return Fate(
        acted_at=action.started_at,
        ended_at=action.finished_at or at + UNFINISHED,
        succeeds=action.ended_ok,
        settle=settle,
        action_id=action.id,
    )


def _silence(row: SilenceRow) -> Silence:
    ends = [moment for moment in (row.ends_at, row.ended_at) if moment is not None]
    begins = max(row.starts_at, row.created_at)
    return replace(kept.silence_of(row), starts_at=begins, ends_at=min(ends, default=None))


def _window(row: MaintenanceWindow) -> Window | None:
    found = kept.window_of(row)
    if found is None:
        return None
    begins = max(found.schedule.starts_at, row.created_at)
    ends = found.schedule.ends_at
    if ends is not None and ends <= begins:
        return None
    return replace(found, schedule=replace(found.schedule, starts_at=begins))


def _sources(rule: Rule, since: datetime, until: datetime) -> Iterator[tuple[Subject, datetime, datetime | None]]:
    opened = Incident.objects.exclude(policy_id=rule.policy_id).filter(opened_at__isnull=False, opened_at__lte=until)
    alive = opened.filter(Q(resolved_at=None) | Q(resolved_at__gt=since)).select_related("policy").order_by("id")
    for incident in alive:
        if incident.opened_at is not None:
            subject = kept.subject_of(incident, policy=incident.policy.name)
            yield subject, incident.opened_at, incident.resolved_at


def _own(rule: Rule, since: datetime, until: datetime) -> Iterator[tuple[str, int, datetime, datetime | None]]:
    rows = Incident.objects.filter(policy_id=rule.policy_id, since__lte=until)
    alive = rows.filter(Q(resolved_at=None) | Q(resolved_at__gt=since)).order_by("id")
    yield from alive.values_list("target", "pk", "since", "resolved_at")


def _within(at: datetime, since: datetime, until: datetime | None) -> bool:
    return since <= at and (until is None or at < until)
