"""The checks behind /ready and `manage.py doctor`; apps register theirs in `AppConfig.ready`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog
from django.db import DatabaseError

log = structlog.get_logger(__name__)

State = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found."""

    state: State
    detail: str
    hint: str = ""
    """What to do about it."""
    error: str = ""
    """What went wrong inside, when the check itself failed: for whoever administers this machine, never for callers."""
    unread: bool = False
    """The database did not give what the check asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A registered check."""

    name: str
    run: Callable[[], Report]
    readiness: bool
    """Whether a failure means that no traffic should come here."""


_checks: dict[str, Check] = {}


def register(name: str, check: Callable[[], Report], *, readiness: bool) -> None:
    """Add a check; the same name again replaces it."""
    _checks[name] = Check(name=name, run=check, readiness=readiness)


def run_all() -> dict[str, tuple[Check, Report]]:
    """Every check's report; a check that crashes has failed, and says no more than that."""
    return {name: (check, _run(check)) for name, check in _checks.items()}


def ready(reports: dict[str, tuple[Check, Report]]) -> bool:
    """Whether everything that readiness needs is at least degraded."""
    return all(report.state != "failed" for check, report in reports.values() if check.readiness)


def _run(check: Check) -> Report:
    try:
        return check.run()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        log.warning("health.check.crashed", check=check.name, error=told)
        if isinstance(error, DatabaseError):
            hint = "Is the database running, and was manage.py migrate run?"
            detail = "could not be read from the database"
            return Report(state="failed", detail=detail, hint=hint, error=told, unread=True)
        return Report(state="failed", detail="could not be checked", hint="The log has the details.", error=told)
