"""With real processes: what it is about is what the kernel does with them."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.servers.processes import alive, descendants, wait_until
from vigil.runner.programs import Program
from vigil.runner.supervisor import Supervisor, reason

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


class Terminal(list[str]):
    """What the operator would have read."""

    def say(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def supervisor(terminal: Terminal) -> Iterator[Supervisor]:
    made = Supervisor(cwd="/", keep_open=(), say=terminal.say)
    yield made
    made.stop((), hurry=lambda: True)


def program(code: str, *, log: Path, name: str = "sleeper", grace: float = 5.0) -> Program:
    return Program(
        name=name, argv=(sys.executable, "-c", code), env=dict(os.environ), log=log / f"{name}.log", grace_seconds=grace
    )


def holds(log: Path, word: str) -> bool:
    return word in log.read_text()


def test_a_child_that_dies_is_started_again_and_the_terminal_says_so(
    supervisor: Supervisor, terminal: Terminal, tmp_path: Path
) -> None:
    supervisor.start(program(SLEEP, log=tmp_path))
    first = supervisor.running()["sleeper"]
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        supervisor.tend()
        return supervisor.running().get("sleeper", first) != first

    wait_until(again, seconds=5, what="a second process")
    assert len(terminal) == 1
    assert terminal[0].startswith("sleeper ended (killed by SIGKILL); starting it again in 0.5 s.")
    assert supervisor.failures("sleeper") == 1


def test_a_child_that_cannot_start_is_not_tried_without_pause(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program("raise SystemExit(3)", log=tmp_path))
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        supervisor.tend()
        time.sleep(0.02)
    assert 2 <= supervisor.failures("sleeper") <= 3


def test_what_a_dead_child_had_started_does_not_go_on_beside_its_successor(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(60)"
    supervisor.start(program(parent, log=tmp_path))
    leader = supervisor.running()["sleeper"]
    wait_until(lambda: bool(descendants(leader)), seconds=5, what="a grandchild")
    (grandchild,) = descendants(leader)
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: not alive(leader), seconds=5, what="the end of the child")
    supervisor.tend()
    wait_until(lambda: not alive(grandchild), seconds=5, what="the end of the grandchild")


def test_a_child_that_hangs_as_a_whole_is_killed_and_started_again(terminal: Terminal, tmp_path: Path) -> None:
    supervisor = Supervisor(cwd="/", keep_open=(), say=terminal.say, signs_dir=tmp_path, patience_seconds=0.5)
    sign = f"import os, time; open(os.path.join({str(tmp_path)!r}, str(os.getpid())), 'w'); time.sleep(60)"
    supervisor.start(program(sign, log=tmp_path))
    supervisor.start(program(SLEEP, log=tmp_path, name="quiet"))  # no sign from the beginning: nothing to miss
    first = supervisor.running()

    def again() -> bool:
        supervisor.tend()
        return supervisor.running().get("sleeper", first["sleeper"]) != first["sleeper"]

    wait_until(again, seconds=10, what="a second process")
    assert supervisor.running()["quiet"] == first["quiet"]
    assert terminal[0].startswith("sleeper gave no sign of life for ")
    assert terminal[1].startswith("sleeper ended (killed by SIGKILL)")
    supervisor.stop((), hurry=lambda: True)


def test_children_stop_in_the_order_that_is_asked_for(supervisor: Supervisor, tmp_path: Path) -> None:
    told = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        f"def end(*_):\n    open({str(told)!r}, 'a').write(sys.argv[1] + ' ')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(60)"
    )
    for name in ("carrier", "bringer"):
        made = program(code, log=tmp_path, name=name)
        supervisor.start(
            Program(name=name, argv=(*made.argv, name), env=made.env, log=made.log, grace_seconds=made.grace_seconds)
        )
        wait_until(partial(holds, tmp_path / f"{name}.log", "up"), seconds=5, what=f"{name} runs")
    supervisor.stop((("bringer",), ("carrier",)), hurry=lambda: False)
    assert told.read_text() == "bringer carrier "
    assert supervisor.running() == {}


def test_who_does_not_stop_in_time_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(STUBBORN, log=tmp_path, grace=0.5))
    wait_until(lambda: "deaf" in (tmp_path / "sleeper.log").read_text(), seconds=5, what="it is deaf")
    pid = supervisor.running()["sleeper"]
    supervisor.stop((), hurry=lambda: False)
    assert not alive(pid)


def test_a_hurry_waits_for_nobody(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(STUBBORN, log=tmp_path, grace=60))
    wait_until(lambda: "deaf" in (tmp_path / "sleeper.log").read_text(), seconds=5, what="it is deaf")
    started = time.monotonic()
    supervisor.stop((), hurry=lambda: True)
    assert time.monotonic() - started < 5


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import os, time
        from pathlib import Path
        from vigil.runner.programs import Program
        from vigil.runner.supervisor import Supervisor
        made = Supervisor(cwd="/", keep_open=(), say=print)
        argv = ({sys.executable!r}, "-c", {SLEEP!r})
        made.start(Program(name="child", argv=argv, env=dict(os.environ), log=Path({str(tmp_path / "log")!r})))
        print(made.running()["child"], flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    wait_until(lambda: not alive(child), seconds=5, what="the end of the child")


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (70, "exit code 70"), (-9, "killed by SIGKILL"), (-15, "killed by SIGTERM")]
)
def test_the_reason_of_an_end_is_said_in_words(code: int, words: str) -> None:
    assert reason(code) == words
