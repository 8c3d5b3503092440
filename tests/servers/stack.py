"""A whole Vigil, started as a person starts it: `manage.py up` in a data directory of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.servers import postgres
from tests.servers.processes import alive, command_line, descendants, free_port

DATABASE = os.environ.get("VIGIL_TEST_DATABASE", "sqlite")
ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0


class Stack:
    """One running `manage.py up`."""

    def __init__(self, *, data_dir: Path, demo: bool = False, env: Mapping[str, str] | None = None) -> None:
        """Nothing is started yet. An empty value in `env` means: not set."""
        self.data_dir = data_dir
        self.demo = demo
        self.port = free_port()
        self.lines: list[str] = []
        """What it printed, line by line."""
        self.process: subprocess.Popen[str] | None = None
        self.environment = self._environment(env or {})
        """What every process of it is given."""
        self._reader: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The runner's process id."""
        assert self.process is not None, "not started"
        return self.process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until it says it is ready."""
        arguments = ["up", "--port", str(self.port), *(["--demo"] if self.demo else [])]
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, *, seconds: float = START_SECONDS) -> None:
        """Wait for the line that says it is ready."""
        self.wait_for_line(f"Vigil is ready at {self.base_url}", seconds=seconds)

    def wait_for_line(self, text: str, *, seconds: float = 30.0) -> str:
        """Wait until a line holding `text` was printed, and return it."""
        until = time.monotonic() + seconds
        while True:
            for line in list(self.lines):
                if text in line:
                    return line
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > until:
                raise AssertionError(f"no line with {text!r}; printed so far:\n" + "\n".join(self.lines) + self.logs())
            time.sleep(0.05)

    def manage(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run another management command on the same installation."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )

    def create_key(self, name: str, *, scopes: str = "ingest,read,actions:write,policies:write,control") -> str:
        """A new API key."""
        return self.manage("create_key", name, "--scopes", scopes).stdout.strip()

    def session(self, key: str) -> requests.Session:
        """An HTTP session that carries the key."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        return session

    def tree(self) -> dict[int, str]:
        """Every process below the runner, with its command line."""
        return {pid: command_line(pid) for pid in descendants(self.pid)}

    def pids_of(self, part: str) -> list[int]:
        """The processes whose command line holds `part`, oldest first."""
        return sorted(pid for pid, line in self.tree().items() if part in line)

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """kill -9 of the runner alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self, *, seconds: float = 60.0) -> int:
        """Ask it to stop, wait, and return its exit code."""
        if self.process is None:
            return 0
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for pid in below:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        if self._reader is not None:
            self._reader.join(5)
        return code

    def logs(self) -> str:
        """The ends of the children's logs, for a failing test's message."""
        texts = []
        for path in sorted((self.data_dir / "logs").glob("*.log")):
            texts.append(f"\n--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:]))
        return "".join(texts)

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        own = {
            "VIGIL_DATA_DIR": str(self.data_dir),
            "VIGIL_ENV_FILE": os.devnull,
            "VIGIL_TESTING": "1",
            "PYTHONUNBUFFERED": "1",
        }
        return kept | own | {name: value for name, value in env.items() if value != ""}

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line.rstrip("\n"))


@contextmanager
def launcher() -> Iterator[Callable[..., Stack]]:
    """Yields a function that starts whole Vigils, each with a data directory and a database of its own; stops them all.

    `start(demo=False, wait=True, SETTING="value", ...)`. A test module that only looks may share one of these.
    """
    started: list[Stack] = []

    def start(*, demo: bool = False, wait: bool = True, **env: str) -> Stack:
        directory = Path(tempfile.mkdtemp(prefix="vigil-up-", dir="/tmp"))
        running = Stack(data_dir=directory, demo=demo, env={"DATABASE_URL": new_database(), **env})
        started.append(running)
        running.start(wait=wait)
        return running

    try:
        yield start
    finally:
        for running in started:
            running.stop()
            shutil.rmtree(running.data_dir, ignore_errors=True)


def new_database() -> str:
    """The address of an empty database for a stack; "" stands for the SQLite file in its data directory."""
    if DATABASE != "postgres":
        return ""
    server, name = os.environ["VIGIL_TEST_SERVER_URL"], f"stack_{uuid.uuid4().hex[:12]}"
    postgres.create_database(server, name)
    return f"{server.rpartition('/')[0]}/{name}"
