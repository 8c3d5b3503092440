"""Which processes live, and which slots ran: for administrators, read-only."""

from datetime import datetime

from django.contrib import admin

from vigil.access import marks
from vigil.access.scoped import ADMINISTRATORS, LongList, ScopedAdmin
from vigil.kernel import clock
from vigil.periodic import gauges
from vigil.periodic.models import PeriodicRun, WorkerBeat

FRESH_SECONDS = 60


@admin.register(WorkerBeat)
class WorkerBeatAdmin(ScopedAdmin[WorkerBeat]):
    """Every process that said lately that it lives."""

    to_view = ADMINISTRATORS
    list_display = ("name", "role", "state", "hostname", "pid", "beat_at", "claimed_at")
    list_filter = ("role",)
    ordering = ("role", "name")

    @admin.display(description="state")
    def state(self, obj: WorkerBeat) -> str:
        if not _is_fresh(obj.beat_at):
            return marks.tag("gone", of="")
        if obj.role in gauges.WORKERS and not _is_fresh(obj.claimed_at):
            return marks.tag("takes up no work", of="")
        return marks.tag("alive", of="alive")


def _is_fresh(at: datetime | None) -> bool:
    return at is not None and (clock.now() - at).total_seconds() < FRESH_SECONDS


@admin.register(PeriodicRun)
class PeriodicRunAdmin(LongList[PeriodicRun]):
    """Every slot that ran, by whom it was run, and what went wrong."""

    to_view = ADMINISTRATORS
    list_display = ("job", "started_at", "took", "holder", "error")
    list_filter = ("job",)
    ordering = ("-started_at",)

    @admin.display(description="took")
    def took(self, obj: PeriodicRun) -> str | None:
        return f"{(obj.finished_at - obj.started_at).total_seconds():.2f} s" if obj.finished_at else None
