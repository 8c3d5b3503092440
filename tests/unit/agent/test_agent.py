"""The agent for a host: what it reads, keeps and sends."""

import ast
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from examples.agent import vigil_agent
from examples.agent.vigil_agent import Agent, Answer, Host, Reading, Spool, Vigil
from tests.unit.simulator import fake_vigil

FILE = Path(vigil_agent.__file__)
NOW = 1_772_366_400.0

MEMINFO = """MemTotal:        1000 kB
MemFree:          100 kB
MemAvailable:     250 kB
SwapTotal:        200 kB
SwapFree:          50 kB
"""


def write(proc: Path, **files: str) -> None:
    for name, text in files.items():
        (proc / name).write_text(text)


def process(proc: Path, pid: int, name: str, *, state: str = "S", pages: int = 10, line: str = "") -> None:
    (proc / str(pid)).mkdir()
    numbers = " ".join(["0"] * 20)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {state} {numbers} {pages} 0")
    (proc / str(pid) / "cmdline").write_bytes(line.replace(" ", "\0").encode())


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    write(
        folder,
        stat="cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n",
        loadavg="0.50 1.25 2.00 1/100 4242\n",
        meminfo=MEMINFO,
        uptime="3600.25 7000.00\n",
        mounts="/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\nproc /proc proc rw 0 0\n/dev/vda1 /srv ext4 rw 0 0\n",
    )
    return folder


def said(readings: Iterator[Reading]) -> dict[str, float]:
    """By name, with the tag's value where there is one."""
    return {"/".join([one["name"], *one["tags"].values()]): one["value"] for one in readings}


def look(host: Host, *, processes: tuple[str, ...] = ()) -> dict[str, float]:
    return said(host.readings(mounts=[], processes=list(processes)))


def test_it_reads_what_the_host_says(proc: Path) -> None:
    host = Host(proc)
    write(proc, stat="cpu  130 0 120 750 100 0 0 0 0 0\n")
    found = look(host)
    assert found["heartbeat"] == 1
    assert found["cpu_percent"] == 50  # 50 of 100 jiffies since the last look
    assert (found["load_1m"], found["load_5m"], found["load_15m"]) == (0.5, 1.25, 2.0)
    assert (found["memory_percent"], found["memory_available_bytes"], found["swap_percent"]) == (75, 256_000, 75)
    assert found["uptime_seconds"] == 3600.25


def test_each_disk_is_told_once_and_what_is_no_disk_never(proc: Path) -> None:
    disks = [name for name in look(Host(proc)) if name.startswith("disk_percent")]
    assert disks == ["disk_percent//"]


def test_processes_are_counted_by_name(proc: Path) -> None:
    process(proc, 1, "nginx", line="nginx: master")
    process(proc, 2, "nginx", pages=5)
    process(proc, 3, "nginx", state="Z")
    process(proc, 4, "a (b) c", line="/usr/bin/python3")
    process(proc, 5, "a-rather-long-n", line="/opt/a-rather-long-name --port 1")
    found = look(Host(proc), processes=("nginx", "a-rather-long-name", "postgres"))
    assert (found["process_count/nginx"], found["process_up/nginx"]) == (2, 1)
    assert found["process_resident_bytes/nginx"] == 15 * 4096
    assert found["process_up/a-rather-long-name"] == 1
    assert (found["process_count/postgres"], found["process_up/postgres"]) == (0, 0)


@pytest.mark.parametrize("broken", ["stat", "loadavg", "meminfo", "uptime", "mounts"])
@pytest.mark.parametrize("text", [None, "", "what is this?\n"])
def test_what_cannot_be_read_is_left_out_and_nothing_else(proc: Path, broken: str, text: str | None) -> None:
    whole = look(Host(proc)).keys()
    (proc / broken).unlink() if text is None else write(proc, **{broken: text})
    try:
        found = look(Host(proc)).keys()
    except (ValueError, IndexError):
        pytest.fail("an unreadable file ended the round")
    assert (
        whole - found
        <= {
            "stat": {"cpu_percent"},
            "loadavg": {"load_1m", "load_5m", "load_15m"},
            "meminfo": {"memory_percent", "memory_available_bytes", "swap_percent"},
            "uptime": {"uptime_seconds"},
            "mounts": set(),
        }[broken]
    )


