"""What the API answers to readings and events, in whatever protocol they came."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from policies.api.answers.words import ConclusionWord, SeverityWord, StatusWord
from policies.models import IncidentStatus
from vigil.http.answers import Answer, among
from vigil.http.schema import Error


class Violation(Answer, frozen=True, kw_only=True):
    """A violated verdict, with what was concluded from it."""

    policy_name: str
    severity: SeverityWord
    action: str
    target: str
    value: Annotated[float, Meta(description="The number that decided.")] | None
    reason: str
    incident_id: int | None
    incident_status: Annotated[str, among(IncidentStatus.values)] | None
    action_id: Annotated[int, Meta(description="The action ordered now, or before.")] | None
    decision: ConclusionWord
    decision_reason: str


class OrderedAction(Answer, frozen=True, kw_only=True):
    """An action that was ordered, or had been ordered before."""

    action_id: int
    action: str
    target: str
    status: StatusWord
    reason: str


class _Evaluated(Answer, frozen=True, kw_only=True):
    ok: bool
    policies_evaluated: Annotated[
        bool, Meta(description="False: stored, and not all judged within the request; the next sweep does that.")
    ]
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
