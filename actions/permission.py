"""What every effect must be let through by, in one look: the switch, its remediator's circuit, the database's clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Subquery

from actions import control
from actions.control import ControlState
from actions.models import Circuit, ControlSwitch, Remediator
from vigil.kernel.database import DatabaseNow, database_now
from vigil.kernel.statements import Given, Select


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one statement saw."""

    control: ControlState
    circuit: Circuit | None
    """None while none of the remediator's calls ever failed. It is not locked."""
    now: datetime


def look(remediator_id: int) -> Seen:
    """What holds now. Raises a database error when the database is away: no effect starts then either."""
    row: Any = _LOOK.one(remediator_id=remediator_id)
    if row is None:
        return Seen(control=control.state(), circuit=None, now=database_now())
    said = (row.switch_mode, row.switch_reason, row.switch_by, row.switch_at)
    return Seen(control=control.said(*said), circuit=getattr(row, "circuit", None), now=row.now)


def _of_switch(column: str) -> Subquery:
    return Subquery(ControlSwitch.objects.filter(pk=1).values(column)[:1])


_LOOK = Select(
    lambda: (
        Remediator.objects.filter(pk=Given("remediator_id", Remediator._meta.get_field("id")))
        .select_related("circuit")
        .defer("config", "secret")
        .order_by()
        .annotate(
            now=DatabaseNow(),
            switch_mode=_of_switch("mode"),
            switch_reason=_of_switch("reason"),
            switch_by=_of_switch("by"),
            switch_at=_of_switch("at"),
        )
    )
)
