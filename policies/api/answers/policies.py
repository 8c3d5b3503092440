"""What the API answers about policies, trials of them, and their runner, as `policies.api.shapes` makes it."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from actions.consent import Asks
from policies.api.answers.words import SeverityWord, VerdictWord, VerificationWord
from policies.api.written import Condition
from policies.documents import PolicyBody
from policies.models import Mode
from vigil.http.answers import Answer, Json, Moment, among


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
    severity: SeverityWord  # type: ignore[assignment]
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
    verification: VerificationWord
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


class TrialViolation(Answer, frozen=True, kw_only=True):
    """A policy that would be violated."""

    policy_name: str
    severity: SeverityWord
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
    verdict: VerdictWord
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
