"""A remediator that does as a test tells it, named by dotted path like any plug-in, and a gate of the same kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from django.db import OperationalError

from actions.guards import GateAnswer
from actions.remediators import base

MAKE_LEDGER = "tests.integration.actions.fakes.make_ledger"
MAKE = "tests.integration.actions.fakes.make"
GATE = "tests.integration.actions.fakes.gate"

DONE = base.Outcome(kind="succeeded", message="done", first_byte_at_monotonic=1.0)
ACCEPTED = base.Outcome(kind="accepted", run_id="run-1", first_byte_at_monotonic=1.0)
REFUSED = base.Outcome(kind="failed", message="connection refused", retryable=True, error_class="refused")
SAID_NO = base.Outcome(kind="failed", message="no such host", http_status=200, first_byte_at_monotonic=1.0)
TIMEOUT = base.Outcome(kind="ambiguous", message="no answer", error_class="timeout", first_byte_at_monotonic=1.0)


@dataclass(slots=True, kw_only=True)
class Fake:
    """Answers from lists, the last one for ever; remembers what it was called with."""

    kind: str = "fake"
    durable_keys: bool = False
    outcomes: list[base.Outcome] = field(default_factory=lambda: [DONE])
    answers: list[base.Answer] = field(default_factory=lambda: [base.Answer(state="cannot_say")])
    calls: list[base.Call] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    meanwhile: Callable[[base.Call], object] | None = None
    """What happens elsewhere while the call is under way."""
    before_answering: Callable[[], object] | None = None
    """What an answer about an earlier call waits for."""

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        self.calls.append(call)
        if self.meanwhile is not None:
            self.meanwhile(call)
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        self.asked.append((uid, run_id))
        if self.before_answering is not None:
            self.before_answering()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass(slots=True, kw_only=True)
class Stoppable(Fake):
    """One that can be asked to stop a run."""

    stops: list[base.Answer] = field(default_factory=lambda: [base.Answer(state="cancelled", message="stopped")])
    stopped: list[str] = field(default_factory=list)

    def cancel(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        self.stopped.append(uid)
        return self.stops.pop(0) if len(self.stops) > 1 else self.stops[0]


@dataclass(slots=True, kw_only=True)
class Gate:
    """Says whether actions are still wanted."""

    answer: GateAnswer = field(default_factory=lambda: GateAnswer(wanted=True, reason="still violated"))
    error: Exception | None = None
    asked_about: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Stage:
    fake: Fake = field(default_factory=Fake)
    gate: Gate = field(default_factory=Gate)


_stage = _Stage()


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Writes every call into a file before it answers, so that a killed caller cannot deny it."""

    path: Path
    kind: str = "ledger"
    durable_keys: bool = False

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        with self.path.open("a") as file:
            file.write(call.uid + "\n")
        return DONE

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        return base.Answer(state="done" if uid in self.calls() else "not_found")

    def calls(self) -> list[str]:
        """The keys of all calls so far."""
        return self.path.read_text().split() if self.path.exists() else []


def make_ledger(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """The ledger in the file that the configuration names."""
    return Ledger(path=Path(str(config["path"])))


def reset() -> tuple[Fake, Gate]:
    """A fresh remediator and a fresh gate."""
    _stage.fake, _stage.gate = Fake(), Gate()
    return _stage.fake, _stage.gate


def stoppable() -> Stoppable:
    """From now on the remediator of the running test is one that can stop runs."""
    found = Stoppable(outcomes=[ACCEPTED], answers=[base.Answer(state="running")])
    _stage.fake = found
    return found


def current() -> tuple[Fake, Gate]:
    """Those of the running test."""
    return _stage.fake, _stage.gate


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """The remediator of the running test."""
    if config:
        raise base.wrong(path="config", message="a fake takes no configuration")
    return _stage.fake


def gate(
    *, action_id: int, incident_id: int | None, policy_name: str, target: str, kind: str, at: datetime
) -> GateAnswer:
    """The gate of the running test."""
    _stage.gate.asked_about.append(action_id)
    if _stage.gate.error is not None:
        raise _stage.gate.error
    return _stage.gate.answer


def away(*_: object) -> NoReturn:
    """A wrapper of a connection's statements: the database does not answer."""
    raise OperationalError("the database is away")
