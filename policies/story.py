"""An incident's whole story, put together from the audit trail, the decisions and the actions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from actions import queries
from actions.queries import ActionView
from policies import flaps, incidents, oscillation
from policies.engine import durations
from policies.engine.muting import Mute
from policies.flaps import Mark
from policies.models import Decision, Freeze, Incident, Resolution
from policies.muting import kept
from vigil.audit import entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that changed."""

    at: datetime
    subject: str
    kind: str
    before: str
    after: str
    actor: str
    reason: str
    numbers: Mapping[str, object]
    request_id: str
    place: int
    """Where it stands among everything that was ever written down: what changes an incident and what changes its
    actions is told by two clocks, and a cause must not stand behind its effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything about one incident."""

    incident: Incident
    moments: tuple[Moment, ...]
    decisions: tuple[Decision, ...]
    actions: tuple[ActionView, ...]
    mute: Mute | None = None
    """Why it is muted now, if it is."""
    flap: Mark | None = None
    """That it flaps now, if it does."""
    freeze: Freeze | None = None
    """What keeps its policy from acting on its target now, if that fights with another there."""


def of(incident_id: int, *, at: datetime | None = None) -> Story:
    """The story of an incident, oldest first; NotFound says so. With `at` it says whether it is muted then."""
    incident = incidents.get(incident_id)
    actions = tuple(queries.for_incident(incident_id))
    decisions = tuple(Decision.objects.filter(incident=incident).order_by("id"))
    subjects = [incident.subject, *(f"action:{action.id}" for action in actions)]
    found = (moment for subject in subjects for moment in moments(subject))
    return Story(
        incident=incident,
        moments=tuple(sorted(found, key=lambda moment: moment.place)),
        decisions=decisions,
        actions=actions,
        mute=None if at is None else kept.of_incident(incident, at=at),
        flap=flaps.marks([incident_id]).get(incident_id),
        freeze=oscillation.standing(policy=incident.policy.name, target=incident.target) if incident.live else None,
    )


def lines(story: Story) -> list[str]:
    """The story in plain text, a line for each thing that happened."""
    told = (f"{one.at:%Y-%m-%d %H:%M:%S}  {_told(one)}" for one in in_order(story))
    return [_head(story.incident), *told, _tail(story)]


def in_order(story: Story) -> list[Moment | Decision]:
    """What happened and what was decided as one line, oldest first: a decision stands behind all up to its moment."""
    line: list[Moment | Decision] = list(story.moments)
    for decision in story.decisions:
        before = (place for place, one in enumerate(line, start=1) if one.at <= decision.at)
        line.insert(max(before, default=0), decision)
    return line


def time_to_heal(incident: Incident) -> float | None:
    """Seconds from opening to healing; None for whatever did not heal."""
    if incident.resolution != Resolution.HEALED or incident.opened_at is None or incident.resolved_at is None:
        return None
    return round((incident.resolved_at - incident.opened_at).total_seconds(), 3)


def moments(subject: str) -> tuple[Moment, ...]:
    """Everything that changed of one subject, such as `action:456`, oldest first."""
    return tuple(
        Moment(
            at=entry.at,
            subject=entry.subject,
            kind=entry.kind,
            before=entry.from_state,
            after=entry.to_state,
            actor=entry.actor,
            reason=entry.reason,
            numbers=entry.numbers,
            request_id=entry.request_id,
            place=entry.pk,
        )
        for entry in entries.of(subject)
    )


def _head(incident: Incident) -> str:
    version = incident.policy_version
    return (
        f"Incident {incident.pk}: {incident.policy.name} (version {version.number}) on {incident.target}, "
        f"{incident.severity}. The condition: {version.sentence}."
    )


def _told(one: Moment | Decision) -> str:
    return _line(one) if isinstance(one, Moment) else f"decision: {_decided(one)}"


def _line(moment: Moment) -> str:
    word = moment.kind.partition(".")[2].replace("_", " ")
    reason = f": {moment.reason}" if moment.reason else ""
    return f"{moment.subject.replace(':', ' ')} {word} (by {moment.actor}){reason}"


def _decided(decision: Decision) -> str:
    guard = f" ({decision.guard})" if decision.guard else ""
    return f"{decision.answer}{guard}: {decision.reason}"


def _tail(story: Story) -> str:
    flaps_too = "" if story.flap is None else f" {story.flap.reason}"
    return f"{_end(story)}{flaps_too}"


def _end(story: Story) -> str:
    incident = story.incident
    seconds = time_to_heal(incident)
    if seconds is not None:
        return f"It healed after {seconds:.1f} s."
    if not incident.live:
        return f"It is over: {incident.get_resolution_display()}."
    if incident.exhausted:
        return "It is still open, and every step of the remedy was tried: a person is needed."
    held = "" if story.mute is None else f" It is muted: {story.mute.reason}."
    return f"It is {incident.status} since {incident.since:%Y-%m-%d %H:%M:%S} UTC ({_waited(incident)} so far).{held}"


def _waited(incident: Incident) -> str:
    return durations.spell(incident.last_evaluated_at - incident.since)
