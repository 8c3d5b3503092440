"""Asks whose policy an action comes from: they are no second pair of eyes for it."""

from collections.abc import Callable, Mapping
from typing import cast

import structlog
from django.conf import settings

from actions.models import Action
from actions.queries import ActionView
from vigil.kernel import plugins
from vigil.kernel.errors import Conflict

logger = structlog.get_logger(__name__)


class UnableToTell(Conflict):
    """Nobody can tell whose policy it is, so nobody approves it."""

    code = "unknown_editors"


def of(action: Action | ActionView) -> Mapping[str, str]:
    """The people who wrote what the action comes from, each with what they did; {} for an order without a policy.

    UnableToTell: the question failed.
    """
    if action.incident_id is None or not settings.ACTION_EDITORS:
        return {}
    action_id = action.pk if isinstance(action, Action) else action.id
    try:
        editors = cast("Callable[..., Mapping[str, str]]", plugins.load(settings.ACTION_EDITORS))
        return editors(incident_id=action.incident_id, policy_version=action.policy_version)
    except Exception as error:
        logger.exception("actions.editors.failed", action_id=action_id, reason="nobody can tell whose policy it is")
        raise UnableToTell(
            f"Action {action_id} is not approved: nobody can tell now who edited its policy. Try again."
        ) from error