def spool(folder: Path, *, most_bytes: int = 1_000_000) -> Spool:
    return Spool(folder / "spool", most_bytes=most_bytes)


def one_round(value: float = 1) -> list[Reading]:
    return [{"name": "load_1m", "value": value, "tags": {"host": "web-01"}}]


def test_rounds_are_kept_in_order_and_over_a_restart(tmp_path: Path) -> None:
    with closing(spool(tmp_path)) as first:
        for number in (3, 1, 2):
            first.add(one_round(number), at=NOW + number)
    (tmp_path / "spool" / "half.part").write_text("[{")
    with closing(spool(tmp_path)) as again:
        assert [json.loads(path.read_text())[0]["value"] for path in again.rounds()] == [1, 2, 3]
    assert not list((tmp_path / "spool").glob("*.part"))


def test_the_oldest_make_way_when_there_are_too_many(tmp_path: Path) -> None:
    with closing(spool(tmp_path, most_bytes=200)) as small:
        for number in range(10):
            small.add(one_round(number), at=NOW + number)
    left = [json.loads(path.read_text())[0]["value"] for path in small.rounds()]
    assert left == list(range(10))[-len(left) :]
    assert len(left) + small.dropped == 10
    assert sum(path.stat().st_size for path in small.rounds()) <= 200


def test_two_agents_share_no_spool(tmp_path: Path) -> None:
    with closing(spool(tmp_path)), pytest.raises(SystemExit, match="another agent uses"):
        spool(tmp_path)


class Lines(list[str]):
    """What the agent said."""


@pytest.fixture
def agent(tmp_path: Path, proc: Path, vigil_server: fake_vigil.Server) -> Iterator[Agent]:
    lines = Lines()
    made = Agent(
        host=Host(proc),
        spool=spool(tmp_path),
        vigil=Vigil(url=vigil_server.url, key=fake_vigil.KEY),
        tags={"host": "web-01", "region": "eu-1"},
        say=lines.append,
    )
    yield made
    made.spool.close()


def told(agent: Agent) -> list[str]:
    lines = agent.say.__self__  # type: ignore[attr-defined]
    assert isinstance(lines, Lines)
    return lines


