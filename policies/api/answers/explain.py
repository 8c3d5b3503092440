"""What the API answers to the question why Vigil acted or did not, as `policies.api.explanations` makes it."""

from typing import Annotated

from msgspec import Meta

from policies.api.answers.incidents import Change, Decision
from policies.api.answers.words import Numbers, StatusWord, VerdictWord, VerificationWord
from policies.api.written import Condition
from vigil.http.answers import Answer, Moment


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
    verdict: VerdictWord
    reason: str
    numbers: Numbers
    series: list[SeenSeries]
    events: list[SeenEvent]
    answers: list[SeenAnswer]
    parts: list["Traced"]


class Gate(Answer, frozen=True, kw_only=True):
    """One thing that has to hold before Vigil acts."""

    gate: str
    passed: bool
    reason: str
    numbers: Numbers


class Explanation(Answer, frozen=True, kw_only=True):
    """Why a policy acts on a target, or does not."""

    policy_name: str
    policy_version: int
    target: str
    at: Moment
    verdict: VerdictWord
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
    status: StatusWord
    verification: VerificationWord
    ordered_on: Annotated[Explanation, Meta(description="Null for an action that was ordered by hand.")] | None
    attempts: list[ExplainedAttempt]
    timeline: list[Change]
    text: str
