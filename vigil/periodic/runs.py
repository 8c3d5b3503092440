"""Runs each slot of a periodic job once, whoever starts it."""

import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction

from vigil.kernel import clock
from vigil.periodic.models import PeriodicRun

log = structlog.get_logger(__name__)


def slot_of(*, interval: timedelta, at: datetime) -> int:
    """The number of the slot that `at` falls into."""
    return int(at.timestamp() // interval.total_seconds())


def started(*, job: str, slot: int) -> bool:
    """Whether somebody took this slot."""
    return PeriodicRun.objects.filter(job=job, slot=slot).exists()


def once(*, job: str, interval: timedelta, at: datetime, run: Callable[[], object], holder: str = "") -> bool:
    """Run this moment's slot, unless it was taken: True when this call ran it. Errors of `run` are kept and raised."""
    slot = slot_of(interval=interval, at=at)
    try:
        with transaction.atomic():
            row = PeriodicRun.objects.create(
                job=job, slot=slot, started_at=at, holder=holder or f"{socket.gethostname()}:{os.getpid()}"
            )
    except IntegrityError:
        return False
    log.info("periodic.slot.began", job=job, slot=slot)
    try:
        run()
    except Exception as error:
        PeriodicRun.objects.filter(pk=row.pk).update(finished_at=clock.now(), error=f"{type(error).__name__}: {error}")
        raise
    PeriodicRun.objects.filter(pk=row.pk).update(finished_at=clock.now())
    return True


def prune(*, before: datetime, limit: int = 5_000) -> int:
    """Drop rows of slots long gone."""
    old = PeriodicRun.objects.filter(started_at__lt=before).values("pk")[:limit]
    return PeriodicRun.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]
