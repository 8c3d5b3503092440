"""The checks behind /ready and `manage.py doctor`; apps register theirs in `AppConfig.ready`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

log = structlog.get_logger(__name__)

State = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found."""

    state: State
    detail: str
    hint: str = ""
    """What to do about it."""


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
        log.warning("health.check.crashed", check=check.name, error=f"{type(error).__name__}: {error}")
        return Report(state="failed", detail="could not be checked", hint="The log has the details.")
