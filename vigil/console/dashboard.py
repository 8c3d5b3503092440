"""What the front page says: is anything broken, what is Vigil doing about it, and is Vigil itself well?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Case, Count, IntegerField, Max, Q, Value, When

from actions import consent, control, queries
from actions.control import ControlState
from actions.models import Action
from actions.queries import ActionView
from actions.states import LIVE, State
from policies import flaps, sweep
from policies.engine import durations
from policies.engine.muting import Kind
from policies.models import LIVE as LIVE_INCIDENTS
from policies.models import Answer, Decision, Incident, IncidentStatus, Resolution, Severity, SweepStatus
from vigil.health import checks
from vigil.health.checks import Report

MUTES = frozenset(kind.value for kind in Kind)
SHOWN = 50
HEALED_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An incident that is not over, and the one sentence about what happens to it."""

    incident: Incident
    doing: str
    needs_person: bool = False
    action_id: int | None = None
    held_by: str = ""
    """What mutes it, as a word; "" is nothing."""
    flapping: bool = False
    """It opens and closes all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many incidents are not over, also those that the page has no room for."""

    open: int
    pending: int
    critical: int
    """Open ones of the worst severity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """An incident that ended well."""

    incident: Incident
    took: timedelta
    by: str
    """The action types that were carried out for it, or "" when none was needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vital:
    """One part of Vigil and how it is."""

    name: str
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Everything on the front page."""

    switch: ControlState
    troubles: Sequence[Trouble]
    counts: Counts
    needs_human: Sequence[ActionView]
    running: Sequence[ActionView]
    asking: Sequence[ActionView]
    """Those that wait for somebody's word, the first to expire first."""
    asking_total: int
    waiting: Sequence[ActionView]
    waiting_total: int
    healed: Sequence[Healed]
    vitals: Sequence[Vital]
    sweep: SweepStatus
    done_today: int
    failed_today: int

    @property
    def unwell(self) -> bool:
        """Whether any part of Vigil is not as it should be."""
        return any(vital.report.state != "ok" for vital in self.vitals)

    @property
    def unhelped(self) -> int:
        """Incidents that wait for a person for another reason than an action that does."""
        asking = {action.id for action in self.needs_human}
        return sum(one.needs_person and one.action_id not in asking for one in self.troubles)

    @property
    def held(self) -> int:
        """Incidents on the page about which Vigil does nothing because something mutes them."""
        return sum(one.held_by != "" for one in self.troubles)

    @property
    def unshown(self) -> int:
        """Incidents that the page has no room for."""
        return max(self.counts.open + self.counts.pending - len(self.troubles), 0)


def look(*, at: datetime) -> Now:
    """The whole front page, read with a fixed number of queries."""
    live = _live()
    ids = [incident.pk for incident in live]
    actions, decisions, flapping = queries.for_incidents(ids), _last_decisions(ids), flaps.marks(ids)
    working = [queries.view(row) for row in Action.objects.filter(state__in=sorted(LIVE)).order_by("id")[:SHOWN]]
    counts = queries.counts_by_state()
    recent = Action.objects.filter(finished_at__gt=at - timedelta(hours=24))
    switch = control.state()
    return Now(
        switch=switch,
        troubles=[
            replace(
                trouble(one, actions.get(one.pk, []), decisions.get(one.pk), switch, at=at), flapping=one.pk in flapping
            )
            for one in live
        ],
        counts=_counts(),
        needs_human=[one for one in working if one.needs_human],
        running=[one for one in working if one.status == "running" and not one.needs_human],
        asking=_asking() if counts["awaiting_approval"] else [],
        asking_total=counts["awaiting_approval"],
        waiting=[one for one in working if one.status == "pending" and not one.waits_for_a_word],
        waiting_total=sum(counts[state] for state in ("ready", "leased", "retry_wait")),
        healed=_healed(),
        vitals=_vitals(),
        sweep=sweep.status(),
        done_today=recent.filter(state=State.SUCCEEDED).count(),
        failed_today=recent.filter(state__in=[State.FAILED, State.EXPIRED]).count(),
    )


def trouble(
    incident: Incident, actions: Sequence[ActionView], decision: Decision | None, switch: ControlState, *, at: datetime
) -> Trouble:
    """One incident with the sentence that says what Vigil is doing about it."""
    last = actions[-1] if actions else None
    action_id = last.id if last is not None else None
    held_by = decision.guard if decision is not None and decision.guard in MUTES else ""
    if last is not None and last.needs_human:
        doing = f"{last.kind} got no clear answer: look at {incident.target}, then cancel or retry action {last.id}."
        return Trouble(incident=incident, doing=doing, needs_person=True, action_id=action_id)
    if last is not None and (last.is_live or (_unproven(last) and not incident.exhausted)):
        return Trouble(incident=incident, doing=_under_way(last, switch, at=at), action_id=action_id)
    if incident.acknowledged_by:
        who = incident.acknowledged_by.removeprefix("user:")
        return Trouble(incident=incident, doing=f"{who} deals with it; Vigil orders nothing more.", held_by=held_by)
    if incident.exhausted and not held_by:
        doing = "Every remedy was tried and none helped. It needs you."
        return Trouble(incident=incident, doing=doing, needs_person=True, action_id=action_id)
    return Trouble(incident=incident, doing=_idle(incident, decision, at=at), held_by=held_by)


