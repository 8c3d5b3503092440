"""Policy tests of their owners: the engine with a fake clock, this installation's guards and its way to verify."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from actions import consent
from actions.queries import ActionView
from actions.standard import STANDARD_TYPES
from actions.states import State, Status
from metrics import targets as metric_targets
from policies import (
    book,
    conflicts,
    documents,
    judging,
    ladder,
    proposals,
    quality,
    replayed_guards,
    transfer,
    verification,
)
from policies.book import Rule
from policies.conflicts import Clash
from policies.engine import modes, planning
from policies.engine.rehearsal import comparing, file, run
from policies.engine.rehearsal.comparing import Difference
from policies.engine.rehearsal.file import File, FileError
from policies.engine.rehearsal.script import Expectation, Script
from policies.engine.rehearsal.stage import Deed, Proof, Stopped, Subject, World
from policies.engine.rehearsal.timeline import Seen
from policies.engine.values import Verdict
from policies.models import Mode
from policies.readings import Data
from policies.verification import NotYet
from vigil.kernel.errors import FieldError, VigilError

STANDARD_WAYS_BACK = {kind.name: kind.rollback for kind in STANDARD_TYPES if kind.rollback}
STANDARD_TELLING = frozenset(kind.name for kind in STANDARD_TYPES if kind.tells)
_EFFECTS = {
    "effective": planning.Effect.EFFECTIVE,
    "ineffective": planning.Effect.INEFFECTIVE,
    "unverifiable": planning.Effect.UNVERIFIABLE,
}


class UnableToCheck(VigilError):
    """The test file cannot be used; `errors` names each place."""

    code = "invalid_test_file"
    status = 422


class TooLong(VigilError):
    """The tests were stopped before their end."""

    code = "tests_too_long"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One test with everything that is not as it expects."""

    name: str
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a file of tests."""

    tests: tuple[Checked, ...]
    clashes: tuple[Clash, ...] = ()
    """Policies of the file that can fight; no test fails for it."""

    @property
    def ok(self) -> bool:
        return all(test.ok for test in self.tests)

    def lines(self) -> list[str]:
        """For a terminal: one line for each test, and below a failed one what was expected and what came."""
        failed = sum(not test.ok for test in self.tests)
        count = f"{len(self.tests)} test{'' if len(self.tests) == 1 else 's'}"
        said = [line for test in self.tests for line in _lines(test)]
        said += [f"warning {one.policy}: {one.message}" for one in self.clashes]
        return [*said, f"{failed} of {count} failed." if failed else f"{count} ok."]

    def as_json(self) -> dict[str, object]:
        """For a machine."""
        warnings = [{"policy": one.policy, **one.as_json()} for one in self.clashes]
        return {"ok": self.ok, "tests": [_as_json(test) for test in self.tests], "warnings": warnings}


def check_file(path: Path, *, patience: timedelta | None = None) -> Report:
    """Run the tests of a YAML file; the policy files it names are looked for beside it.

    UnableToCheck when the file or a policy cannot be used, TooLong when it takes longer than `patience`.
    """
    return check(document=transfer.parse(_content(path)), beside=path.parent, patience=patience)


def check(*, document: object, beside: Path | None = None, patience: timedelta | None = None) -> Report:
    """Run the tests of a decoded file. Without `beside` every policy must be written out in it."""
    try:
        read = file.read(document)
    except FileError as error:
        raise _unusable([FieldError(path=path, message=message) for path, message in error.errors]) from error
    rules = _rules(read, beside)
    _check_names(read.tests, rules)
    around = world(rules, _deadline(patience))
    subjects = [subject_of(rule) for rule in rules.values()]
    return Report(
        tests=tuple(_checked(script, subjects, around) for script in read.tests),
        clashes=tuple(conflicts.among(rules.values(), conflicts.Kinds(telling=STANDARD_TELLING))),
    )


def _checked(script: Script, subjects: Sequence[Subject], world: World) -> Checked:
    pictures = run.play(script, subjects=subjects, world=world)
    return Checked(name=script.name, differences=tuple(comparing.differences(script, pictures)))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(transfer.FILE_MAX_BYTES + 1)
    except OSError as error:
        raise UnableToCheck(f"{path} cannot be read: {error.strerror}.") from error


def _unusable(errors: Sequence[FieldError]) -> UnableToCheck:
    count = f"{len(errors)} problem{'' if len(errors) == 1 else 's'}"
    return UnableToCheck(f"The test file cannot be used: {count}.", errors=errors)


def _rules(read: File, beside: Path | None) -> dict[str, Rule]:
    """The policies under test by name, each compiled as the book would."""
    rules: dict[str, Rule] = {}
    errors: list[FieldError] = []
    for place, raw in _documents(read, beside):
        try:
            draft = documents.read(raw)
        except documents.UnableToReadPolicy as error:
            found = error.errors or (FieldError(path="", message=error.detail),)
            errors += [FieldError(path=f"{place}.{one.path}".rstrip("."), message=one.message) for one in found]
            continue
        if draft.name in rules:
            errors.append(FieldError(path=place, message=f"there is another policy called {draft.name}"))
        if draft.enabled:
            rules[draft.name] = book.provisional(draft.document, name=draft.name)
    if errors:
        raise _unusable(errors)
    return rules


def _documents(read: File, beside: Path | None) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for number, one in enumerate(read.policies):
        place = f"policies[{number}]"
        if isinstance(one, Mapping):
            found.append((place, dict(one)))
        elif beside is None:
            message = "write the policy out: files are only read by `manage.py check_policies`"
            raise _unusable([FieldError(path=place, message=message)])
        else:
            found += [
                (f"{one}[{index}]", raw) for index, raw in enumerate(transfer.documents_of(_content(beside / one)))
            ]
    return found


def _check_names(tests: Sequence[Script], rules: Mapping[str, Rule]) -> None:
    """An expectation about a policy that is not there could only ever pass by accident."""
    errors = [
        FieldError(
            path=f"tests[{number}].expect[{place}].{about}",
            message=f"there is no enabled policy `{name}` in this file; there are {', '.join(rules) or 'none'}",
        )
        for number, script in enumerate(tests)
        for place, one in enumerate(script.expect)
        for about, name in _named(one)
        if name not in rules
    ]
    if errors:
        raise _unusable(errors)


def _named(one: Expectation) -> list[tuple[str, str]]:
    several = {"incidents": one.incidents, "held": one.held, "verdicts": one.verdicts}
    named = [(about, wanted.policy) for about, many in several.items() for wanted in many or ()]
    return named + [("actions", wanted.policy) for wanted in one.actions or () if wanted.policy is not None]


def subject_of(
    rule: Rule, *, undone_by: Mapping[str, str] = STANDARD_WAYS_BACK, tells: frozenset[str] = STANDARD_TELLING
) -> Subject:
    """A rule as it is played; without the installation's action types, among those that every one begins with."""
    default_settle = timedelta(seconds=settings.VIGIL_SETTLE_SECONDS)
    named = rule.document.target
    return Subject(
        name=rule.name,
        condition=rule.condition,
        timings=rule.timings,
        ladder=ladder.steps_of(rule, undone_by=undone_by),
        tells=tells,
        looks_back=_looks_back(rule),
        acts=rule.mode != Mode.OBSERVE,
        asks=consent.describe(proposals.asks_of(rule.mode)) if modes.asks(rule.mode) else "",
        target_of=lambda tags, target: rule.target_of(tags=tags, target=target),
        regroups=rule.regroups,
        named="" if named == "all" or "*" in named or "?" in named else named,
        settles=tuple(
            default_settle if settle is None else settle
            for settle in (rule.document.proof(number).settle for number in range(len(rule.document.steps)))
        ),
        covers=rule.covers,
        severity=rule.severity,
    )


