"""What the API answers about policies and incidents, as `shapes` and the modules beside it make it."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from actions.consent import Asks
from actions.states import Status
from policies.api.written import Condition
from policies.documents import PolicyBody
from policies.engine.muting import Kind
from policies.engine.values import Outcome
from policies.models import Answer as Concluded
from policies.models import IncidentStatus, Mode, Resolution, Severity
from vigil.http.answers import Answer, Json, Moment, Page, among
from vigil.http.schema import Error

type _Severity = Annotated[str, among(Severity.values)]
type _Status = Annotated[str, among(Status)]
type _Verdict = Annotated[str, among(Outcome)]
type _Concluded = Annotated[str, among(Concluded.values)]
type _Verification = Annotated[str, among(("", "effective", "ineffective", "unverifiable", "relapsed"))]
type _Numbers = Annotated[Json, Meta(description="What went into it.")]


class PolicyHealth(Answer, frozen=True, kw_only=True):
    """How the evaluation of a policy fares."""

    last_error: str
    last_evaluated_at: Moment | None
    disabled_by_error: bool


class Demotion(Answer, frozen=True, kw_only=True):
    """What was taken from a policy: `mode` is what it says, and `to` what it may do now."""

    from_: Annotated[str, among(Mode.values)] = field(name="from")
    to: Annotated[str, among(Mode.values)]
    at: Moment
    reason: str
    evidence: Annotated[list[int], Meta(description="The actions that spoke against it.")]
    incident_id: int | None


class Policy(PolicyBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy as people write it, with what Vigil adds; what is left out has the installation's default."""

    condition: Condition
    description: str
    severity: _Severity  # type: ignore[assignment]
    enabled: bool
    auto_remediate: bool
    mode: Annotated[str, among(Mode.values)]  # type: ignore[assignment]
    params: Json
    keep_open_for: str
    on_no_data: Annotated[str, among(("keep", "open", "resolve"))]  # type: ignore[assignment]
    version: int
    sentence: Annotated[str, Meta(description="The condition as people read it.")]
    created_at: Moment
    updated_at: Moment
    author: Annotated[str, Meta(description="Who wrote this version.")]
    note: Annotated[str, Meta(description="Why.")]
    demoted: Annotated[Demotion, Meta(description="Null for a policy that may do what it says.")] | None
    health: PolicyHealth


class Warned(Answer, frozen=True, kw_only=True):
    """Another policy that can fight with this one."""

    code: Annotated[str, among(("conflict",))]
    with_: str = field(name="with")
    message: str


