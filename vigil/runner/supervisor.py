"""Starts programs, starts those again that end by themselves, and stops them in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vigil.kernel import signs, watchdog
from vigil.kernel.watchdog import Look, Watch
from vigil.runner import deathsig, logs
from vigil.runner.programs import Program
from vigil.runner.restarts import Restarts

POLL_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class Child:
    """A program and the process that runs it at the moment."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    """Monotonic seconds."""
    restarts: Restarts = field(default_factory=Restarts)
    due: float = 0.0
    """Monotonic seconds: not to be started again before this."""
    watch: Watch | None = None
    """What its signs of life say; None until it has given one."""


class Supervisor:
    """Keeps programs running. For the main thread only: a child is tied to the thread that started it."""

    def __init__(
        self,
        *,
        cwd: str,
        keep_open: Sequence[int],
        say: Callable[[str], None],
        signs_dir: Path | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        """`keep_open` are file descriptors every child inherits; `say` prints a line for the operator.

        A child that has touched its file in `signs_dir` and then does not for `patience_seconds` (0: however long) is
        killed and started again.
        """
        self._cwd = cwd
        self._signs_dir = signs_dir
        self._patience_seconds = patience_seconds
        self._keep_open = tuple(keep_open)
        self._say = say
        self._children: dict[str, Child] = {}

    def start(self, program: Program) -> None:
        """Start a program and keep it running from now on."""
        child = self._children[program.name] = Child(program=program)
        self._spawn(child)

    def tend(self) -> None:
        """Look after every child once: note who ended, start again who is due."""
        for child in self._children.values():
            if child.process is not None and child.process.poll() is not None:
                self._note_end(child)
            if child.process is not None:
                self._listen(child, child.process.pid)
            if child.process is None and time.monotonic() >= child.due:
                self._spawn(child)

    def failures(self, name: str) -> int:
        """How often in a row this program has ended too soon."""
        return self._children[name].restarts.failures

    def running(self) -> dict[str, int]:
        """The process id of each program that runs."""
        return {name: child.process.pid for name, child in self._children.items() if child.process is not None}

    def stop(self, order: Sequence[Sequence[str]], *, hurry: Callable[[], bool]) -> None:
        """Stop everything, stage after stage; at once when `hurry` says so."""
        for stage in order:
            self._stop_stage([self._children[name] for name in stage if name in self._children], hurry=hurry)
        self._stop_stage(list(self._children.values()), hurry=hurry)

    def _spawn(self, child: Child) -> None:
        program = child.program
        output = None if program.log is None else logs.open_for_child(program.log)
        try:
            child.process = subprocess.Popen(  # noqa: S603  the runner's own command lines
                program.argv,
                cwd=self._cwd,
                env=dict(program.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                pass_fds=self._keep_open,
                start_new_session=True,  # Ctrl-C in the terminal is for the runner alone
                preexec_fn=deathsig.tie_to_parent(),
            )
        finally:
            if output is not None:
                output.close()
        child.started = time.monotonic()

    def _listen(self, child: Child, pid: int) -> None:
        """Kill a child that hangs as a whole, and so can neither work nor end by itself; the next round starts it."""
        sign = None if self._signs_dir is None else signs.last(self._signs_dir, pid)
        if sign is None or self._patience_seconds <= 0:
            return
        if child.watch is None:
            child.watch = watchdog.begin(at=time.monotonic(), moved=sign, patience_seconds=self._patience_seconds)
        child.watch = child.watch.after(Look(at=time.monotonic(), moved=sign))
        if child.watch.is_over:
            self._say(f"{child.program.name} gave no sign of life for {child.watch.silent_seconds:.0f} s; killing it.")
            _kill_group(pid)
            child.watch = None

    def _note_end(self, child: Child) -> None:
        if child.process is None:
            return
        _kill_group(child.process.pid)  # what it started must not go on beside its successor
        code, lived = child.process.returncode, time.monotonic() - child.started
        child.process = child.watch = None
        child.restarts = child.restarts.after_end(lived_seconds=lived)
        pause = child.restarts.pause_seconds
        child.due = time.monotonic() + pause
        where = "" if child.program.log is None else f" Its log: {child.program.log}"
        self._say(f"{child.program.name} ended ({reason(code)}); starting it again in {pause:g} s.{where}")

    def _stop_stage(self, children: Sequence[Child], *, hurry: Callable[[], bool]) -> None:
        waiting = [child for child in children if child.process is not None]
        for child in waiting:
            _signal(child, signal.SIGTERM)
        asked = time.monotonic()
        while waiting:
            for child in waiting:
                late = time.monotonic() - asked > child.program.grace_seconds
                if late or hurry():
                    _signal(child, signal.SIGKILL)
            waiting = [child for child in waiting if not _gone(child)]
            if waiting:
                time.sleep(POLL_SECONDS / 2)


def reason(code: int) -> str:
    """Why a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _gone(child: Child) -> bool:
    if child.process is None:
        return True
    if child.process.poll() is None:
        return False
    _kill_group(child.process.pid)
    child.process = None
    return True


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is None or child.process.poll() is not None:
        return
    if number is signal.SIGKILL:
        _kill_group(child.process.pid)
    else:
        child.process.send_signal(number)


def _kill_group(leader: int) -> None:
    """Kill what is left of a child's process group; the child leads its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
