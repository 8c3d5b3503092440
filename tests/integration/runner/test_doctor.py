import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError
from django_celery_beat.models import PeriodicTask
from pytest_django.fixtures import Settings

from metrics import tasks as metrics_tasks
from vigil import schedule
from vigil.health import builtin, checks
from vigil.kernel import clock
from vigil.periodic import beats, punctuality, runs
from vigil.runner import diagnosis
from vigil.runner.diagnosis import Finding

pytestmark = pytest.mark.django_db

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def diagnose(*arguments: str) -> tuple[int, str]:
    printed = io.StringIO()
    try:
        call_command("doctor", *arguments, stdout=printed)
    except SystemExit as ended:
        return int(ended.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def sweep_by(holder: str, *, at: datetime) -> None:
    quickest = min(schedule.jobs(), key=lambda job: job.interval)
    runs.once(job=quickest.name, interval=quickest.interval, at=at, run=lambda: None, holder=holder)


def test_it_says_of_each_part_how_it_is_and_what_to_do() -> None:
    code, printed = diagnose("--json")
    found = json.loads(printed)
    names = {finding["name"] for finding in found["findings"]}
    assert {"python", "secret key", "debug", "data directory", "static files", "database", "queue", "beat"} <= names
    assert all(finding["hint"] for finding in found["findings"] if finding["verdict"] != "ok")
    assert code == (1 if found["verdict"] == "fail" else 0)


@pytest.mark.postgres_only
def test_it_says_when_tomorrow_has_no_partition() -> None:
    lacks = diagnosis.tables_in_parts(at=AT)
    assert lacks.verdict == "warn"
    assert "metrics_sample" in lacks.detail
    metrics_tasks.tend(AT)
    assert diagnosis.tables_in_parts(at=AT).verdict == "ok"
    assert diagnosis.tables_in_parts(at=AT + timedelta(days=200)).verdict == "warn"


def test_before_the_tables_are_there_it_says_so_once(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    slips = {"VIGIL_RETENTON_DAYS": "3", "VIGIL_LOG_LEVEL": "DEBUG"}
    told = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=settings.BASE_DIR,
        env={**kept, **slips, "VIGIL_DATA_DIR": str(tmp_path), "VIGIL_ENV_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
    )
    failed = [line for line in told.stdout.splitlines() if line.startswith("fail")]
    assert (told.returncode, told.stderr) == (1, "")
    assert len(failed) == 1
    assert failed[0].startswith("fail  migrations: ")
    assert "not looked at therefore: workers, " in failed[0]
    assert "Run `manage.py migrate`." in told.stdout
    assert "nothing reads VIGIL_RETENTON_DAYS (is VIGIL_RETENTION_DAYS meant?)" in told.stdout
    assert "{" not in told.stdout, "no line of the log"


def test_a_check_that_breaks_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> checks.Report:
        raise ValueError("out of order")

    monkeypatch.setitem(checks._checks, "queue", checks.Check(name="queue", run=crash, readiness=False))
    code, printed = diagnose()
    assert code == 1
    assert "fail  queue: could not be checked (ValueError: out of order)" in printed


def test_a_table_that_cannot_be_read_is_told_where_nothing_else_explains_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> checks.Report:
        raise DatabaseError("permission denied")

    monkeypatch.setitem(checks._checks, "queue", checks.Check(name="queue", run=crash, readiness=False))
    _, printed = diagnose()
    assert "fail  queue: could not be read from the database (DatabaseError: permission denied)" in printed


def test_names_in_the_file_of_settings_are_read_too(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("# VIGIL_COMMENT=1\nREMEDIATR_URL=x\nexport VIGIL_SETLE_SECONDS=1\nFOREIGN=1\n")
    monkeypatch.setenv("VIGIL_ENV_FILE", str(tmp_path / ".env"))
    told = diagnosis.setting_names()
    assert told.verdict == "warn"
    assert told.detail == (
        "nothing reads REMEDIATR_URL in .env (is REMEDIATOR_URL meant?), "
        "VIGIL_SETLE_SECONDS in .env (is VIGIL_SETTLE_SECONDS meant?)"
    )


def test_a_failure_is_an_exit_code_of_one(settings: Settings, tmp_path: Path) -> None:
    settings.VIGIL_DATA_DIR = tmp_path / "not there"
    code, printed = diagnose()
    assert code == 1
    assert "cannot be written" in printed
    assert "VIGIL_DATA_DIR" in printed


def test_debug_is_a_warning(settings: Settings) -> None:
    settings.DEBUG = True
    assert diagnosis.debug().verdict == "warn"


def test_a_secret_key_that_others_may_read_fails(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    settings.VIGIL_DATA_DIR = tmp_path
    assert diagnosis.secret_key().verdict == "fail"
    kept = tmp_path / "secret_key"
    kept.touch(mode=0o644)
    kept.chmod(0o644)
    assert "chmod 600" in diagnosis.secret_key().hint
    kept.chmod(0o600)
    assert diagnosis.secret_key().verdict == "ok"


def test_a_data_directory_open_to_all_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    settings.VIGIL_DATA_DIR = tmp_path
    tmp_path.chmod(0o777)
    assert diagnosis.data_directory().verdict == "warn"
    tmp_path.chmod(0o700)
    assert diagnosis.data_directory().verdict == "ok"


def test_a_database_that_others_can_read_is_a_warning(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VIGIL_DATA_DIR = tmp_path
    rows = tmp_path / "rows.sqlite3"
    rows.touch(mode=0o644)
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(rows))
    tmp_path.chmod(0o755)
    assert "chmod go-rwx" in diagnosis.data_directory().hint
    rows.chmod(0o600)
    assert diagnosis.data_directory().verdict == "ok"


def test_every_host_name_allowed_is_a_warning(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    assert diagnosis.hosts().verdict == "warn"


@pytest.mark.parametrize(("apart", "verdict"), [(0, "ok"), (5, "warn"), (-5, "warn"), (60, "fail")])
def test_clocks_that_differ_are_told(apart: int, verdict: str) -> None:
    assert diagnosis.clocks(at=clock.now() + timedelta(seconds=apart)).verdict == verdict


def test_an_empty_schedule_fails() -> None:
    assert builtin.beat(at=AT).state == "failed"
    assert not punctuality.look(at=AT).stale


def test_a_job_somebody_switched_off_is_told() -> None:
    schedule.ensure()
    sweep_by("web:8", at=AT)
    PeriodicTask.objects.filter(name="metrics.prune").update(enabled=False)
    assert "metrics.prune" in builtin.beat(at=AT).detail
    assert not punctuality.look(at=AT).stale


def test_of_jobs_that_are_switched_off_beat_owes_nothing() -> None:
    schedule.ensure()
    PeriodicTask.objects.update(enabled=False)
    assert builtin.beat(at=AT).state == "degraded"
    assert not punctuality.look(at=AT).stale


def test_a_beat_whose_turns_the_dispatcher_takes_is_stale() -> None:
    schedule.ensure()
    beats.beat(name="dispatcher@web:7", role="dispatcher", at=AT, hostname="web", pid=7)
    sweep_by("web:7", at=AT)
    told = builtin.beat(at=AT)
    assert (told.state, punctuality.look(at=AT).stale) == ("degraded", True)
    assert "the dispatcher runs metrics.roll_up and policies.sweep" in told.detail


def test_a_beat_whose_turn_comes_after_the_dispatchers_is_not() -> None:
    """At the very end of each slot: what it sends finds the slot taken."""
    schedule.ensure()
    beats.beat(name="dispatcher@web:7", role="dispatcher", at=AT, hostname="web", pid=7)
    sweep_by("web:7", at=AT)
    beats.beat(name="beat", role="beat", at=AT, hostname="web", pid=8)
    assert (builtin.beat(at=AT).state, punctuality.look(at=AT).stale) == ("ok", False)
    assert punctuality.look(at=AT + timedelta(seconds=46)).stale


def test_a_beat_that_keeps_time_is_ok() -> None:
    schedule.ensure()
    sweep_by("web:8", at=AT)
    assert (builtin.beat(at=AT).state, punctuality.look(at=AT).stale) == ("ok", False)


def test_a_beat_is_stale_once_it_missed_three_turns() -> None:
    schedule.ensure()
    beats.beat(name="dispatcher@web:7", role="dispatcher", at=AT, hostname="web", pid=7)
    sweep_by("web:8", at=AT)
    for seconds in (15, 30):
        sweep_by("web:7", at=AT + timedelta(seconds=seconds))
    assert not punctuality.look(at=AT + timedelta(seconds=44)).stale
    assert punctuality.look(at=AT + timedelta(seconds=46)).stale


def test_nobody_sweeping_is_a_warning() -> None:
    schedule.ensure()
    sweep_by("web:8", at=AT - timedelta(hours=1))
    told = builtin.beat(at=AT)
    assert (told.state, told.detail) == ("degraded", "nobody ran metrics.roll_up and policies.sweep lately")
    assert punctuality.look(at=AT).stale


@pytest.mark.parametrize(
    ("verdicts", "worst"), [([], "ok"), (["ok", "warn"], "warn"), (["warn", "fail", "ok"], "fail")]
)
def test_the_gravest_verdict_counts(verdicts: list[diagnosis.Verdict], worst: str) -> None:
    assert diagnosis.worst(Finding(name="a", verdict=verdict, detail="") for verdict in verdicts) == worst


def test_this_test_runs_with_a_key_of_its_own() -> None:
    assert os.environ["SECRET_KEY"].startswith("a-key-that-only-tests-use-")
    assert diagnosis.secret_key().detail == "from SECRET_KEY"
