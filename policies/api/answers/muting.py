"""What the API answers about silences, maintenance, inhibition and common causes."""

from typing import Annotated

from msgspec import Meta, field

from policies.api.answers.words import SeverityWord
from vigil.http.answers import Answer, Moment, Page, among


class _Signed(Answer, frozen=True, kw_only=True):
    author: str
    created_at: Moment
    updated_at: Moment
    ended_at: Annotated[Moment, Meta(description="When somebody ended it.")] | None
    ended_by: str | None


type _State = Annotated[str, among(("pending", "active", "expired"))]


class Silence(_Signed, frozen=True, kw_only=True):
    """Incidents that are muted."""

    id: int
    state: _State
    matchers: list[str]
    starts_at: Moment
    ends_at: Moment | None
    comment: str
    incident_id: Annotated[int, Meta(description="It ends with that incident.")] | None


class Silences(Page, frozen=True, kw_only=True):
    """A page of silences."""

    silences: list[Silence]


class Weekly(Answer, frozen=True, kw_only=True):
    """Hours of the week, by the clock on a wall."""

    days: list[str]
    from_: str = field(name="from")
    to: str
    timezone: str


class Opening(Answer, frozen=True, kw_only=True):
    """The opening that a window is in, or its next one."""

    from_: Moment = field(name="from")
    to: Moment | None


class Maintenance(_Signed, frozen=True, kw_only=True):
    """A window in which Vigil does not act."""

    id: int
    state: _State
    target: str
    starts_at: Moment
    ends_at: Moment | None
    weekly: Weekly | None
    comment: str
    opening: Opening | None
    sentence: str


class MaintenanceWindows(Page, frozen=True, kw_only=True):
    """A page of maintenance windows."""

    maintenance: list[Maintenance]


class Inhibition(_Signed, frozen=True, kw_only=True):
    """While one incident is open, others are held."""

    id: int
    name: str
    source: list[str]
    target: list[str]
    equal: list[str]
    comment: str
    sentence: str


class Inhibitions(Page, frozen=True, kw_only=True):
    """A page of inhibition rules."""

    inhibitions: list[Inhibition]


class HeldIncident(Answer, frozen=True, kw_only=True):
    """An incident that a common cause holds."""

    incident_id: int
    target: str


class CommonCause(Answer, frozen=True, kw_only=True):
    """Many targets that went bad at once."""

    id: int
    state: Annotated[str, among(("active", "expired"))]
    policy_name: str
    group_by: str | None
    group: str | None
    bad: int
    known: int
    percent: float
    within_seconds: float
    reason: str
    began_at: Moment
    ended_at: Moment | None
    incidents: list[HeldIncident]


class CommonCauses(Page, frozen=True, kw_only=True):
    """A page of common causes."""

    common_causes: list[CommonCause]


class MutedIncident(Answer, frozen=True, kw_only=True):
    """An incident that would be muted."""

    incident_id: int
    policy_name: str
    target: str
    severity: SeverityWord


class Reach(Answer, frozen=True, kw_only=True):
    """What would be muted now."""

    ok: bool
    incidents: int
    targets: int
    known_targets: int
    policies: list[str]
    sentence: str
    muted: list[MutedIncident]
