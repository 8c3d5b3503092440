"""The control switch: one row, and a file that needs no database client to make. What cannot be read means paused."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from django.conf import settings

from actions.guards import Switch
from actions.models import ControlSwitch
from vigil.audit import entries
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import FieldError, Invalid

type Mode = Literal["active", "observe", "paused"]

MODES: tuple[Mode, ...] = ("active", "observe", "paused")
_KINDS: dict[Mode, str] = {"active": "control.resumed", "observe": "control.observing", "paused": "control.paused"}
_REASON_LIMIT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """What Vigil may do right now, and who says so."""

    mode: Mode
    """active: acts. observe: judges, orders nothing. paused: starts no effect."""
    reason: str
    by: str
    at: datetime | None
    """When it was set; None when a file says so, or nothing can be read."""

    @property
    def switch(self) -> Switch:
        """As the guards want it."""
        return Switch(mode=self.mode, reason=self.reason, by=self.by)


def state() -> ControlState:
    """The switch as it is. Raises a database error when the database is away: no effect starts then either."""
    row = ControlSwitch.objects.filter(pk=1).values_list("mode", "reason", "by", "at").first()
    return said(*(row or (None, None, None, None)))


def said(mode: str | None, reason: str | None, by: str | None, at: datetime | None) -> ControlState:
    """The switch as it is, with its row's columns as they were read just now; all None without a row."""
    return _said_by_file(Path(settings.VIGIL_PAUSE_FILE)) or _said_by_row(mode, reason or "", by or "", at)


def _said_by_row(mode: str | None, reason: str, by: str, at: datetime | None) -> ControlState:
    if mode is None:
        return _paused("the control switch has no row: run manage.py migrate, or manage.py resume", by="database")
    if mode not in MODES:
        return _paused(f"the control switch says {mode!r}, which nobody understands", by="database")
    return ControlState(mode=mode, reason=reason, by=by, at=at)


def history() -> list[tuple[str, datetime]]:
    """Every setting of the switch there was, oldest first: the mode, and when it came into force."""
    return [(entry.to_state, entry.at) for entry in entries.of("control")]


def set_mode(*, mode: str, reason: str, actor: str, at: datetime) -> ControlState:
    """Set the switch and return what is now in force (a pause file outranks the row). Invalid names a wrong mode.

    Once this returned `observe` or `paused`, no effect starts later than 5 s from then.
    """
    if mode not in MODES:
        raise Invalid(
            f"There is no mode {mode!r}; use active, observe or paused.",
            errors=[FieldError(path="mode", message="one of active, observe, paused")],
        )
    if len(reason) > _REASON_LIMIT:
        raise Invalid("The reason is too long.", errors=[FieldError(path="reason", message="at most 2,000 characters")])
    tx(lambda: _write(mode, reason, actor, judged_at=at))
    return state()


def _write(mode: Mode, reason: str, actor: str, *, judged_at: datetime) -> None:
    now = database_now()
    before = ControlSwitch.objects.select_for_update().filter(pk=1).values_list("mode", flat=True).first() or ""
    ControlSwitch.objects.update_or_create(pk=1, defaults={"mode": mode, "reason": reason, "by": actor, "at": now})
    entries.write(
        kind=_KINDS[mode],
        subject="control",
        actor=actor,
        reason=reason,
        from_state=before,
        to_state=mode,
        numbers={"asked_at": judged_at.isoformat()},
        at=now,
    )


def _said_by_file(path: Path) -> ControlState | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            said = file.readline(500).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _paused(f"the pause file {path.name} cannot be read ({error.strerror})", by=f"file {path.name}")
    return _paused(said or f"the file {path.name} is there; remove it to act again", by=f"file {path.name}")


def _paused(reason: str, *, by: str) -> ControlState:
    return ControlState(mode="paused", reason=reason.replace("\x00", ""), by=by, at=None)
