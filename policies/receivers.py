"""Announcements from below. They shorten a wait and nothing more: the sweep finds the same without them."""

from datetime import datetime

import structlog

from actions.signals import action_finished
from policies import remedies
from vigil.kernel import clock

log = structlog.get_logger(__name__)


def connect() -> None:
    """Listen; called once, when every app is loaded."""
    action_finished.connect(on_action_finished, dispatch_uid="policies.on_action_finished")


def on_action_finished(*, action_id: int, target: str, verify_after: datetime | None, **_: object) -> None:
    """Judge what is due on the target now: with no settle time that is this very action."""
    if verify_after is None or verify_after > clock.now():
        return  # nothing of it is to be judged, or not yet
    try:
        remedies.verify_due(at=clock.now(), targets={target})
    except Exception as error:  # a hint must never harm the one who gave it
        log.exception("policies.hint.failed", action_id=action_id, reason=str(error))
