"""What the API takes, and how an answer of `dispatch` becomes one of HTTP."""

from typing import Annotated, Literal

import msgspec

from actions.dispatch import Held, OrderAnswer, Ordered
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


class ControlBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the switch shall stand."""

    mode: ShortText
    reason: Reason = ""


class NotNow(Conflict):
    """A guard stands in the way of the order."""

    code = "held"


def ordered(answer: OrderAnswer) -> tuple[ActionView, bool]:
    """The action and whether it is new; Conflict says which guard was in the way and what helps."""
    if isinstance(answer, Ordered):
        return answer.action, answer.created
    if isinstance(answer, Held):
        helps = "Resume Vigil first." if answer.guard == "kill_switch" else "Try again later."
        raise NotNow(f"Nothing was ordered: {answer.reason}. {helps}", code=f"held_{answer.guard}")
    raise NotNow(f"Nothing was ordered: {answer.reason}. Change that first.", code=f"refused_{answer.guard}")