def _looks_back(rule: Rule) -> timedelta:
    """How far back the proof of a step reads; nothing where the newest sample is enough."""
    proofs = [rule.document.proof(number) for number in range(len(rule.document.steps))]
    more = [one for one in proofs if one.stable_for or (one.samples or 1) > 1]
    settle = timedelta(seconds=settings.VIGIL_SETTLE_SECONDS)
    spans = (
        (settle if one.settle is None else one.settle) + (one.stable_for or timedelta(0)) + judging.staleness()
        for one in more
    )
    return max(spans, default=timedelta(0))


def world(rules: Mapping[str, Rule], patience: Callable[[], None]) -> World:
    """This installation around these policies."""

    def prove(subject: Subject, deed: Deed, seen: Seen, at: datetime) -> Proof | None:
        return proof(rules[subject.name], deed, seen, at)

    def doubt(subject: Subject, verdict: Verdict, at: datetime) -> Stopped | None:
        found = quality.of_readings(rules[subject.name], verdict, at=at)
        return None if found is None else Stopped(guard=found.guard, reason=found.reason)

    return World(
        target_of=metric_targets.target_of,
        staleness=judging.staleness(),
        sweep_every=timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS),
        guard=lambda scene: replayed_guards.ask(rules[scene.subject.name], scene, rules),
        prove=prove,
        doubt=doubt,
        patience=patience,
    )


