"""Celery tasks. The dispatcher calls the same functions for slots that beat missed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app, shared_task
from django.conf import settings
from django.db import OperationalError

from policies import shards
from policies import sweep as sweeping
from policies.models import SweepShard
from vigil.kernel import clock
from vigil.periodic import runs

log = structlog.get_logger(__name__)


@shared_task(name="policies.sweep", soft_time_limit=100, time_limit=110)
def sweep(**_: object) -> bool:
    """Run this slot's sweep unless somebody else did; safe to call at any time, any number of times."""
    at = clock.now()
    interval = timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS)
    try:
        return runs.once(
            job="policies.sweep", interval=interval, at=at, run=lambda: sweeping.run(at=at, hand_out=_hand_out)
        )
    except OperationalError as error:  # anticipated: the next slot comes, and the sweep's age tells when none succeeds
        log.warning("policies.sweep.postponed", reason=f"The database is away or too busy: {error}")
        return False


@shared_task(name="policies.sweep_shard", soft_time_limit=100, time_limit=110)
def sweep_shard(*, shard_id: int, **_: object) -> bool:
    """Do one shard of a sweep unless somebody else did, or the sweep is over."""
    shard = SweepShard.objects.filter(pk=shard_id).first()
    if shard is None:
        return False
    with sweeping.patience():
        return shards.once(shard)


def _hand_out(shard_ids: Sequence[int]) -> None:
    """One connection for all of them, and no second try: the sweep does what nobody takes."""
    with current_app.connection_for_write() as broker:
        how: dict[str, Any] = {"queue": "vigil.chores", "retry": False, "connection": broker}
        for shard_id in shard_ids:
            sweep_shard.apply_async(kwargs={"shard_id": shard_id}, expires=settings.VIGIL_SWEEP_INTERVAL_SECONDS, **how)
