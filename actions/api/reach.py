"""What a caller bound to targets may see and touch: for it, the rest is not there."""

from django.db.models import QuerySet

from actions import queries
from actions.consent import Voice
from actions.models import Action
from actions.queries import ActionView
from vigil.access import bounds, scopes
from vigil.access.principal import Principal
from vigil.kernel.errors import NotFound, VigilError


class NotYours(VigilError):
    """The caller may not speak for that target."""

    code = "target_not_allowed"
    status = 403


def rows(found: QuerySet[Action], caller: Principal) -> QuerySet[Action]:
    """Of these actions, those the caller may see."""
    return found.filter(bounds.among(caller.targets))


def one(action_id: int, caller: Principal) -> ActionView:
    """The action, or NotFound when there is none that the caller may know of."""
    found = queries.get(action_id)
    if not bounds.covers(caller.targets, found.target):
        raise NotFound(f"There is no action {action_id}; GET /api/v1/actions lists those there are.")
    return found


def voice(caller: Principal) -> Voice:
    """The caller as one whose word may be awaited."""
    return Voice(
        actor=caller.actor,
        operates=scopes.ACTIONS_WRITE in caller.scopes,
        approves=scopes.ACTIONS_APPROVE in caller.scopes,
    )


def check_target(target: str, caller: Principal) -> None:
    """NotYours when the caller may not order anything for the target."""
    if not bounds.covers(caller.targets, target):
        allowed = ", ".join(caller.targets)
        raise NotYours(f"{caller.actor} may only speak for {allowed}; ask for a key that covers this target.")
