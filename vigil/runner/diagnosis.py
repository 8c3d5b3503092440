"""What `manage.py doctor` looks at: the health checks, and what only matters to whoever installed Vigil."""

import os
import platform
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import checks as django_checks
from django.db import DatabaseError

from metrics import partitions, resolutions
from vigil import environment
from vigil.health import checks
from vigil.kernel import database
from vigil.runner import spelling

Verdict = Literal["ok", "warn", "fail"]

CLOCKS_MAY_DIFFER = timedelta(seconds=2)
CLOCKS_MUST_NOT_DIFFER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is right or wrong with this installation."""

    name: str
    verdict: Verdict
    detail: str
    hint: str = ""
    """What to do about it; empty when nothing is to be done."""
    unread: bool = False
    """The database did not give what was asked for: it, or its tables, are the trouble, and not this part."""


def examine(*, at: datetime) -> list[Finding]:
    """Everything, in the order in which one would look; a check that breaks is a finding too."""
    looks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("python", python),
        ("settings", system_checks),
        ("names of settings", setting_names),
        ("secret key", secret_key),
        ("debug", debug),
        ("demo", demo),
        ("hosts", hosts),
        ("data directory", data_directory),
        ("static files", static_files),
    )
    of_the_database: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("clock", lambda: clocks(at=at)),
        ("partitions", lambda: tables_in_parts(at=at)),
    )
    found = [_look(name, look) for name, look in looks]
    found += _of_health()
    found += [_look(name, look) for name, look in of_the_database]
    return _told_once(found)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The gravest verdict of all."""
    verdicts = {finding.verdict for finding in findings}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"


def python() -> Finding:
    """Which Python this is; one that is too old could not have come this far."""
    return _ok("python", f"{platform.python_version()}, {sys.executable}")


def system_checks() -> Finding:
    """Django's own checks and those of the apps."""
    problems = [
        one for one in django_checks.run_checks() if one.level >= django_checks.WARNING and not one.is_silenced()
    ]
    if not problems:
        return _ok("settings", "all checks pass")
    text = "; ".join(f"{one.msg} ({one.id})" for one in problems[:3])
    verdict = _fail if any(one.level >= django_checks.ERROR for one in problems) else _warn
    return verdict("settings", text, "manage.py check says it in full.")


def setting_names() -> Finding:
    """Every name that is given a value is read: a misspelt one changes nothing, and nobody says so."""
    env_file = environment.env_file("VIGIL_ENV_FILE", default=Path(settings.BASE_DIR) / ".env")
    in_file = spelling.names_in(env_file.read_text(errors="replace")) if env_file.is_file() else []
    wrong = spelling.unread([*os.environ, *in_file], known=environment.asked, in_our_file=in_file)
    told = [
        f"{name}{f' in {env_file.name}' if name in in_file else ''}{f' (is {meant} meant?)' if meant else ''}"
        for name, meant in wrong
    ]
    if told:
        return _warn("names of settings", f"nothing reads {', '.join(told)}", "Correct or remove them: .env.example.")
    return _ok("names of settings", "all are known")


def secret_key() -> Finding:
    """Kept where only this user reads it."""
    if os.environ.get("SECRET_KEY"):
        return _ok("secret key", "from SECRET_KEY")
    kept = Path(settings.VIGIL_DATA_DIR) / "secret_key"
    if not kept.exists():
        return _fail("secret key", "there is none", "Start Vigil once, or set SECRET_KEY.")
    if _open_to_others(kept):
        return _fail("secret key", f"{kept} can be read by other users", f"chmod 600 {kept}")
    return _ok("secret key", f"kept in {kept}")


def debug() -> Finding:
    """Error pages do not show the inside."""
    if settings.DEBUG:
        return _warn("debug", "VIGIL_DEBUG is on: error pages show settings and code", "Unset VIGIL_DEBUG.")
    return _ok("debug", "off")


def demo() -> Finding:
    """Callers without a key are only for the demo."""
    if settings.VIGIL_DEMO:
        return _warn("demo", "VIGIL_DEMO is on: this machine's callers need no key", "Unset VIGIL_DEMO.")
    return _ok("demo", "off")


