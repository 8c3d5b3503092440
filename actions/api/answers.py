"""What the API answers about actions, as `actions.api.shapes` and `actions.queries` make it."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from actions.breaker import Position
from actions.consent import Asks
from actions.models import ActionType, Approval, ControlSwitch
from actions.states import State, Status
from vigil.audit.api.answers import Entry
from vigil.http.answers import Answer, Json, Moment, Page, among

type _Verification = Annotated[
    str,
    among(
        ("", "effective", "ineffective", "unverifiable", "relapsed"), "What fresh data said of it; empty until judged."
    ),
]


class Action(Answer, frozen=True, kw_only=True):
    """An order to a remediator."""

    id: int
    uid: UUID
    target: str
    action: Annotated[str, Meta(description="The action type.")]
    status: Annotated[str, among(Status)]
    state: Annotated[str, among(State, "Finer than the status.")]
    needs_human: bool
    details: Annotated[str, Meta(description="How it stands, in a sentence.")]
    params: Json
    reason: str
    policy_name: Annotated[str, Meta(description="Empty for an action that was ordered by hand.")]
    policy_version: int | None
    severity: Annotated[str, among(("", "info", "warning", "critical"))]
    incident_id: int | None
    attempts: Annotated[int, Meta(ge=0, description="How often it was tried.")]
    max_attempts: int
    verification: _Verification
    notes: str
    ordered_by: str
    retry_of: Annotated[int, Meta(description="The action that this one repeats.")] | None
    cancel_requested: bool
    approvals_needed: Annotated[int, Meta(ge=0, description="How many people have to approve it.")]
    approval_expires_at: Annotated[Moment, Meta(description="When it is over if nobody said a word.")] | None
    request_id: str
    deadline: Moment
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class Attempt(Answer, frozen=True, kw_only=True):
    """One call to a remediator."""

    number: int
    fence: Annotated[int, Meta(description="Grows with every lease; a remediator refuses a smaller one.")]
    worker: str
    intent_at: Annotated[Moment, Meta(description="When it was written down that the call would be made.")]
    first_byte_at: Moment | None
    finished_at: Moment | None
    outcome: Annotated[str, Meta(description="Empty while nothing came back.")]
    late: bool
    http_status: int | None
    error_class: str
    message: str
    excerpt: Annotated[str, Meta(description="The beginning of what the remediator answered.")]
    details: Json


class Word(Answer, frozen=True, kw_only=True):
    """What one person said."""

    by: str
    verdict: Annotated[str, among(Approval.Verdict.values)]
    reason: str
    at: Moment


class Outlook(Answer, frozen=True, kw_only=True):
    """What fresh data say of an action that waits."""

    wanted: bool
    reason: str


class EarlierAction(Answer, frozen=True, kw_only=True):
    """What became of an earlier action on the same target."""

    action_id: int
    action: str
    state: Annotated[str, among(State)]
    verification: _Verification
    at: Moment


class Consent(Answer, frozen=True, kw_only=True):
    """What somebody needs to judge an action that waits, or how it was judged."""

    needed: Annotated[int, Meta(ge=1, description="How many people have to approve it.")]
    missing: Annotated[int, Meta(ge=0, description="How many of them have not yet.")]
    by: Annotated[str, among(Asks, "Who has to agree.")]
    because: Annotated[list[str], Meta(description="Why it needs them.")]
    risk: Annotated[str, among(ActionType.Risk.values)]
    given: list[Word]
    expires_at: Moment | None
    approved_at: Moment | None
    own_work: Annotated[
        dict[str, str], Meta(description="Whose yes does not count while it waits, each with what they did.")
    ]
    now: Annotated[Outlook, Meta(description="Null where fresh data were not asked, or cannot tell.")] | None
    before: Annotated[list[EarlierAction], Meta(description="The last on the same target, newest first.")]
    evidence: Annotated[Json, Meta(description="What whoever ordered it knows: the incident and the decision.")]


class WholeAction(Action, frozen=True, kw_only=True):
    """An action with its attempts and its story."""

    approval: Annotated[Consent, Meta(description="Null for an action that needs nobody's word.")] | None
    tries: list[Attempt]
    timeline: list[Entry]


class Cancelled(Action, frozen=True, kw_only=True):
    """An action that somebody cancelled."""

    cancel: Annotated[str, among(("cancelled", "requested"), "Whether it is over, or its remediator has to be asked.")]


class Judged(Action, frozen=True, kw_only=True):
    """An action that somebody approved or rejected."""

    approval: Consent


class Actions(Page, frozen=True, kw_only=True):
    """A page of actions."""

    actions: list[Action]


class Kind(Answer, frozen=True, kw_only=True):
    """An action type."""

    name: str
    description: str
    schema: Annotated[Json, Meta(description="JSON Schema of the parameters.")]
    retry_safety: Annotated[str, among(ActionType.Safety.values)]
    risk: Annotated[str, among(ActionType.Risk.values)]
    max_seconds: int
    rollback: Annotated[str, Meta(description="The action type that takes it back.")] | None
    tells: Annotated[bool, Meta(description="Whether it tells people and mends nothing.")]
    cancel: Annotated[bool, Meta(description="Whether its remediator can stop it under way.")]
    enabled: bool
    remediator: str
    remediator_kind: str


class ActionTypes(Answer, frozen=True, kw_only=True):
    """All action types, by name."""

    count: int
    action_types: list[Kind]


class Control(Answer, frozen=True, kw_only=True):
    """The switch."""

    mode: Annotated[str, among(ControlSwitch.Mode.values)]
    reason: str
    by: str
    at: Moment | None


class Storm(Answer, frozen=True, kw_only=True):
    """Too much at once: nothing is ordered in this scope until a person resets it."""

    scope: str
    since: Moment
    reason: str


class Quarantined(Answer, frozen=True, kw_only=True):
    """A target that was repaired too often, and is left to people."""

    target: str
    until: Moment
    reason: str


class Circuit(Answer, frozen=True, kw_only=True):
    """A remediator that failed too often, and is called no more for a while."""

    remediator: str
    position: Annotated[str, among(Position)]
    failures: Annotated[int, Meta(ge=0, description="In a row, up to now.")]
    opened_at: Annotated[Moment, Meta(description="The last failure that opened it, or kept it open.")] | None
    probe_at: Annotated[Moment, Meta(description="When the probe that is out began.")] | None
    reason: str


class Guards(Answer, frozen=True, kw_only=True):
    """What guards hold until a person or time lets go."""

    storms: list[Storm]
    quarantined: list[Quarantined]
    circuits: Annotated[list[Circuit], Meta(description="Those that are not closed.")]


class Task(Answer, frozen=True, kw_only=True):
    """An action in the words of remediators that fetch theirs."""

    id: UUID
    timestamp: Annotated[int, Meta(description="When it was handed over, in Unix seconds.")]
    resource: str
    namespace: Annotated[str, Meta(description="That of the parameters, or empty.")]
    action: str
    parameters: Json
    priority: Annotated[str, among(("low", "medium", "high"))]
    policy_id: Annotated[str, Meta(description="The policy's name; empty for an action that was ordered by hand.")]
    timeout: Annotated[int, Meta(description="Seconds.")]
    max_retries: int


class Tasks(Answer, frozen=True, kw_only=True):
    """Tasks that are the caller's to report on from now on."""

    tasks: list[Task]


class Recorded(Answer, frozen=True, kw_only=True):
    """A task's result is known."""

    ok: bool
    action_id: int
    message: str


class LastTask(Answer, frozen=True, kw_only=True):
    """The action that ended last."""

    task_id: UUID
    action_id: int
    target: str
    timestamp: Moment


class Depth(Answer, frozen=True, kw_only=True):
    """How many actions waited at a time."""

    time: Moment
    depth: int


class QueueStats(Answer, frozen=True, kw_only=True):
    """Queue depth and totals; some stand under two names."""

    queue_length: int
    tasks_enqueued: int
    tasks_dequeued: int
    tasks_failed: int
    tasks_completed: int
    last_processed_task: LastTask | None
    queue_depth: int
    completed: int
    failed: int
    success_rate: Annotated[float, Meta(description="In per cent, of what completed or failed.")] | None
    history: Annotated[list[Depth], Meta(description="The last hour, oldest first.")]