def since(moment: datetime | None, *, at: datetime) -> str:
    """How long ago, in its two largest units."""
    return durations.spell(at - moment) if moment is not None else ""


def _unproven(action: ActionView) -> bool:
    return action.ended_ok and action.verification == ""


def _under_way(action: ActionView, switch: ControlState, *, at: datetime) -> str:
    """What a live or not yet verified action is up to."""
    number = f"attempt {max(action.attempts, 1)} of {action.max_attempts}"
    paused = " Vigil is not active, so it does not start." if switch.mode != "active" else ""
    match action.state:
        case State.AWAITING_APPROVAL:
            until = (
                f"{action.approval_expires_at:%H:%M} UTC" if action.approval_expires_at is not None else "it expires"
            )
            return f"{action.kind} waits for {consent.describe(action.asks)} until {until}."
        case State.READY | State.LEASED:
            return f"{action.kind} is ordered and about to start.{paused}"
        case State.RETRY_WAIT:
            return f"{action.kind} failed on {number}; it will be tried again.{paused}"
        case State.EXECUTING | State.ACCEPTED:
            return f"{action.kind} is running, {number}, for {since(action.started_at, at=at) or '0s'}."
        case State.UNKNOWN:
            return f"{action.kind} was sent and the answer got lost; asking the remediator what became of it."
        case _:
            ago = since(action.finished_at, at=at)
            return f"{action.kind} was done {ago} ago; waiting for fresh readings to prove it."


def _idle(incident: Incident, decision: Decision | None, *, at: datetime) -> str:
    if incident.healthy_since is not None:
        return f"Healthy again for {since(incident.healthy_since, at=at)}; kept open a little to be sure."
    if incident.status == IncidentStatus.PENDING:
        return "Watching: it opens when it lasts."
    if decision is not None:
        return _DECIDED.get(decision.answer, "{}.").format(decision.reason.rstrip("."))
    return "Watching; nothing has been decided yet."


_DECIDED: Mapping[str, str] = {Answer.HOLD: "Held: {}.", Answer.REFUSE: "Refused: {}."}


def _asking() -> list[ActionView]:
    rows = Action.objects.filter(state=State.AWAITING_APPROVAL).order_by("approval_expires_at", "id")
    return [queries.view(row) for row in rows[:SHOWN]]


def _counts() -> Counts:
    opened = Q(status=IncidentStatus.OPEN)
    return Counts(
        **Incident.objects.filter(status__in=LIVE_INCIDENTS).aggregate(
            open=Count("pk", filter=opened),
            pending=Count("pk", filter=Q(status=IncidentStatus.PENDING)),
            critical=Count("pk", filter=opened & Q(severity=Severity.CRITICAL)),
        )
    )


def _live() -> list[Incident]:
    worst_first = Case(
        When(severity=Severity.CRITICAL, then=Value(0)),
        When(severity=Severity.WARNING, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    open_first = Case(When(status=IncidentStatus.OPEN, then=Value(0)), default=Value(1), output_field=IntegerField())
    rows = Incident.objects.filter(status__in=LIVE_INCIDENTS)
    return list(rows.select_related("policy").order_by(open_first, worst_first, "since")[:SHOWN])


def _last_decisions(incident_ids: Sequence[int]) -> Mapping[int, Decision]:
    newest = Decision.objects.filter(incident_id__in=incident_ids).order_by().values("incident_id")
    ids = [row["last"] for row in newest.annotate(last=Max("id"))]
    return {decision.incident_id: decision for decision in Decision.objects.filter(pk__in=ids)}


def _healed() -> list[Healed]:
    ended = Incident.objects.filter(
        status=IncidentStatus.RESOLVED, resolution=Resolution.HEALED, opened_at__isnull=False
    )
    rows = list(ended.select_related("policy").order_by("-resolved_at")[:HEALED_SHOWN])
    actions = queries.for_incidents([row.pk for row in rows])
    return [
        Healed(incident=row, took=row.resolved_at - row.opened_at, by=_remedies(actions.get(row.pk, [])))
        for row in rows
        if row.resolved_at is not None and row.opened_at is not None
    ]


def _remedies(actions: Sequence[ActionView]) -> str:
    """What may have helped: not what fresh data says did not, and not what only told somebody or undid a step."""
    helped = [one for one in actions if one.ended_ok and one.verified and one.verification != "ineffective"]
    return ", ".join(dict.fromkeys(one.kind for one in helped))


def _vitals() -> list[Vital]:
    reports = checks.run_all()
    return [Vital(name=name, report=report) for name, (_, report) in reports.items()]
