"""Reads from Vigil's own API what became of the fleet: incidents opened, healed, and in how many seconds."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from simulator.client import Vigil

PAGE = 200
PAGES_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident, as far as the simulator cares."""

    id: int
    policy: str
    target: str
    severity: str
    status: str
    status_reason: str
    opened_at: datetime
    resolved_at: datetime | None
    seconds_to_heal: float | None
    actions: tuple[int, ...] = ()

    @property
    def healed(self) -> bool:
        """Resolved on fresh data; one closed for want of data never counts."""
        return self.status == "resolved" and self.seconds_to_heal is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """How it went so far."""

    incidents_opened: int = 0
    healed: int = 0
    mean_seconds_to_heal: float | None = None


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Remembers every incident of these targets that opened since `since`. Thread safe."""

    vigil: Vigil
    targets: frozenset[str]
    since: datetime
    _incidents: dict[int, Incident] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def look(self) -> list[Incident]:
        """Ask Vigil; the incidents that are new or changed, oldest first."""
        with self._lock:
            found = {incident.id: incident for incident in self._read() if incident.target in self.targets}
            changed = [incident for key, incident in found.items() if self._incidents.get(key) != incident]
            self._incidents.update(found)
            return sorted(changed, key=lambda incident: incident.id)

    def healing(self) -> Healing:
        """What is known from the looks so far."""
        seen = list(self._incidents.values())
        times = [incident.seconds_to_heal or 0.0 for incident in seen if incident.healed]
        mean = round(sum(times) / len(times), 2) if times else None
        return Healing(incidents_opened=len(seen), healed=len(times), mean_seconds_to_heal=mean)

    def _read(self) -> list[Incident]:
        found: list[Incident] = []
        for page in range(PAGES_MAX):
            rows = self.vigil.incidents(limit=PAGE, offset=page * PAGE)
            read = [incident for incident in map(read_incident, rows) if incident is not None]
            found += [incident for incident in read if incident.opened_at >= self.since]
            # Newest first: a page with an older one, or a short page, is the last that matters.
            if len(rows) < PAGE or any(incident.opened_at < self.since for incident in read):
                break
        return found


def read_incident(row: Mapping[str, object]) -> Incident | None:
    """An incident of the API's list; None while it is only pending or when the row cannot be read."""
    opened_at, number = moment(row.get("opened_at")), row.get("id")
    if opened_at is None or not isinstance(number, int):
        return None
    seconds = row.get("time_to_heal_seconds")
    actions = row.get("actions")
    return Incident(
        id=number,
        policy=str(row.get("policy_name", "")),
        target=str(row.get("target", "")),
        severity=str(row.get("severity", "")),
        status=str(row.get("status", "")),
        status_reason=str(row.get("status_reason") or ""),
        opened_at=opened_at,
        resolved_at=moment(row.get("resolved_at")),
        seconds_to_heal=float(seconds) if isinstance(seconds, int | float) else None,
        actions=tuple(one for one in actions if isinstance(one, int)) if isinstance(actions, list) else (),
    )


def moment(value: object) -> datetime | None:
    """An aware time out of JSON, or None."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None
