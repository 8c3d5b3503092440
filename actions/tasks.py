"""The Celery tasks of this app. A message is an action's id, and none can do what the row does not allow."""

import os
import socket
from datetime import timedelta

import structlog
from celery import shared_task

from actions import execution, signals, storms
from actions.claims import NotClaimed
from vigil.kernel import clock
from vigil.periodic import runs

logger = structlog.get_logger(__name__)

_LARGEST_ID = 2**63 - 1
PRUNE_EVERY = timedelta(hours=1)


@shared_task(name="actions.run_action", ignore_result=True)
def run_action(*, action_id: int, passed_on: int = 0, **_: object) -> None:
    """Run the action if it is due and at the head of its target's line; raises nothing to Celery.

    `passed_on`: how many workers did not know what it takes.
    """
    if not isinstance(action_id, int) or isinstance(action_id, bool) or not 0 < action_id <= _LARGEST_ID:
        logger.warning("actions.task.refused", reason="the message's action_id is no id")
        return
    try:
        answer = execution.run(action_id=action_id, worker=worker_name())
        if isinstance(answer, NotClaimed) and answer.for_others and isinstance(passed_on, int):
            signals.left_to_others.send_robust(sender=run_action, action_id=action_id, passed_on=passed_on)
    except Exception:  # the row says where it stands, and the dispatcher goes on from there
        logger.exception("actions.task.failed", action_id=action_id)


@shared_task(name="actions.prune", ignore_result=True)
def prune(**_: object) -> None:
    """Drop what no guard looks at any more, once per slot whoever asks."""
    runs.once(job="actions.prune", interval=PRUNE_EVERY, at=clock.now(), run=storms.forget_old)


def worker_name() -> str:
    """This process, as leases and attempts name it."""
    return f"{socket.gethostname()}:{os.getpid()}"
