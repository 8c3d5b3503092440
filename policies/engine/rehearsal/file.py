"""A policy test file as plain data -> its tests. Every field is strict; each problem is named with its place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from policies.engine import suggestions
from policies.engine.fields import kind
from policies.engine.rehearsal import notation
from policies.engine.rehearsal.notation import NotationError
from policies.engine.rehearsal.script import (
    Expectation,
    ExpectedAction,
    ExpectedHold,
    ExpectedIncident,
    ExpectedVerdict,
    Happening,
    Input,
    Script,
    Stretch,
)

MOST_TESTS, MOST_SERIES, MOST_SAMPLES, MOST_EVENTS, MOST_EXPECTATIONS = 200, 1_000, 100_000, 10_000, 500
_NOTHING = timedelta(0)
_SHORTEST_INTERVAL = timedelta(seconds=1)

type Name = Annotated[str, Meta(min_length=1, max_length=250)]
type Problem = tuple[str, str]


class FileError(ValueError):
    """The file is no policy test file; `errors` has every problem as (path, message)."""

    def __init__(self, errors: Sequence[Problem]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{path or 'file'}: {message}" for path, message in self.errors))


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """The tests, and the policies as they were written: documents, or names of files with documents."""

    policies: tuple[Mapping[str, object] | str, ...]
    tests: tuple[Script, ...]


class FileBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policies: Annotated[list[dict[str, object] | str], Meta(min_length=1, max_length=500)]
    tests: Annotated[list[object], Meta(min_length=1, max_length=MOST_TESTS)]


class TestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    expect: Annotated[list[object], Meta(min_length=1, max_length=MOST_EXPECTATIONS)]
    interval: str = "1m"
    input_series: Annotated[list[object], Meta(max_length=MOST_SERIES)] = []
    events: Annotated[list[object], Meta(max_length=MOST_EVENTS)] = []
    answers: Literal["completed", "failed"] | dict[str, Literal["completed", "failed"]] = "completed"
    takes: str = "0s"
    unwatched: Annotated[list[object], Meta(max_length=100)] = []


class SeriesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    series: Name
    values: str | int | float
    starts: str = "0s"
    arrives_after: str = "0s"


class EventBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Name
    at: str
    severity: Annotated[str, Meta(min_length=1, max_length=50)] = "info"


class StretchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    since: str
    until: str


class ExpectationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    at: str
    incidents: list[object] | UnsetType = UNSET
    actions: list[object] | UnsetType = UNSET
    held: list[object] | UnsetType = UNSET
    verdicts: list[object] | UnsetType = UNSET


class IncidentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Name
    target: Name
    status: Literal["pending", "open", "resolved"]


class ActionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    action: Name
    target: Name
    policy: Name | None = None
    at: str | None = None
    params: dict[str, object] | None = None


class HoldBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Name
    target: Name
    guard: Name


class VerdictBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Name
    target: Name
    outcome: Literal["violated", "healthy", "unknown"]
    reason: str | None = None


def read(document: object) -> File:
    """The tests of a decoded YAML or JSON document; FileError names every problem with its place."""
    reader = _Reader()
    body = reader.shaped(document, FileBody, "")
    tests = [] if body is None else reader.each(body.tests, "tests", reader.test)
    reader.alone([test.name for test in tests])
    if reader.problems or body is None:
        raise FileError(reader.problems)
    return File(policies=tuple(body.policies), tests=tuple(tests))


class _Reader:
    """Collects every problem, so that one answer names all of them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._samples = 0

    def shaped[T: msgspec.Struct](self, raw: object, shape: type[T], path: str) -> T | None:
        """The object with its fields checked; None after a complaint."""
        if not isinstance(raw, Mapping):
            self._complain(path, f"must be an object, not {kind(raw)}")
            return None
        fields = shape.__struct_encode_fields__
        unknown = [str(key) for key in raw if key not in fields]
        for key in unknown:
            near = suggestions.meant(key, fields) or f"; the fields are {', '.join(fields)}"
            self._complain(_at(path, key[:40]), f"there is no such field{near}")
        if unknown:
            return None
        try:
            return msgspec.convert(raw, shape, strict=True)
        except msgspec.ValidationError as error:
            text, _, place = str(error).partition(" - at `$")
            self._complain(_at(path, place.rstrip("`").lstrip(".")), _lowered(text))
            return None

    def each[T](self, raws: Sequence[object], path: str, one: Callable[[object, str], T | None]) -> list[T]:
        """Those of the list that could be read."""
        read = (one(raw, f"{path}[{place}]") for place, raw in enumerate(raws))
        return [found for found in read if found is not None]

    def alone(self, names: Sequence[str]) -> None:
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._complain("tests", f"two tests are called {name!r}")

    def test(self, raw: object, path: str) -> Script | None:
        body = self.shaped(raw, TestBody, path)
        if body is None:
            return None
        interval = self._interval(body.interval, _at(path, "interval"))
        return Script(
            name=body.name,
            inputs=tuple(
                self.each(
                    body.input_series, _at(path, "input_series"), lambda raw, where: self._series(raw, where, interval)
                )
            ),
            events=tuple(self.each(body.events, _at(path, "events"), self._event)),
            answers={"*": body.answers} if isinstance(body.answers, str) else dict(body.answers),
            takes=self._length(body.takes, _at(path, "takes")),
            unwatched=tuple(self.each(body.unwatched, _at(path, "unwatched"), self._stretch)),
            expect=tuple(self.each(body.expect, _at(path, "expect"), self._expectation)),
        )

    def _interval(self, text: str, path: str) -> timedelta:
        interval = self._told(notation.length, text, path)
        if interval is None:
            return _SHORTEST_INTERVAL
        if interval < _SHORTEST_INTERVAL:
            self._complain(path, "an interval is at least 1s")
            return _SHORTEST_INTERVAL
        return interval

    def _series(self, raw: object, path: str, interval: timedelta) -> Input | None:
        body = self.shaped(raw, SeriesBody, path)
        if body is None:
            return None
        told = self._told(notation.named, body.series, _at(path, "series"))
        values = self._told(notation.values, str(body.values), _at(path, "values")) or ()
        starts = self._length(body.starts, _at(path, "starts"))
        delay = self._length(body.arrives_after, _at(path, "arrives_after"))
        samples = tuple((starts + interval * place, value) for place, value in enumerate(values) if value is not None)
        self._count(len(samples), path)
        return None if told is None else Input(name=told.name, tags=told.tags, samples=samples, arrives_after=delay)

    def _count(self, more: int, path: str) -> None:
        before, self._samples = self._samples, self._samples + more
        if before <= MOST_SAMPLES < self._samples:
            self._complain(path, f"the file has more than {MOST_SAMPLES:,} samples; split it")

    def _event(self, raw: object, path: str) -> Happening | None:
        body = self.shaped(raw, EventBody, path)
        if body is None:
            return None
        told = self._told(notation.named, body.event, _at(path, "event"))
        at = self._length(body.at, _at(path, "at"))
        return None if told is None else Happening(name=told.name, tags=told.tags, severity=body.severity, at=at)

    def _stretch(self, raw: object, path: str) -> Stretch | None:
        body = self.shaped(raw, StretchBody, path)
        if body is None:
            return None
        since, until = self._length(body.since, _at(path, "from")), self._length(body.until, _at(path, "until"))
        if until <= since:
            self._complain(_at(path, "until"), "must be later than from")
        return Stretch(since=since, until=until)

    def _expectation(self, raw: object, path: str) -> Expectation | None:
        body = self.shaped(raw, ExpectationBody, path)
        if body is None:
            return None
        return Expectation(
            at=self._length(body.at, _at(path, "at")),
            incidents=self._several(body.incidents, _at(path, "incidents"), self._incident),
            actions=self._several(body.actions, _at(path, "actions"), self._action),
            held=self._several(body.held, _at(path, "held"), self._hold),
            verdicts=self._several(body.verdicts, _at(path, "verdicts"), self._verdict),
        )

    def _several[T](
        self, raws: list[object] | UnsetType, path: str, one: Callable[[object, str], T | None]
    ) -> tuple[T, ...] | None:
        return None if raws is UNSET else tuple(self.each(raws, path, one))

    def _incident(self, raw: object, path: str) -> ExpectedIncident | None:
        body = self.shaped(raw, IncidentBody, path)
        return None if body is None else ExpectedIncident(policy=body.policy, target=body.target, status=body.status)

    def _action(self, raw: object, path: str) -> ExpectedAction | None:
        body = self.shaped(raw, ActionBody, path)
        if body is None:
            return None
        at = None if body.at is None else self._length(body.at, _at(path, "at"))
        return ExpectedAction(action=body.action, target=body.target, policy=body.policy, at=at, params=body.params)

    def _hold(self, raw: object, path: str) -> ExpectedHold | None:
        body = self.shaped(raw, HoldBody, path)
        return None if body is None else ExpectedHold(policy=body.policy, target=body.target, guard=body.guard)

    def _verdict(self, raw: object, path: str) -> ExpectedVerdict | None:
        body = self.shaped(raw, VerdictBody, path)
        return (
            None
            if body is None
            else ExpectedVerdict(policy=body.policy, target=body.target, outcome=body.outcome, reason=body.reason)
        )

    def _length(self, text: str, path: str) -> timedelta:
        found = self._told(notation.length, text, path)
        return _NOTHING if found is None else found

    def _told[T](self, read: Callable[[str], T], text: str, path: str) -> T | None:
        try:
            return read(text)
        except NotationError as error:
            self._complain(path, str(error))
            return None

    def _complain(self, path: str, message: str) -> None:
        self.problems.append((path, message))


def _at(path: str, step: str) -> str:
    if not step or step.startswith("["):
        return f"{path}{step}"
    return f"{path}.{step}" if path else step


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
