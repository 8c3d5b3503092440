"""What the API answers about a policy that was replayed over the past."""

from typing import Annotated

from msgspec import Meta

from vigil.http.answers import Answer, Json, Moment


class ReplayedIncident(Answer, frozen=True, kw_only=True):
    """An incident that there would have been."""

    target: str
    since: Moment
    opened_at: Moment
    resolved_at: Moment | None
    resolution: str | None
    value: float | None
    reason: str
    actions: int


class ReplayedAction(Answer, frozen=True, kw_only=True):
    """An action that would have been ordered; `action_id` is the one that was."""

    at: Moment
    action: str
    target: str
    params: Json
    step: int
    reason: str
    verification: str
    action_id: int | None


class ReplayedStop(Answer, frozen=True, kw_only=True):
    """An action that a guard would have stopped."""

    at: Moment
    target: str
    guard: str
    reason: str


class Backtest(Answer, frozen=True, kw_only=True):
    """What a policy would have done; the totals count all, the lists are cut."""

    ok: bool
    policy_name: str
    policy_version: Annotated[int, Meta(description="Null for an edit that is not saved.")] | None
    condition: Annotated[str, Meta(description="As a sentence.")]
    since: Moment
    until: Moment
    sentence: str
    samples: int
    incidents_total: int
    brief_total: int
    actions_total: int
    stopped_total: int
    stopped_by_guard: dict[str, int]
    most_targets_at_once: int
    most_targets_at: Moment | None
    incidents: list[ReplayedIncident]
    actions: list[ReplayedAction]
    stopped: list[ReplayedStop]
