import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.servers.processes import wait_until
from vigil.runner import preflight
from vigil.runner.errors import UnableToStart
from vigil.runner.layout import Layout


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_the_demo_may_listen_on_this_machine(host: str) -> None:
    preflight.demo_stays_here(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "vigil.example", ""])  # noqa: S104
def test_the_demo_refuses_to_listen_to_others(host: str) -> None:
    with pytest.raises(UnableToStart, match="without --demo"):
        preflight.demo_stays_here(host)


def test_a_taken_port_is_one_sentence_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnableToStart, match=rf"127\.0\.0\.1 port {port} .*--port\.$"):
            preflight.free_port("127.0.0.1", port)


def test_port_zero_is_any_free_one() -> None:
    assert preflight.free_port("127.0.0.1", 0) > 0


@pytest.mark.parametrize("port", [70_000, -1])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UnableToStart, match="choose one from 1 to 65535"):
        preflight.free_port("127.0.0.1", port)


def test_a_data_directory_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnableToStart, match="VIGIL_DATA_DIR"):
        preflight.directories(Layout(data_dir=tmp_path / "file" / "data"))


def test_the_run_directory_is_closed_to_others(tmp_path: Path) -> None:
    layout = Layout(data_dir=tmp_path / "data")
    preflight.directories(layout)
    assert layout.run_dir.stat().st_mode & 0o777 == 0o700


def test_a_redis_that_does_not_answer_is_named_without_its_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UnableToStart, match=f"127.0.0.1:{port}") as raised:
        preflight.redis_answers(f"redis://:hunter2@127.0.0.1:{port}/0")
    assert "hunter2" not in str(raised.value)


def test_two_on_one_data_directory_are_one_too_many(tmp_path: Path) -> None:
    layout = Layout(data_dir=tmp_path)
    preflight.directories(layout)
    second = preflight.alone(layout)
    with preflight.alone(layout), pytest.raises(UnableToStart, match=f"already running .*process {os.getpid()}"):
        second.__enter__()


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    layout = Layout(data_dir=tmp_path)
    preflight.directories(layout)
    for _ in range(2):
        with preflight.alone(layout) as descriptor:
            assert descriptor > 2


def test_a_new_runner_waits_for_the_processes_of_a_killed_one(tmp_path: Path) -> None:
    layout = Layout(data_dir=tmp_path)
    preflight.directories(layout)
    code = textwrap.dedent(f"""
        import subprocess, sys, time
        from pathlib import Path
        from vigil.runner import preflight
        from vigil.runner.layout import Layout
        with preflight.alone(Layout(data_dir=Path({str(tmp_path)!r}))) as lock:
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2)"], pass_fds=[lock])
            print("held", flush=True)
            time.sleep(60)
    """)
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    with runner, runner.stdout:
        assert runner.stdout.readline() == "held\n"
        runner.kill()
    taken: list[int] = []

    def take() -> bool:
        with preflight.alone(layout) as descriptor:
            taken.append(descriptor)
        return True

    wait_until(take, seconds=10, what="the lock")
    assert taken


@pytest.mark.parametrize(("length", "fits"), [(10, True), (200, False)])
def test_a_socket_path_the_kernel_would_refuse_is_noticed(length: int, fits: bool) -> None:
    assert Layout(data_dir=Path("/" + "d" * length)).socket_fits() is fits
