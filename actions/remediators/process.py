"""Runs a program for a bounded time with bounded output, and leaves nothing of its process group behind when cut."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actions.remediators import base

SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
CHUNK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of it."""

    began_at: float | None
    """By time.monotonic(); None: it did not start, and nothing happened."""
    exit_code: int | None
    """None: it was cut off, or nobody saw it end. A negative number is the signal that ended it."""
    timed_out: bool
    trouble: str
    output: bytes
    """Standard output and error together, at most 64 KiB."""


def run(*, argv: Sequence[str], given: Mapping[str, object], deadline_monotonic: float) -> Run:
    """Run `argv` with `given` as JSON on its standard input, until `deadline_monotonic` but at most CALL_SECONDS."""
    deadline = min(deadline_monotonic, time.monotonic() + base.CALL_SECONDS)
    report, their_report = os.pipe()
    try:
        with tempfile.TemporaryFile() as stdin:  # a pipe could fill up while nobody reads it
            stdin.write(json.dumps(given).encode())
            stdin.seek(0)
            supervisor = _start(argv, stdin=stdin.fileno(), report=their_report)
    except OSError as error:
        os.close(report)
        return Run(began_at=None, exit_code=None, timed_out=False, trouble=error.strerror or "refused", output=b"")
    finally:
        os.close(their_report)
    return _Watched(supervisor, report, deadline).finish()


def _start(argv: Sequence[str], *, stdin: int, report: int) -> subprocess.Popen[bytes]:
    """A session of its own, so that one signal reaches everything the command starts."""
    return subprocess.Popen(  # noqa: S603  the path comes from the allow-list, and there is no shell
        [sys.executable, "-I", "-S", SUPERVISOR, str(os.getpid()), str(report), *argv],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        pass_fds=(report,),
    )


class _Watched:
    """A running supervisor: its report says how the command fares, its output is the command's."""

    def __init__(self, supervisor: subprocess.Popen[bytes], report: int, deadline: float) -> None:
        assert supervisor.stdout is not None  # noqa: S101  asked for in _start
        self._supervisor = supervisor
        self._began_at = time.monotonic()
        self._report_from = report
        self._output_from = supervisor.stdout.fileno()
        self._deadline = deadline
        self._report = bytearray()
        self._output = bytearray()

    def finish(self) -> Run:
        """Wait for the end or the deadline; whatever interrupts the waiting, nothing keeps running."""
        ended = False
        try:
            ended = self._follow()
        finally:
            if not (ended and self._is_settled()):
                self._kill_group()
            self._supervisor.wait()
            self._close()
        return self._run(timed_out=not ended)

    def _follow(self) -> bool:
        """Read until the report ends; False when the deadline came first."""
        with selectors.DefaultSelector() as watch:
            watch.register(self._report_from, selectors.EVENT_READ, self._report)
            watch.register(self._output_from, selectors.EVENT_READ, self._output)
            while self._report_from in watch.get_map():
                left = self._deadline - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in watch.select(left):
                    if not _take(key.fd, key.data):
                        watch.unregister(key.fd)
        self._take_the_rest()
        return True

    def _is_settled(self) -> bool:
        """Whether the supervisor told the end; else it was killed itself, and the command may still be running."""
        return self._last_word().startswith(("ended ", "not started: "))

    def _kill_group(self) -> None:
        with contextlib.suppress(OSError):  # already gone, or not ours any more: a setuid program
            os.killpg(self._supervisor.pid, signal.SIGKILL)

    def _last_word(self) -> str:
        lines = self._report.decode(errors="replace").splitlines()
        return lines[-1] if lines else ""

    def _take_the_rest(self) -> None:
        """What is in the pipe now, no more: something left in the background may hold the other end for ever."""
        os.set_blocking(self._output_from, False)
        try:
            while len(self._output) < base.READ_LIMIT_BYTES and _take(self._output_from, self._output):
                pass
        except BlockingIOError:
            return

    def _close(self) -> None:
        os.close(self._report_from)
        if self._supervisor.stdout is not None:
            self._supervisor.stdout.close()

    def _run(self, *, timed_out: bool) -> Run:
        last = self._last_word()
        not_started, code = last.startswith("not started: "), last.removeprefix("ended ")
        return Run(
            began_at=None if not_started else self._began_at,
            exit_code=int(code) if last.startswith("ended ") else None,
            timed_out=timed_out,
            trouble=last if not_started else "was stopped when its time was over" if timed_out else "was killed",
            output=bytes(self._output),
        )


def _take(descriptor: int, into: bytearray) -> bool:
    """Read once; keep what fits, drop the rest so that the writer never waits. False at the end."""
    chunk = os.read(descriptor, CHUNK_BYTES)
    into += chunk[: max(0, base.READ_LIMIT_BYTES - len(into))]
    return bool(chunk)
