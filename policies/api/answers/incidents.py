"""What the API answers about incidents, as `policies.api.shapes` makes it."""

from typing import Annotated

from msgspec import Meta, field

from policies.api.answers.freezes import Freeze
from policies.api.answers.words import ConclusionWord, Numbers, SeverityWord, StatusWord, VerificationWord
from policies.api.written import Condition
from policies.engine.muting import Kind
from policies.models import IncidentStatus, Resolution
from vigil.http.answers import Answer, Json, Moment, Page, among


class Muted(Answer, frozen=True, kw_only=True):
    """Why an incident is muted now."""

    by: Annotated[str, among(Kind)]
    reason: str
    until: Moment | None


class Flapping(Answer, frozen=True, kw_only=True):
    """That an incident comes and goes."""

    since: Moment
    change_percent: float
    reason: str


class Incident(Answer, frozen=True, kw_only=True):
    """An episode in which a policy was violated on a target."""

    id: int
    policy_name: str
    policy_version: int
    target: str
    severity: SeverityWord
    status: Annotated[str, among(IncidentStatus.values)]
    status_reason: str
    resolution: Annotated[str, among(Resolution.values, "Why it ended.")] | None
    value: float | None
    since: Moment
    opened_at: Moment | None
    resolved_at: Moment | None
    last_evaluated_at: Moment
    acknowledged_by: str | None
    acknowledged_at: Moment | None
    exhausted: Annotated[bool, Meta(description="Whether every step of the remedy was tried.")]
    tags: dict[str, str]
    muted: Muted | None
    flapping: Flapping | None
    actions: Annotated[list[int], Meta(description="Their ids, oldest first.")]
    time_to_heal_seconds: float | None


class Incidents(Page, frozen=True, kw_only=True):
    """A page of incidents."""

    incidents: list[Incident]


class Change(Answer, frozen=True, kw_only=True):
    """Something that changed."""

    at: Moment
    subject: Annotated[str, Meta(description="Of what, such as `incident:7`.")]
    kind: str
    from_: str = field(name="from")
    to: str
    actor: str
    reason: str
    numbers: Numbers
    request_id: str


class Decision(Answer, frozen=True, kw_only=True):
    """What was concluded, and why."""

    at: Moment
    answer: ConclusionWord
    guard: Annotated[str, Meta(description="What stood in the way; empty when nothing did.")]
    reason: str
    numbers: Numbers
    action_id: int | None


class IncidentAction(Answer, frozen=True, kw_only=True):
    """An action that was ordered for an incident."""

    id: int
    action: str
    target: str
    status: StatusWord
    needs_human: bool
    params: Json
    reason: str
    attempts: int
    verification: VerificationWord
    details: str
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class WholeIncident(Incident, frozen=True, kw_only=True):
    """An incident with everything that happened in it."""

    condition: Condition
    sentence: Annotated[str, Meta(description="The condition as people read it.")]
    frozen: Annotated[Freeze, Meta(description="What keeps its policy from acting on its target now.")] | None
    timeline: list[Change]
    decisions: list[Decision]
    action_details: list[IncidentAction]
