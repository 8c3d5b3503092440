"""Asks whether an action is still wanted, on fresh data: right before it is sent, and when somebody approves it."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

import structlog
from django.conf import settings

from actions.guards import GateAnswer
from actions.models import Action
from vigil.kernel import plugins
from vigil.kernel.database import database_now

logger = structlog.get_logger(__name__)


def ask(row: Action, *, at: datetime | None = None) -> GateAnswer | None:
    """Whether fresh data still wants the action; None when that cannot be told, and then nothing is sent.

    Without `at`: now, by the database's clock.
    """
    if row.by_hand:
        return GateAnswer(wanted=True, reason="ordered by hand")
    if not settings.ACTION_GATE:
        return GateAnswer(wanted=True, reason="no gate is set")
    try:
        still_wanted = cast("Callable[..., GateAnswer]", plugins.load(settings.ACTION_GATE))
        return still_wanted(
            action_id=row.pk,
            incident_id=row.incident_id,
            policy_name=row.policy_name,
            target=row.target,
            kind=row.action_type_id,
            at=at or database_now(),
        )
    except Exception:
        logger.exception("actions.gate.failed", action_id=row.pk, reason="nobody can tell whether it is still wanted")
        return None