def hosts() -> Finding:
    """Only the names this installation goes by are answered."""
    if "*" in settings.ALLOWED_HOSTS:
        return _warn("hosts", "ALLOWED_HOSTS allows every name", "List the names people use for this Vigil.")
    return _ok("hosts", ", ".join(settings.ALLOWED_HOSTS))


def data_directory() -> Finding:
    """There, writable, and closed to strangers."""
    directory = Path(settings.VIGIL_DATA_DIR)
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        hint = "Make it, writable for this user, or name another with VIGIL_DATA_DIR."
        return _fail("data directory", f"{directory} cannot be written", hint)
    if directory.stat().st_mode & stat.S_IWOTH:
        return _warn("data directory", f"every user may write {directory}", f"chmod o-w {directory}")
    rows = Path(str(settings.DATABASES["default"]["NAME"]))  # a file with SQLite alone
    if rows.is_file() and _open_to_others(rows) and _open_to_others(rows.parent):
        return _warn("data directory", f"other users can read {rows}", f"chmod go-rwx {rows}*")
    return _ok("data directory", str(directory))


def static_files() -> Finding:
    """The console's styles are found."""
    missing = [path for path in ("admin/css/base.css", "unfold/css/styles.css") if finders.find(path) is None]
    if missing:
        return _fail("static files", f"not found: {', '.join(missing)}", "Install the requirements again: make setup.")
    return _ok("static files", "found")


def clocks(*, at: datetime) -> Finding:
    """This machine's clock and the database's agree: readings are stamped by one, leases by the other."""
    apart = abs(database.database_now() - at)
    detail = f"{apart.total_seconds():.1f} s from the database's"
    hint = "Let both machines take their time from the network (NTP)."
    if apart > CLOCKS_MUST_NOT_DIFFER:
        return _fail("clock", detail, hint)
    return _warn("clock", detail, hint) if apart > CLOCKS_MAY_DIFFER else _ok("clock", detail)


def tables_in_parts(*, at: datetime) -> Finding:
    """The tables that PostgreSQL keeps by time are ready for tomorrow."""
    tables = [partitions.SAMPLES, *(one.table for one in resolutions.FINEST_FIRST)]
    lacking = [table.name for table in tables if partitions.lacks_next(table, at=at)]
    if lacking:
        hint = "metrics.prune makes them every minute: is celery beat or a dispatcher running? docs/storage.md."
        return _warn("partitions", f"tomorrow has none in {', '.join(lacking)}", hint)
    return _ok("partitions", "made ahead" if partitions.parts(partitions.SAMPLES) else "not used on this database")


def _of_health() -> list[Finding]:
    verdicts: dict[str, Verdict] = {"ok": "ok", "degraded": "warn", "failed": "fail"}
    return [
        Finding(
            name=name,
            verdict=verdicts[report.state],
            detail=f"{report.detail} ({report.error})" if report.error else report.detail,
            hint=report.hint if report.unread or not report.error else "Please report this line: the check is broken.",
            unread=report.unread,
        )
        for name, (_check, report) in checks.run_all().items()
    ]


def _look(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except DatabaseError as error:
        hint = "Is the database running, and was manage.py migrate run?"
        return Finding(name=name, verdict="fail", detail=f"could not be read ({error})", hint=hint, unread=True)
    except OSError as error:
        return _fail(name, str(error), "Is the data directory this user's own?")


def _told_once(found: Sequence[Finding]) -> list[Finding]:
    """A database that is away, or has no tables yet, is one finding: what could not be read is named there."""
    verdicts = {finding.name: finding.verdict for finding in found if not finding.unread}
    cause = next((name for name in ("database", "migrations") if verdicts.get(name) == "fail"), None)
    unread = ", ".join(finding.name for finding in found if finding.unread)
    if cause is None or not unread:
        return list(found)
    return [
        replace(finding, detail=f"{finding.detail}; not looked at therefore: {unread}")
        if finding.name == cause
        else finding
        for finding in found
        if not finding.unread
    ]


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _ok(name: str, detail: str) -> Finding:
    return Finding(name=name, verdict="ok", detail=detail)


def _warn(name: str, detail: str, hint: str) -> Finding:
    return Finding(name=name, verdict="warn", detail=detail, hint=hint)


def _fail(name: str, detail: str, hint: str) -> Finding:
    return Finding(name=name, verdict="fail", detail=detail, hint=hint)
