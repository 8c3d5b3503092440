"""Writes maintenance windows. Each change leaves an audit entry; nothing is ever removed."""

from collections.abc import Mapping
from datetime import datetime

from policies.engine import calendar, muting
from policies.engine.calendar import Span
from policies.models import MaintenanceWindow
from policies.muting import bodies, changes, kept
from policies.muting.bodies import Json, WindowDraft
from vigil.kernel.database import tx

WORD = "maintenance window"


def create(*, raw: Mapping[str, object], actor: str, at: datetime) -> MaintenanceWindow:
    """A new window from its written shape; UnableToMute names what is wrong."""
    draft = bodies.maintenance(raw, at=at)

    def run() -> MaintenanceWindow:
        row = MaintenanceWindow(author=actor, created_at=at, updated_at=at)
        _fill(row, draft)
        row.save(force_insert=True)
        changes.record("created", subject=row.subject, actor=actor, reason=said(row), numbers=written(row), at=at)
        return row

    return tx(run)


def update(*, window_id: int, change: Mapping[str, object], actor: str, at: datetime) -> MaintenanceWindow:
    """Merge a partial body; AlreadyOver (409) when it has ended."""

    def run() -> MaintenanceWindow:
        row = _not_over(changes.locked(MaintenanceWindow, window_id, word=WORD), at)
        _fill(row, bodies.maintenance(_merged(written(row), change), at=at))
        row.updated_at = at
        row.save()
        changes.record("updated", subject=row.subject, actor=actor, reason=said(row), numbers=written(row), at=at)
        return row

    return tx(run)


def end(*, window_id: int, actor: str, at: datetime) -> MaintenanceWindow:
    """End it now: conditions are judged afresh from here on; AlreadyOver (409) when it has ended."""

    def run() -> MaintenanceWindow:
        row = _not_over(changes.locked(MaintenanceWindow, window_id, word=WORD), at)
        changes.end(row, subject=row.subject, actor=actor, reason=f"Ended by {actor}.", at=at)
        return row

    return tx(run)


def get(window_id: int) -> MaintenanceWindow:
    """One window; NotFound says so."""
    return changes.get(MaintenanceWindow, window_id, word=WORD)


def opening(row: MaintenanceWindow, *, at: datetime) -> Span | None:
    """The opening it is in, or else the next one; None when it is over."""
    schedule = kept.schedule_of(row)
    if schedule is None:
        return None
    return calendar.open_at(schedule, at) or calendar.next_after(schedule, at)


def state(row: MaintenanceWindow, *, at: datetime) -> str:
    """active, pending (one opening at least is to come) or expired."""
    span = opening(row, at=at)
    if span is None:
        return "expired"
    return "active" if span.covers(at) else "pending"


def written(row: MaintenanceWindow) -> Json:
    """The window in the shape people write."""
    weekly = None
    if row.opens is not None and row.closes is not None:
        weekly = {
            "days": row.days.split(),
            "from": f"{row.opens:%H:%M}",
            "to": f"{row.closes:%H:%M}",
            "timezone": row.timezone,
        }
    return {
        "target": row.target,
        "starts_at": _moment(row.starts_at),
        "ends_at": _moment(row.ends_at),
        "weekly": weekly,
        "comment": row.comment,
    }


def said(row: MaintenanceWindow) -> str:
    """The window as one line."""
    if row.opens is not None and row.closes is not None:
        days = ", ".join(row.days.split())
        when = f"every {days} from {row.opens:%H:%M} to {row.closes:%H:%M} {row.timezone}"
    else:
        when = f"from {muting.clock(row.starts_at)}"
    until = f" until {muting.clock(row.ends_at)}" if row.ends_at is not None else ""
    return f"{row.target} {when}{until}: {row.comment}"


def _merged(current: Json, change: Mapping[str, object]) -> Json:
    """`current` with the changed fields; a new length replaces the end there was."""
    whole = {**current, **change}
    if change.get("duration") is not None and "ends_at" not in change:
        whole.pop("ends_at")
    return whole


def _fill(row: MaintenanceWindow, draft: WindowDraft) -> None:
    row.target, row.comment = draft.target, draft.comment
    row.starts_at, row.ends_at = draft.starts_at, draft.ends_at
    weekly = draft.weekly
    row.days = "" if weekly is None else " ".join(calendar.DAYS[day] for day in sorted(weekly.days))
    row.opens = None if weekly is None else weekly.opens
    row.closes = None if weekly is None else weekly.closes
    row.timezone = "UTC" if weekly is None else weekly.zone.key


def _not_over(row: MaintenanceWindow, at: datetime) -> MaintenanceWindow:
    if state(row, at=at) == "expired":
        raise changes.AlreadyOver("That maintenance window is over; make a new one.")
    return row


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
