"""What the API takes, and how an answer of `dispatch` becomes one of HTTP."""

from typing import Annotated, Literal

import msgspec

from actions.dispatch import Held, OrderAnswer, Ordered
from actions.pulling import Result
from actions.queries import ActionView
from vigil.kernel.errors import Conflict

type ShortText = Annotated[str, msgspec.Meta(max_length=250)]
type Reason = Annotated[str, msgspec.Meta(max_length=2_000)]


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action ordered by hand."""

    action: ShortText
    target: ShortText
    params: dict[str, object] = {}
    reason: Reason = ""
    severity: Literal["", "info", "warning", "critical"] = ""


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why somebody uses a verb; may be left out."""

    reason: Reason = ""


class NotesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New notes on an action."""

    notes: str


class ResultBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a remediator says that its work ended. The echoes may be left out, but for the key."""

    key: ShortText
    status: ShortText
    message: str = ""
    details: dict[str, object] = {}
    run_id: ShortText = ""
    action_id: int | None = None


class TaskResultBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a fetched task ended, in the shape that the remediators which fetch speak."""

    task_id: ShortText
    status: Literal["success", "failed", "timeout", "partial"]
    resource: ShortText
    action: ShortText
    remediator_id: ShortText
    timestamp: Annotated[int, msgspec.Meta(ge=0, description="Unix seconds.")] = 0
    namespace: ShortText | None = None
    duration: Annotated[int, msgspec.Meta(ge=0, description="Milliseconds.")] = 0
    error_message: str | None = None
    details: dict[str, object] | None = None
    remediator_version: ShortText | None = None
    retry_attempts: Annotated[int, msgspec.Meta(ge=0)] | None = None


class ControlBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the switch shall stand."""

    mode: ShortText
    reason: Reason = ""


class ResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A storm that somebody has looked at."""

    scope: ShortText
    reason: Reason = ""


class LiftBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quarantine that somebody has looked at."""

    target: ShortText
    reason: Reason = ""


class NotNow(Conflict):
    """A guard stands in the way of the order."""

    code = "held"


def task_result(said: TaskResultBody) -> Result:
    """The report in the words of `pulling`; what else it says is kept among the details."""
    beside = {
        "duration_ms": said.duration,
        "remediator_version": said.remediator_version,
        "retry_attempts": said.retry_attempts,
    }
    return Result(
        task_id=said.task_id,
        status=said.status,
        remediator_id=said.remediator_id,
        resource=said.resource,
        action=said.action,
        error_message=said.error_message or "",
        details={name: value for name, value in beside.items() if value} | (said.details or {}),
    )


def ordered(answer: OrderAnswer) -> tuple[ActionView, bool]:
    """The action and whether it is new; Conflict says which guard was in the way and what helps."""
    if isinstance(answer, Ordered):
        return answer.action, answer.created
    if isinstance(answer, Held):
        helps = "Resume Vigil first." if answer.guard == "kill_switch" else "Try again later."
        raise NotNow(f"Nothing was ordered: {answer.reason}. {helps}", code=f"held_{answer.guard}")
    raise NotNow(f"Nothing was ordered: {answer.reason}. Change that first.", code=f"refused_{answer.guard}")
