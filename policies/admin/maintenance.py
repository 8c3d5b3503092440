"""Maintenance windows as pages."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib import admin

from policies.admin.muting import Facts, MutingAdmin
from policies.models import MaintenanceWindow
from policies.muteforms import WindowForm
from policies.muting import bodies, maintenance, reach
from policies.muting.reach import Reach
from vigil.access import marks
from vigil.kernel import clock


@admin.register(MaintenanceWindow)
class MaintenanceAdmin(MutingAdmin[MaintenanceWindow]):
    """When Vigil keeps its hands off which targets."""

    list_display = ("target", "state", "when", "next_opening", "author", "comment")
    search_fields = ("target", "comment", "author")
    search_help_text = "Target, reason or author"
    form_class = WindowForm
    introduction = (
        "Vigil watches and records in maintenance, but does not act, unless a policy says that it does. "
        "When it ends, conditions are judged afresh; nothing that was ordered before is carried out."
    )
    made = "Vigil keeps its hands off while it is open."

    @admin.display(description="state")
    def state(self, obj: MaintenanceWindow) -> str:
        return marks.tag(maintenance.state(obj, at=clock.now()))

    @admin.display(description="when")
    def when(self, obj: MaintenanceWindow) -> str:
        return maintenance.said(obj).removeprefix(f"{obj.target} ").removesuffix(f": {obj.comment}")

    @admin.display(description="open (UTC)")
    def next_opening(self, obj: MaintenanceWindow) -> str | None:
        return _opening(obj, clock.now())

    def create(self, raw: Mapping[str, object], *, actor: str, at: datetime) -> MaintenanceWindow:
        return maintenance.create(raw=raw, actor=actor, at=at)

    def end(self, number: int, *, actor: str, at: datetime) -> None:
        maintenance.end(window_id=number, actor=actor, at=at)

    def reach(self, raw: Mapping[str, object], *, at: datetime) -> Reach | None:
        return reach.of_window(bodies.maintenance(raw, at=at).target, at=at)

    def facts(self, row: MaintenanceWindow, *, at: datetime) -> Facts:
        return [
            ("Targets", row.target),
            ("State", marks.tag(maintenance.state(row, at=at))),
            ("When", self.when(row)),
            ("Open", _opening(row, at) or "never again"),
            ("Why", row.comment),
            ("By", row.author),
        ]

    def is_over(self, row: MaintenanceWindow, *, at: datetime) -> bool:
        return maintenance.state(row, at=at) == "expired"

    def subject(self, row: MaintenanceWindow) -> str:
        return row.subject


def _opening(row: MaintenanceWindow, at: datetime) -> str | None:
    """The opening it is in, or the next one."""
    span = maintenance.opening(row, at=at)
    return None if span is None else f"{span.starts_at:%Y-%m-%d %H:%M} to {span.ends_at:%Y-%m-%d %H:%M}"