def _deadline(patience: timedelta | None) -> Callable[[], None]:
    if patience is None:
        return lambda: None
    end = time.monotonic() + patience.total_seconds()

    def look() -> None:
        if time.monotonic() > end:
            raise TooLong(
                f"The tests took longer than {patience.total_seconds():.0f} s and were stopped: send fewer at once, or"
                " run `manage.py check_policies`, which has no such limit."
            )

    return look


def proof(rule: Rule, deed: Deed, seen: Seen, at: datetime) -> Proof | None:
    """What fresh data says of a deed; None while nothing can be said."""
    data = Data(series=seen.series, events=seen.events)
    found = verification.prove(action=_action(deed), rule=rule, data=data, at=at)
    return None if isinstance(found, NotYet) else Proof(effect=_EFFECTS[found.result], reason=found.reason)


def _action(deed: Deed) -> ActionView:
    """The deed as the row it would have been."""
    return ActionView(
        id=deed.number,
        uid=uuid.UUID(int=deed.number),
        dedup_key=f"policy:{deed.policy}:incident:{deed.incident}:step:{deed.step}",
        kind=deed.action,
        target=deed.target,
        params={},
        state=State.SUCCEEDED,
        status=Status.COMPLETED,
        needs_human=False,
        policy_name=deed.policy,
        policy_version=None,
        severity="",
        incident_id=deed.incident,
        reason="",
        ordered_by=f"policy:{deed.policy}",
        by_hand=False,
        attempts=1,
        max_attempts=1,
        verification="",
        verify_after=deed.ended_at + deed.settle,
        notes="",
        details="",
        request_id="",
        retry_of=None,
        cancel_requested=False,
        deadline=deed.ended_at,
        created_at=deed.ordered_at,
        started_at=deed.acted_at,
        finished_at=deed.ended_at,
    )


def _lines(test: Checked) -> list[str]:
    if test.ok:
        return [f"ok      {test.name}"]
    lines, said_at = [f"FAILED  {test.name}"], None
    for one in test.differences:
        if one.at != said_at:
            lines.append(f"  at {comparing.when(one.at)}")
            said_at = one.at
        lines += [
            f"    {one.about}",
            f"      expected  {one.expected}",
            f"      got       {one.got}",
            f"      because   {one.reason}",
        ]
    return lines


def _as_json(test: Checked) -> dict[str, object]:
    return {
        "name": test.name,
        "ok": test.ok,
        "differences": [
            {
                "at": comparing.when(one.at),
                "about": one.about,
                "expected": one.expected,
                "got": one.got,
                "reason": one.reason,
            }
            for one in test.differences
        ],
    }