class SavedPolicy(Policy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy that was written or enabled, and what it can fight with."""

    warnings: list[Warned]


class Evidence(Answer, frozen=True, kw_only=True):
    """An action as it speaks for or against its policy."""

    action_id: int
    action: str
    target: str
    verification: _Verification
    incident_id: int | None
    finished_at: Moment | None


class PromotedPolicy(Policy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy that may do again what it says, and the actions that had spoken against it."""

    evidence: list[Evidence]


class Policies(Answer, frozen=True, kw_only=True):
    """Policies by name."""

    ok: bool
    policies: dict[str, Policy]
    total: int
    enabled_count: int


class PolicyDeleted(Answer, frozen=True, kw_only=True):
    """A policy is gone; its history stays."""

    ok: bool
    name: str
    deleted: bool


class Reloaded(Answer, frozen=True, kw_only=True):
    """The next reading is held against what the database says."""

    ok: bool
    message: str
    enabled_count: int


class Violation(Answer, frozen=True, kw_only=True):
    """A violated verdict, with what was concluded from it."""

    policy_name: str
    severity: _Severity
    action: str
    target: str
    value: Annotated[float, Meta(description="The number that decided.")] | None
    reason: str
    incident_id: int | None
    incident_status: Annotated[str, among(IncidentStatus.values)] | None
    action_id: Annotated[int, Meta(description="The action ordered now, or before.")] | None
    decision: _Concluded
    decision_reason: str


class OrderedAction(Answer, frozen=True, kw_only=True):
    """An action that was ordered, or had been ordered before."""

    action_id: int
    action: str
    target: str
    status: _Status
    reason: str


class _Evaluated(Answer, frozen=True, kw_only=True):
    ok: bool
    policies_evaluated: bool
    violations: list[Violation]
    actions: list[OrderedAction]


class Stored(_Evaluated, frozen=True, kw_only=True):
    """A single reading is stored: `metric_id` says where, for an event `event_id`."""

    status: Annotated[str, among(("stored",))]
    metric_id: int | UnsetType = UNSET
    event_id: int | UnsetType = UNSET


class ReadingFlaw(Answer, frozen=True, kw_only=True):
    """One thing that is wrong with a reading."""

    path: str
    message: str


class RefusedReading(Answer, frozen=True, kw_only=True):
    """A reading that was not stored."""

    index: Annotated[int, Meta(ge=0, description="Its place in the batch.")]
    errors: list[ReadingFlaw]


class BatchStored(_Evaluated, frozen=True, kw_only=True):
    """Those of many readings that are valid are stored."""

    stored: Annotated[int, Meta(ge=0)]
    rejected: list[RefusedReading]


class Taken(BatchStored, frozen=True, kw_only=True):
    """What became of a request in another system's format."""

    skipped: Annotated[int, Meta(ge=0, description="Understood, and nothing that Vigil stores.")]
    repeated: Annotated[int, Meta(ge=0, description="Stored before.")]


class AlertsTaken(Taken, frozen=True, kw_only=True):
    """What became of a notification."""

    truncated_alerts: Annotated[int, Meta(ge=0, description="Those that the sender left out.")]


class InfluxRefusal(Error, frozen=True, kw_only=True):
    """A refusal, with the sentence where clients of InfluxDB 1 (`error`) and 2 (`message`) look for it."""

    error: str
    message: str


class PartialSuccess(Answer, frozen=True, kw_only=True):
    """What was not stored."""

    rejected_data_points: Annotated[str, Meta(pattern="^[0-9]+$")] = field(name="rejectedDataPoints")
    error_message: str = field(name="errorMessage")


class OtlpTaken(Answer, frozen=True, kw_only=True):
    """An ExportMetricsServiceResponse."""

    partial_success: PartialSuccess | UnsetType = field(name="partialSuccess", default=UNSET)


class OtlpRefusal(Error, frozen=True, kw_only=True):
    """A refusal, with the sentence where clients of OpenTelemetry look for it."""

    message: str


class TrialViolation(Answer, frozen=True, kw_only=True):
    """A policy that would be violated."""

    policy_name: str
    severity: _Severity
    action: str
    target: str
    value: float | None
    reason: str
    incident_id: None


class TrialAction(Answer, frozen=True, kw_only=True):
    """An action that would be ordered."""

    action: str
    target: str
    status: Annotated[str, among(("dry_run", "refused"), "Refused where its parameters cannot be filled in.")]
    params: Json
    reason: str | UnsetType = UNSET
    policy_name: str
    waits_for: Annotated[str, among(Asks, "Whose word it would wait for; empty for nobody's.")]


class TrialVerdict(Answer, frozen=True, kw_only=True):
    """What a policy says of the sample."""

    policy_name: str
    verdict: _Verdict
    reason: str


class Evaluation(Answer, frozen=True, kw_only=True):
    """What policies say of a sample; nothing is stored or ordered."""

    ok: bool
    violations: list[TrialViolation]
    actions_triggered: list[TrialAction]
    evaluated: list[TrialVerdict]
    timestamp: Moment


class RunnerPolicy(Answer, frozen=True, kw_only=True):
    """How the background evaluation of one policy fares."""

    policy_name: str
    last_evaluated_at: Moment | None
    lag_seconds: float | None
    errors_in_a_row: int
    last_error: str
    last_error_at: Moment | None
    stopped: Annotated[bool, Meta(description="Whether it is no longer evaluated, because of its errors.")]
    grace_until: Annotated[Moment, Meta(description="Missing data does not count before then.")] | None


class Runner(Answer, frozen=True, kw_only=True):
    """How the background evaluation fares."""

    enabled: bool
    running: bool
    interval_seconds: int
    batch_size: int
    last_run_at: Moment | None
    last_success_at: Moment | None
    last_duration_ms: int | None
    policies_evaluated: int
    targets_evaluated: int
    lag_seconds: float | None
    policy_errors: int
    runs: int
    overruns: int
    last_error: str
    policies: list[RunnerPolicy]


class RunnerStatus(Answer, frozen=True, kw_only=True):
    """The background policy runner."""

    ok: bool
    runner: Runner


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
    severity: _Severity
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
    numbers: _Numbers
    request_id: str


class Decision(Answer, frozen=True, kw_only=True):
    """What was concluded, and why."""

    at: Moment
    answer: _Concluded
    guard: Annotated[str, Meta(description="What stood in the way; empty when nothing did.")]
    reason: str
    numbers: _Numbers
    action_id: int | None


class IncidentAction(Answer, frozen=True, kw_only=True):
    """An action that was ordered for an incident."""

    id: int
    action: str
    target: str
    status: _Status
    needs_human: bool
    params: Json
    reason: str
    attempts: int
    verification: _Verification
    details: str
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class Freeze(Answer, frozen=True, kw_only=True):
    """Policies that undid each other's work on a target, and so act there no more."""

    id: int
    target: str
    policies: list[str]
    reason: str
    evidence: Annotated[list[int], Meta(description="The actions that undid each other.")]
    since: Moment
    until: Moment
    lifted_at: Moment | None
    lifted_by: str | None


class Freezes(Page, frozen=True, kw_only=True):
    """A page of freezes."""

    freezes: list[Freeze]


class WholeIncident(Incident, frozen=True, kw_only=True):
    """An incident with everything that happened in it."""

    condition: Condition
    sentence: Annotated[str, Meta(description="The condition as people read it.")]
    frozen: Annotated[Freeze, Meta(description="What keeps its policy from acting on its target now.")] | None
    timeline: list[Change]
    decisions: list[Decision]
    action_details: list[IncidentAction]


class Sample(Answer, frozen=True, kw_only=True):
    """One sample that had a say."""

    id: int | None
    at: Moment
    value: float


class SeenSeries(Answer, frozen=True, kw_only=True):
    """A series that was looked at."""

    metric: str
    tags: dict[str, str]
    samples_total: int
    samples: Annotated[list[Sample], Meta(description="The newest.")]


class SeenEvent(Answer, frozen=True, kw_only=True):
    """An event that was looked at."""

    id: int | None
    name: str
    severity: str
    tags: dict[str, str]
    at: Moment


class SeenResult(Answer, frozen=True, kw_only=True):
    """One result of another system."""

    labels: dict[str, str]
    value: float | None


class SeenAnswer(Answer, frozen=True, kw_only=True):
    """What another system, such as Prometheus, answered."""

    source: str
    query: str
    failure: str
    results: list[SeenResult]


class Traced(Answer, frozen=True, kw_only=True):
    """A condition, or a part of one, with what it was judged on."""

    sentence: str
    condition: Condition
    verdict: _Verdict
    reason: str
    numbers: _Numbers
    series: list[SeenSeries]
    events: list[SeenEvent]
    answers: list[SeenAnswer]
    parts: list["Traced"]


class Gate(Answer, frozen=True, kw_only=True):
    """One thing that has to hold before Vigil acts."""

    gate: str
    passed: bool
    reason: str
    numbers: _Numbers


class Explanation(Answer, frozen=True, kw_only=True):
    """Why a policy acts on a target, or does not."""

    policy_name: str
    policy_version: int
    target: str
    at: Moment
    verdict: _Verdict
    reason: str
    condition: Traced
    incident_id: int | None
    gates: Annotated[list[Gate], Meta(description="Null for the past, of which gates cannot be asked.")] | None
    decision: Decision | None
    actions: list[int]
    text: str


class IncidentExplanation(Answer, frozen=True, kw_only=True):
    """The story of an incident in plain words."""

    incident_id: int
    lines: list[str]
    text: str
    explanation: Explanation


class ExplainedAttempt(Answer, frozen=True, kw_only=True):
    """One call to a remediator."""

    number: int
    intent_at: Moment
    worker: str
    outcome: str
    message: str


class ActionExplanation(Answer, frozen=True, kw_only=True):
    """Why an action was ordered, and what became of it."""

    action_id: int
    ordered_by: str
    reason: str
    status: _Status
    verification: _Verification
    ordered_on: Annotated[Explanation, Meta(description="Null for an action that was ordered by hand.")] | None
    attempts: list[ExplainedAttempt]
    timeline: list[Change]
    text: str


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


class TestDifference(Answer, frozen=True, kw_only=True):
    """What a test expected and did not get."""

    at: str
    about: str
    expected: object
    got: object
    reason: str


class TestOutcome(Answer, frozen=True, kw_only=True):
    """How one test went."""

    name: str
    ok: bool
    differences: list[TestDifference]


class TestWarned(Warned, frozen=True, kw_only=True):
    """Two of the policies that can fight."""

    policy: str


class TestReport(Answer, frozen=True, kw_only=True):
    """How the tests went."""

    ok: bool
    tests: list[TestOutcome]
    warnings: list[TestWarned]


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
    severity: _Severity


class Reach(Answer, frozen=True, kw_only=True):
    """What would be muted now."""

    ok: bool
    incidents: int
    targets: int
    known_targets: int
    policies: list[str]
    sentence: str
    muted: list[MutedIncident]
