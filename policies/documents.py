"""A policy as people write it (API, YAML) <-> as Vigil keeps it. Every field is strict; nothing is guessed."""

import difflib
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from policies.engine import durations, language, modes, targets
from policies.engine.conditions import Condition
from vigil.http import misfits
from vigil.kernel.errors import FieldError, VigilError, summary

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
STEPS_MAX = 8
SAMPLES_MAX = 100
UNKNOWN_NAMED_MAX = 20
"""Looking for what was meant takes time, and thousands of fields were not meant."""
RESERVED = frozenset({"check", "evaluate", "reload", "runner", "severity"})
"""Words that stand where a policy's name does in the API's paths."""

type Json = dict[str, object]
type Text = Annotated[str, Meta(max_length=500)]


class UnableToReadPolicy(VigilError):
    """The document is not a policy; `errors` names each place."""

    code = "invalid_policy"
    status = 422


class RateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=1000)]
    per: str


class GroupBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    max: Annotated[int, Meta(ge=1, le=1000)]


class CommonCauseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    percent: Annotated[int, Meta(ge=1, le=100)]
    within: str | UnsetType = UNSET


class BlastRadiusBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    percent: Annotated[int, Meta(ge=1, le=100)]
    within: str | UnsetType = UNSET


class FlappingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    high: Annotated[int, Meta(ge=1, le=101)]
    low: Annotated[int, Meta(ge=1, le=100)]


class StepBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    action: Annotated[str, Meta(min_length=1, max_length=100)]
    params: Json = {}
    after: str = "0s"
    settle: str | UnsetType = UNSET
    stable_for: str | UnsetType = UNSET
    samples: Annotated[int, Meta(ge=1, le=SAMPLES_MAX)] | UnsetType = UNSET
    rollback: bool = False


class DemoteBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    bad: Annotated[int, Meta(ge=0, le=100)]
    of: Annotated[int, Meta(ge=1, le=100)]


class PolicyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a policy in requests and files."""

    name: str
    target: str
    condition: Json | str
    action: Annotated[str, Meta(min_length=1, max_length=100)]
    description: Annotated[str, Meta(max_length=2000)] = ""
    severity: Literal["info", "warning", "critical"] = "warning"
    target_tag: str | UnsetType = UNSET
    enabled: bool = True
    auto_remediate: bool | UnsetType = UNSET
    mode: Literal["observe", "suggest", "approve", "auto"] | UnsetType = UNSET
    params: Json = {}
    then: Annotated[list[StepBody], Meta(max_length=STEPS_MAX)] = []
    cooldown: str | UnsetType = UNSET
    rate: RateBody | UnsetType = UNSET
    group: GroupBody | UnsetType = UNSET
    group_by: str | UnsetType = UNSET
    common_cause: CommonCauseBody | UnsetType = UNSET
    blast_radius: BlastRadiusBody | UnsetType = UNSET
    min_healthy: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    act_in_maintenance: bool = False
    flapping: FlappingBody | UnsetType = UNSET
    keep_open_for: str = "0s"
    on_no_data: Literal["keep", "open", "resolve"] = "keep"
    settle: str | UnsetType = UNSET
    stable_for: str | UnsetType = UNSET
    samples: Annotated[int, Meta(ge=1, le=SAMPLES_MAX)] | UnsetType = UNSET
    rollback: bool = False
    demote: DemoteBody | UnsetType = UNSET
    max_attempts: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    deadline: str | UnsetType = UNSET
    approval_expires: str | UnsetType = UNSET


FIELDS = tuple(PolicyBody.__struct_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What it takes to believe that an action helped. None means: what the policy says, or else the default."""

    settle: timedelta | None = None
    """Time to work before anything is judged."""
    stable_for: timedelta | None = None
    """How long the condition must then have been healthy."""
    samples: int | None = None
    """How many samples newer than the action's end it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rung of the remedy."""

    action: str
    params: Mapping[str, object]
    after: timedelta
    """How long after the step before it ended this one may begin."""
    proof: Proof = Proof()
    rollback: bool = False
    """Whether it is undone when it did not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demote:
    """After `bad` ineffective or relapsed of the last `of` verified actions it may do less by itself; 0: never."""

    bad: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` actions of the policy in any `per`."""

    count: int
    per: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Targets that must not all be worked on at once."""

    name: str
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCause:
    """How many targets must go bad at once to be taken for one trouble."""

    percent: int
    within: timedelta | None
    """None: the installation's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """How much of its targets, in per cent, may be repaired within a span of time."""

    percent: int
    within: timedelta | None
    """None: the installation's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """At how much weighted change, in per cent, it begins and ends to flap; from 101 it never begins."""

    high: int
    low: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a policy version says. None means: the installation's default."""

    description: str
    severity: str
    target: str
    target_tag: str
    mode: str
    condition: Condition
    steps: tuple[Step, ...]
    cooldown: timedelta | None
    rate: Rate | None
    group: Group | None
    group_by: str
    common_cause: CommonCause | None
    blast_radius: BlastRadius | None
    min_healthy: int | None
    """How much of its targets, in per cent, must be healthy for it to act."""
    act_in_maintenance: bool
    flapping: Flapping | None
    keep_open_for: timedelta
    on_no_data: Literal["keep", "open", "resolve"]
    settle: timedelta | None
    stable_for: timedelta | None
    samples: int | None
    demote: Demote | None
    max_attempts: int | None
    deadline: timedelta | None
    approval_expires: timedelta | None

    def proof(self, number: int) -> Proof:
        """How step `number` is verified; what it does not say for itself, the policy says."""
        own = self.steps[number].proof if number < len(self.steps) else Proof()
        return Proof(
            settle=self.settle if own.settle is None else own.settle,
            stable_for=self.stable_for if own.stable_for is None else own.stable_for,
            samples=self.samples if own.samples is None else own.samples,
        )

    @property
    def sentence(self) -> str:
        """The condition as people read it."""
        return language.to_sentence(self.condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A whole policy as someone wrote it, checked."""

    name: str
    enabled: bool
    document: Document


def read(raw: object) -> Draft:
    """Check everything about a written policy but its actions; UnableToReadPolicy names every place it can."""
    body = _body(raw)
    reader = _Reader()
    draft = reader.draft(body)
    reader.finish()
    return draft


def stored(document: Document) -> Json:
    """The document as a version keeps it: the written shape, in canonical form, without name and switch."""
    first, *rest = document.steps
    optional: Json = {
        "target_tag": document.target_tag or None,
        "then": [_step(step) for step in rest] or None,
        "cooldown": _said(document.cooldown),
        "rate": document.rate and {"count": document.rate.count, "per": durations.text(document.rate.per)},
        "group": document.group and {"name": document.group.name, "max": document.group.max},
        "group_by": document.group_by or None,
        "common_cause": _share(document.common_cause),
        "blast_radius": _share(document.blast_radius),
        "min_healthy": document.min_healthy,
        "act_in_maintenance": document.act_in_maintenance or None,
        "flapping": document.flapping and {"high": document.flapping.high, "low": document.flapping.low},
        "settle": _said(document.settle),
        "stable_for": _said(document.stable_for),
        "samples": document.samples,
        "rollback": first.rollback or None,
        "demote": document.demote and {"bad": document.demote.bad, "of": document.demote.of},
        "max_attempts": document.max_attempts,
        "deadline": _said(document.deadline),
        "approval_expires": _said(document.approval_expires),
    }
    return {
        "description": document.description,
        "severity": document.severity,
        "target": document.target,
        "mode": document.mode,
        "condition": language.to_json(document.condition),
        "action": first.action,
        "params": dict(first.params),
        "keep_open_for": durations.text(document.keep_open_for),
        "on_no_data": document.on_no_data,
        **{field: value for field, value in optional.items() if value is not None},
    }


def from_stored(name: str, kept: Mapping[str, object]) -> Document:
    """The document of a version; UnableToReadPolicy when this Vigil cannot read what an other one wrote."""
    return read({"name": name, **kept}).document


def written(*, name: str, enabled: bool, kept: Mapping[str, object]) -> Json:
    """The policy in the shape people write: what the API answers and files hold.

    `auto_remediate` says whether it acts without asking: what suggests, or asks for approval, does not.
    """
    return {"name": name, "enabled": enabled, "auto_remediate": kept["mode"] == modes.AUTO, **kept}


def merge(current: Mapping[str, object], change: Mapping[str, object]) -> Json:
    """`current` with the changed fields; `mode` and `auto_remediate` are one switch, so the changed one wins."""
    merged = {**current, **change}
    for said, other in (("mode", "auto_remediate"), ("auto_remediate", "mode")):
        if (
            said in change
            and change[said] != current.get(said)
            and change.get(other, current.get(other)) == current.get(other)
        ):
            merged.pop(other, None)
    return merged


def with_mode(document: Document, *, mode: str) -> Document:
    """The same document under another mode."""
    return replace(document, mode=mode)


def _said(duration: timedelta | None) -> str | None:
    return None if duration is None else durations.text(duration)


def _share(said: CommonCause | BlastRadius | None) -> Json | None:
    if said is None:
        return None
    return {"percent": said.percent, **({} if said.within is None else {"within": durations.text(said.within)})}


def _step(step: Step) -> Json:
    own: Json = {
        "settle": _said(step.proof.settle),
        "stable_for": _said(step.proof.stable_for),
        "samples": step.proof.samples,
        "rollback": step.rollback or None,
    }
    said = {field: value for field, value in own.items() if value is not None}
    return {"action": step.action, "params": dict(step.params), "after": durations.text(step.after), **said}


def _body(raw: object) -> PolicyBody:
    if not isinstance(raw, dict):
        raise UnableToReadPolicy("A policy is a JSON object with name, target, condition and action.")
    errors = unknown_fields(cast(Json, raw))
    if errors:
        raise UnableToReadPolicy(f"The policy was not understood: {errors[0].message}", errors=errors)
    try:
        return msgspec.convert(raw, PolicyBody, strict=True)
    except msgspec.ValidationError as error:
        problem = misfits.field_error(error, PolicyBody)
        raise UnableToReadPolicy(f"The policy was not understood: {summary([problem])}", errors=[problem]) from error


def unknown_fields(raw: Mapping[str, object], *, known: tuple[str, ...] = FIELDS) -> list[FieldError]:
    """One error for each of the first fields a policy does not have, with the one that was probably meant."""
    unknown = itertools.islice((str(key) for key in raw if key not in known), UNKNOWN_NAMED_MAX)
    return [FieldError(path=key, message=_unknown(key, known)) for key in unknown]


def _unknown(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key[:80], known, n=1, cutoff=0.6)
    hint = f"did you mean `{close[0]}`?" if close else f"the fields are {', '.join(known)}."
    return f"`{key[:80]}` is not a field of a policy; {hint}"


class _Reader:
    """Collects what is wrong, so that one answer names all of it."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def finish(self) -> None:
        if self.errors:
            raise UnableToReadPolicy(f"The policy is not valid: {summary(self.errors)}", errors=self.errors)

    def draft(self, body: PolicyBody) -> Draft:
        if NAME.fullmatch(body.name) is None:
            self.fail(
                "name", "A policy's name is 1 to 100 lower-case letters, digits and dashes, such as high-cpu-alert."
            )
        if body.name in RESERVED:
            self.fail("name", f"`{body.name}` is a word of the API; choose another name.")
        for path, text in (("description", body.description), ("name", body.name)):
            if any(not c.isprintable() and c not in "\n\t" for c in text):
                self.fail(path, "Control and invisible characters are not allowed here.")
        if body.group is not UNSET and not (body.group.name.strip() and body.group.name.isprintable()):
            self.fail("group.name", "Name the group in printable characters, such as databases.")
        return Draft(name=body.name, enabled=body.enabled, document=self.document(body))

    def document(self, body: PolicyBody) -> Document:
        return Document(
            description=body.description,
            severity=body.severity,
            target=self.target(body.target),
            target_tag=self.tag("target_tag", body.target_tag, example="service"),
            mode=self.mode(body),
            condition=self.condition(body.condition),
            steps=self.steps(body),
            cooldown=self.optional("cooldown", body.cooldown, least=timedelta(seconds=1), most=timedelta(days=30)),
            rate=self.rate(body.rate),
            group=None if body.group is UNSET else Group(name=body.group.name, max=body.group.max),
            group_by=self.tag("group_by", body.group_by, example="zone"),
            common_cause=self.common_cause(body.common_cause),
            blast_radius=self.blast_radius(body.blast_radius),
            min_healthy=None if body.min_healthy is UNSET else body.min_healthy,
            act_in_maintenance=body.act_in_maintenance,
            flapping=self.flapping(body.flapping),
            keep_open_for=self.duration("keep_open_for", body.keep_open_for, most=timedelta(days=1)),
            on_no_data=body.on_no_data,
            settle=self.optional("settle", body.settle, least=timedelta(0), most=timedelta(hours=1)),
            stable_for=self.optional("stable_for", body.stable_for, least=timedelta(0), most=timedelta(hours=1)),
            samples=None if body.samples is UNSET else body.samples,
            demote=self.demote(body.demote),
            max_attempts=None if body.max_attempts is UNSET else body.max_attempts,
            deadline=self.optional("deadline", body.deadline, least=timedelta(seconds=10), most=timedelta(days=1)),
            approval_expires=self.optional(
                "approval_expires", body.approval_expires, least=timedelta(minutes=1), most=timedelta(days=7)
            ),
        )

    def fail(self, path: str, message: str) -> None:
        self.errors.append(FieldError(path=path, message=message))

    def target(self, text: str) -> str:
        try:
            targets.check(text)
        except ValueError as error:
            self.fail("target", f"{error}.")
        return text

    def tag(self, path: str, tag: str | UnsetType, *, example: str) -> str:
        if tag is UNSET:
            return ""
        if TAG.fullmatch(tag) is None:
            self.fail(path, f"Name one tag, such as `{example}`; leave the field out for the usual way.")
        return tag

    def common_cause(self, cause: CommonCauseBody | UnsetType) -> CommonCause | None:
        if cause is UNSET:
            return None
        least, most = timedelta(seconds=1), timedelta(hours=1)
        within = self.optional("common_cause.within", cause.within, least=least, most=most)
        return CommonCause(percent=cause.percent, within=within)

    def blast_radius(self, said: BlastRadiusBody | UnsetType) -> BlastRadius | None:
        if said is UNSET:
            return None
        least, most = timedelta(seconds=1), timedelta(days=1)
        within = self.optional("blast_radius.within", said.within, least=least, most=most)
        return BlastRadius(percent=said.percent, within=within)

    def flapping(self, said: FlappingBody | UnsetType) -> Flapping | None:
        if said is UNSET:
            return None
        if said.low >= said.high:
            self.fail("flapping.low", f"It begins at `high` ({said.high} %), so `low` must be less than that.")
        return Flapping(high=said.high, low=said.low)

    def mode(self, body: PolicyBody) -> str:
        if body.mode is UNSET:
            return modes.AUTO if body.auto_remediate is True else modes.OBSERVE
        if body.auto_remediate is not UNSET and body.auto_remediate != (body.mode == modes.AUTO):
            said = "true" if body.auto_remediate else "false"
            self.fail("mode", f"`mode` says {body.mode} but `auto_remediate` says {said}; send one of the two.")
        return body.mode

    def condition(self, written: Json | str) -> Condition:
        try:
            return language.parse(written) if isinstance(written, str) else language.from_json(written)
        except language.SentenceError as error:
            self.fail("condition", str(error))
        except language.ConditionError as error:
            for path, message in error.errors:
                self.fail(f"condition.{path}" if path else "condition", message)
        return cast(Condition, None)  # never used: finish() raises

    def steps(self, body: PolicyBody) -> tuple[Step, ...]:
        first = Step(action=body.action, params=body.params, after=timedelta(0), rollback=body.rollback)
        rest = (
            Step(
                action=step.action,
                params=step.params,
                after=self.duration(f"then[{index}].after", step.after, most=timedelta(days=1)),
                proof=self.proof(f"then[{index}]", step),
                rollback=step.rollback,
            )
            for index, step in enumerate(body.then)
        )
        return (first, *rest)

    def proof(self, place: str, step: StepBody) -> Proof:
        least, most = timedelta(0), timedelta(hours=1)
        return Proof(
            settle=self.optional(f"{place}.settle", step.settle, least=least, most=most),
            stable_for=self.optional(f"{place}.stable_for", step.stable_for, least=least, most=most),
            samples=None if step.samples is UNSET else step.samples,
        )

    def demote(self, said: DemoteBody | UnsetType) -> Demote | None:
        if said is UNSET:
            return None
        if said.bad > said.of:
            self.fail("demote.bad", f"At most all of the last {said.of} can be bad; `of` is less than `bad`.")
        return Demote(bad=said.bad, of=said.of)

    def rate(self, rate: RateBody | UnsetType) -> Rate | None:
        if rate is UNSET:
            return None
        per = self.duration("rate.per", rate.per, least=timedelta(seconds=1), most=timedelta(days=1))
        return Rate(count=rate.count, per=per)

    def optional(self, path: str, text: str | UnsetType, *, least: timedelta, most: timedelta) -> timedelta | None:
        return None if text is UNSET else self.duration(path, text, least=least, most=most)

    def duration(self, path: str, text: str, *, least: timedelta = timedelta(0), most: timedelta) -> timedelta:
        try:
            duration = timedelta(0) if text == "0s" else durations.parse(text)
        except ValueError as error:
            self.fail(path, f"{error}.")
            return least
        if not least <= duration <= most:
            self.fail(path, f"{text} is out of range: {durations.text(least)} to {durations.text(most)}.")
        return duration
