"""A plain `manage.py up`: what is there, and what happens when a part of it dies."""

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers import stack as stacks
from tests.servers.processes import alive, wait_until
from tests.servers.stack import Stack

PARTS = {
    "web": "granian",
    "worker": "vigil.actions",
    "chores": "vigil.chores",
    "beat": "vigil beat",
    "dispatcher": "manage.py dispatcher",
    "broker": "valkey-server",
}


@pytest.fixture(scope="module")
def vigil() -> Iterator[Stack]:
    with stacks.launcher() as start:
        yield start(VIGIL_SWEEP_INTERVAL_SECONDS="3")


def reading(value: float) -> dict[str, object]:
    return {"name": "cpu_usage", "value": value, "tags": {"host": "web-01"}}


def post(vigil: Stack, value: float, key: str) -> requests.Response:
    return vigil.session(key).post(f"{vigil.base_url}/api/v1/ingest", json=reading(value), timeout=10)


def is_ready(vigil: Stack) -> bool:
    try:
        return requests.get(f"{vigil.base_url}/ready", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_it_says_where_it_is_once_it_is_ready(vigil: Stack) -> None:
    assert vigil.lines.count(f"Vigil is ready at {vigil.base_url}") == 1
    assert is_ready(vigil)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs(vigil: Stack, part: str) -> None:
    assert vigil.pids_of(PARTS[part])


def test_a_key_from_the_command_line_opens_the_door_and_is_printed_alone(vigil: Stack) -> None:
    answer = vigil.manage("create_key", "agent-1", "--scopes", "ingest,read", "--expires-days", "30")
    key = answer.stdout.removesuffix("\n")
    assert key.split("_")[0] == "vgl"
    assert "\n" not in key
    assert post(vigil, 12.5, key).status_code == 201


REVOKE = """
from vigil.access import keys
from vigil.access.models import ApiKey
from vigil.kernel import clock
keys.revoke(key=ApiKey.objects.get(name="leaked"), actor="user:ana", at=clock.now())
"""


def test_a_revoked_key_is_dead_in_every_process_within_a_second(vigil: Stack) -> None:
    session = vigil.session(vigil.create_key("leaked", scopes="read"))
    address = f"{vigil.base_url}/api/v1/control"
    assert [session.get(address, timeout=10).status_code for _ in range(50)] == [200] * 50
    vigil.manage("shell", "-v", "0", "-c", REVOKE)
    time.sleep(1.0)
    fresh = [requests.get(address, headers=session.headers, timeout=10).status_code for _ in range(50)]
    assert fresh == [401] * 50


def test_an_edited_policy_judges_in_every_process_within_a_second(vigil: Stack) -> None:
    key = vigil.create_key("editor", scopes="ingest,policies:write")
    session = vigil.session(key)
    policies = f"{vigil.base_url}/api/v1/policies"
    policy = {"name": "edited", "target": "web-*", "mode": "observe", "action": "restart"}

    def judged(host: str) -> set[int]:
        """How many violations the answers tell, over so many connections that each process has some of them."""
        address = f"{vigil.base_url}/api/v1/ingest"
        reading = {"name": "queue_length", "value": 50, "tags": {"host": host}}
        answers = [requests.post(address, json=reading, headers=session.headers, timeout=10) for _ in range(30)]
        return {len(answer.json()["violations"]) for answer in answers}

    made = session.post(policies, json=policy | {"condition": "queue_length > 100"}, timeout=10)
    assert made.status_code == 201, made.text
    time.sleep(1.0)
    assert judged("web-02") == {0}
    # An incident is judged by the version that opened it, so the second edit is seen on a target that has none.
    for condition, host, violations in (("queue_length > 10", "web-02", 1), ("queue_length > 100", "web-03", 0)):
        edited = session.patch(f"{policies}/edited", json={"condition": condition}, timeout=10)
        assert edited.status_code == 200, edited.text
        time.sleep(1.0)
        assert judged(host) == {violations}, condition


def test_without_a_key_the_door_is_shut(vigil: Stack) -> None:
    answer = requests.post(f"{vigil.base_url}/api/v1/ingest", json=reading(1), timeout=10)
    assert answer.status_code == 401


def test_the_secret_key_is_kept_for_its_owner_alone(vigil: Stack) -> None:
    kept = vigil.data_dir / "secret_key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(kept.read_text()) >= 32


def test_what_it_writes_is_for_its_owner_alone(vigil: Stack) -> None:
    """Also where the directory was made by somebody else, and is open."""
    written = [path for path in vigil.data_dir.rglob("*") if path.is_file()]
    assert {"web.log", "secret_key"} <= {path.name for path in written}
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_the_doctor_finds_nothing_that_fails(vigil: Stack) -> None:
    wait_until(lambda: vigil.manage("doctor", check=False).returncode == 0, seconds=30, what="a healthy doctor")
    found = json.loads(vigil.manage("doctor", "--json").stdout)
    assert found["verdict"] in {"ok", "warn"}
    verdicts = {finding["name"]: finding["verdict"] for finding in found["findings"]}
    assert {verdicts[name] for name in ("database", "migrations", "queue", "workers", "dispatcher")} == {"ok"}


def test_one_metrics_page_speaks_for_the_web_and_the_worker_processes(vigil: Stack) -> None:
    key = vigil.create_key("agent-2", scopes="ingest")
    assert post(vigil, 13.5, key).status_code == 201
    wait_until(lambda: "vigil_sweep_duration_seconds_count" in metrics(vigil), seconds=20, what="a sweep in /metrics")
    assert 'vigil_ingest_total{kind="metric"' in metrics(vigil)


def metrics(vigil: Stack) -> str:
    return requests.get(f"{vigil.base_url}/metrics", timeout=10).text


@pytest.mark.parametrize("name", ["web", "dispatcher", "beat", "worker"])
def test_what_the_parts_log_is_json(vigil: Stack, name: str) -> None:
    lines = (vigil.data_dir / "logs" / f"{name}.log").read_text().splitlines()
    assert lines
    assert all("event" in json.loads(line) for line in lines)


def test_a_second_one_on_the_same_data_directory_is_refused(vigil: Stack) -> None:
    second = Stack(data_dir=vigil.data_dir)
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(30) == 1
    second.stop()
    assert second.lines == [line for line in second.lines if f"already running on {vigil.data_dir}" in line]
    assert len(second.lines) == 1
    assert is_ready(vigil)


@pytest.mark.faults
@pytest.mark.parametrize("part", ["worker", "dispatcher", "broker", "web"])
def test_a_part_that_is_killed_comes_back(vigil: Stack, part: str) -> None:
    before = vigil.pids_of(PARTS[part])
    os.kill(before[0], signal.SIGKILL)
    vigil.wait_for_line(f"{part} ended (killed by SIGKILL)")
    wait_until(lambda: bool(set(vigil.pids_of(PARTS[part])) - set(before)), seconds=30, what=f"another {part}")
    wait_until(lambda: not any(alive(pid) for pid in before), seconds=15, what=f"the end of every old {part} process")
    wait_until(lambda: is_ready(vigil), seconds=30, what="ready again")


def test_what_beat_sends_is_a_sign_of_its_life(vigil: Stack) -> None:
    ask = "from vigil.periodic.beats import alive; from vigil.kernel import clock; from datetime import timedelta; "
    ask += "print(len(alive('beat', at=clock.now(), within=timedelta(minutes=1))))"
    wait_until(
        lambda: vigil.manage("shell", "-v", "0", "-c", ask).stdout.strip() == "1", seconds=45, what="a sign of beat"
    )


@pytest.mark.faults
def test_the_sweep_goes_on_when_beat_hangs(vigil: Stack) -> None:
    (beat,) = vigil.pids_of(PARTS["beat"])
    log = vigil.data_dir / "logs" / "dispatcher.log"
    os.kill(beat, signal.SIGSTOP)
    try:
        time.sleep(1)
        before = sweeps_taken_over(log.read_text())
        wait_until(
            lambda: sweeps_taken_over(log.read_text()) >= before + 2, seconds=30, what="sweeps by the dispatcher"
        )
    finally:
        os.kill(beat, signal.SIGCONT)


def sweeps_taken_over(log: str) -> int:
    return sum("dispatcher.schedule.took_over" in line and "policies.sweep" in line for line in log.splitlines())


def test_a_data_directory_with_a_long_name_and_spaces_will_do(tmp_path: Path) -> None:
    vigil = Stack(data_dir=tmp_path / ("a long name, and one with spaces " * 4).strip())
    try:
        vigil.start()
        checks = requests.get(f"{vigil.base_url}/ready", timeout=5).json()["checks"]
        assert checks["queue"]["state"] == "ok"
    finally:
        assert vigil.stop() == 0