def test_a_disk_that_takes_no_round_does_not_fill_up_with_halves(agent: Agent, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        agent.take(at=NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [line.split(":")[1] for line in told(agent)] == [" this round is lost, it cannot be written"]
    assert not list(tmp_path.rglob("*.part"))
    agent.take(at=NOW)
    assert len(agent.spool.rounds()) == 1


def test_a_round_that_cannot_be_read_stands_in_nobodys_way(agent: Agent, vigil_server: fake_vigil.Server) -> None:
    agent.take(at=NOW)
    (agent.spool.rounds()[0].parent / "0-damaged.json").mkdir()
    for _ in range(2):
        agent.send_one()
    assert agent.spool.rounds() == []


def test_a_round_carries_the_hosts_tags_and_its_own_time(agent: Agent, vigil_server: fake_vigil.Server) -> None:
    agent.take(at=NOW)
    agent.send_one()
    by_name = {str(one["name"]): one for one in vigil_server.memory.readings}
    assert by_name["load_1m"]["tags"] == {"host": "web-01", "region": "eu-1"}
    assert {one["timestamp"] for one in vigil_server.memory.readings} == {NOW}
    assert by_name["agent_rounds_waiting"]["value"] == 0
    assert agent.spool.rounds() == []


def refusal(status: int, detail: str = "No.") -> tuple[int, dict[str, object]]:
    return status, {"detail": detail}


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 502, 503])
def test_what_may_pass_keeps_the_round(agent: Agent, vigil_server: fake_vigil.Server, status: int) -> None:
    vigil_server.memory.answers = [refusal(status, "Come back later.")]
    agent.take(at=NOW)
    agent.send_one()
    assert len(agent.spool.rounds()) == 1
    assert told(agent) == [
        f"vigil-agent: not sent, kept until Vigil takes it (it answered {status}: Come back later.)."
    ]
    agent.send_one()  # too early to try again
    assert len(vigil_server.memory.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_vigil_refuses_for_good_stands_in_nobodys_way(
    agent: Agent, vigil_server: fake_vigil.Server, status: int
) -> None:
    vigil_server.memory.answers = [refusal(status)]
    agent.take(at=NOW)
    agent.take(at=NOW + 1)
    agent.send_one()
    agent.send_one()
    assert agent.spool.rounds() == []
    assert {one["timestamp"] for one in vigil_server.memory.readings} == {NOW + 1}
    assert "refused a round for good" in told(agent)[0]


def test_a_vigil_that_is_away_costs_one_line_and_no_round(agent: Agent, vigil_server: fake_vigil.Server) -> None:
    there, agent.vigil = agent.vigil, Vigil(url="http://127.0.0.1:9", key="x")
    for number in range(3):
        agent.take(at=NOW + number)
        agent._not_before = 0
        agent.send_one()
    assert len(agent.spool.rounds()) == 3
    assert [line for line in told(agent) if "not sent" in line] == told(agent)
    assert len(told(agent)) == 1
    agent.vigil, agent._not_before = there, 0
    for _ in range(3):
        agent.send_one()
    assert sorted({float(str(one["timestamp"])) for one in vigil_server.memory.readings}) == [NOW, NOW + 1, NOW + 2]
    assert "answers again; 3 rounds" in told(agent)[-1]


def test_a_round_whose_answer_got_lost_counts_once(agent: Agent, vigil_server: fake_vigil.Server) -> None:
    agent.take(at=NOW)
    [kept] = agent.spool.rounds()
    assert agent.vigil.send(kept.read_bytes(), idempotency_key=kept.stem).stored  # and the agent died before it knew
    before = len(vigil_server.memory.readings)
    agent.send_one()
    assert len(vigil_server.memory.readings) == before
    assert agent.spool.rounds() == []


def test_a_redirect_is_not_followed_with_the_key(agent: Agent, vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.answers = [refusal(307)]
    agent.take(at=NOW)
    agent.send_one()
    assert len(vigil_server.memory.requests) == 1
    assert len(agent.spool.rounds()) == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--url", "vigil.example.com"], "write it with http:// or https://"),
        (["--every", "0.2"], "at least 1 second"),
        (["--tag", "region"], "KEY=VALUE"),
        (["--key-file", "/nowhere/key"], "the key cannot be read"),
        ([], "no API key"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(argv: list[str], sentence: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(FILE), "--spool", str(tmp_path / "spool"), *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert ran.returncode != 0
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr


def test_it_reports_until_it_is_told_to_stop(tmp_path: Path, vigil_server: fake_vigil.Server) -> None:
    command = [sys.executable, str(FILE), "--url", vigil_server.url, "--spool", str(tmp_path), "--every", "1"]
    running = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", "VIGIL_KEY": fake_vigil.KEY})
    try:
        vigil_server.memory.wait_for(lambda memory: len(memory.requests) >= 2)
        running.terminate()
        assert running.wait(5) == 0
    finally:
        running.kill()
        running.wait()
    assert {"heartbeat", "cpu_percent", "load_1m", "memory_percent", "disk_percent", "uptime_seconds"} <= {
        one["name"] for one in vigil_server.memory.readings
    }


def test_every_option_and_metric_is_documented(proc: Path) -> None:
    page = (FILE.parent / "README.md").read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', FILE.read_text()))
    assert len(options) >= 10
    assert options <= set(re.findall(r"`(--[a-z-]+)`", page))
    metrics = {name.split("/")[0] for name in look(Host(proc), processes=("nginx",))}
    assert metrics <= set(re.findall(r"`([a-z_0-9]+)`", page))


def test_it_runs_under_old_pythons() -> None:
    ast.parse(FILE.read_text(), feature_version=(3, 9))


def test_nothing_but_the_standard_library_is_imported() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(FILE.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_an_answer_says_what_to_do_next() -> None:
    assert [Answer(201).stored, Answer(503).stored, Answer(422).hopeless, Answer(503).hopeless] == [
        True,
        False,
        True,
        False,
    ]


def test_waiting_grows_and_heeds_what_vigil_asks_for(agent: Agent) -> None:
    pauses = []
    for _ in range(8):
        agent._wait_after(Answer(0, "away"))
        pauses.append(agent._not_before - time.monotonic())
    assert pauses[0] < 2 < pauses[-1] <= vigil_agent.LONGEST_PAUSE_SECONDS
    agent._wait_after(Answer(429, retry_after=120))
    assert agent._not_before - time.monotonic() == pytest.approx(120, abs=1)
