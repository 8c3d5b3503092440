"""What every remediator is given, what it answers, and how its configuration is read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import msgspec

from vigil.http import misfits
from vigil.kernel.errors import FieldError, VigilError, summary

CALL_SECONDS = 12.0
"""Wall-clock time one call may take in all. It is part of the chain that ends below the lease (25 s)."""

CONNECT_SECONDS = 3.0
"""Of these, how long name, connection and TLS handshake may take together."""

READ_LIMIT_BYTES = 64 * 1024
"""How much of an answer is read; the rest is never looked at."""

EXCERPT_LIMIT_BYTES = 4 * 1024
DETAILS_LIMIT_BYTES = 4 * 1024
MESSAGE_LIMIT_BYTES = 500

type OutcomeKind = Literal["succeeded", "failed", "accepted", "ambiguous"]
type AnswerState = Literal["not_found", "running", "done", "failed", "cancelled", "cannot_say"]
type Commands = Mapping[str, object]
"""The allow-list of executables: name -> absolute path, or name -> {"path": ..., "sha256": ...}."""

TEMPORARY_WHEN_HARMLESS = frozenset({"timeout", "http_5xx", "reset"})


class ConfigurationError(VigilError):
    """A remediator's configuration cannot work; `errors` says where and what to write instead."""

    code = "remediator_configuration"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt of one action, as told to a remediator."""

    action_id: int
    uid: str
    """The idempotency key: the same for every attempt of the action."""
    kind: str
    target: str
    params: Mapping[str, object]
    policy: str
    severity: str
    incident_id: int | None
    reason: str
    attempt: int
    """From 1; a repeated attempt differs from the first in this number only."""
    fence: int
    """Rises with every claim of the target; a remediator refuses a lower one than it has seen."""
    deadline: datetime
    """After this moment the effect is no longer wanted."""
    request_id: str
    at: datetime
    """When this attempt is made: it dates the signature."""
    begin_by_monotonic: float = math.inf
    """After this, by time.monotonic(), nothing may leave any more: the switch or the deadline may say no by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened once. `failed` is definite: there was no effect, or the remediator said that it failed."""

    kind: OutcomeKind
    message: str = ""
    """One sentence for the timeline."""
    retryable: bool = False
    """A definite failure that may pass by itself, such as a refused connection."""
    error_class: str = ""
    """A word from a small set (dns, timeout, http_5xx ...), fit for counting; "" when all went well."""
    http_status: int | None = None
    excerpt: str = ""
    """What was answered: at most 4 KiB, valid UTF-8, control characters escaped."""
    details: Mapping[str, object] = field(default_factory=dict)
    """At most 4 KiB as JSON, and safe to store."""
    first_byte_at_monotonic: float | None = None
    """When the first byte left (or the process began), by time.monotonic(); None: nothing ever left."""
    retry_after: float | None = None
    """Seconds the remediator asked to be left alone, 0 to 3600."""
    run_id: str = ""
    """With `accepted`: what the remediator calls the run."""

    @property
    def first_byte_sent(self) -> bool:
        """Whether the outside may have acted on this attempt."""
        return self.first_byte_at_monotonic is not None

    @property
    def temporary(self) -> bool:
        """An ambiguous outcome that a type whose repetition is harmless may answer by trying again."""
        return self.kind == "ambiguous" and self.error_class in TEMPORARY_WHEN_HARMLESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a remediator says about an earlier call, asked by key. `cannot_say` leaves the question open."""

    state: AnswerState
    message: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


class Remediator(Protocol):
    """Calls out and reports. Neither method raises for anything the outside does."""

    @property
    def kind(self) -> str:
        """The registry's name for this sort of remediator."""

    @property
    def durable_keys(self) -> bool:
        """Whether sending the same key again can never double an effect."""

    def call(self, call: Call, *, deadline_monotonic: float) -> Outcome:
        """Carry the action out, ending by `deadline_monotonic` and within CALL_SECONDS."""

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> Answer:
        """What became of the call with the key `uid`."""


@runtime_checkable
class Cancels(Protocol):
    """A remediator that can be asked to stop a run. It raises nothing for what the outside does either."""

    def cancel(self, uid: str, run_id: str, *, deadline_monotonic: float) -> Answer:
        """Stop the call with the key `uid`: `cancelled`, how it had ended before, or anything else for "not yet"."""


class Maker(Protocol):
    """What the registry and a plug-in's dotted path name: the remediator for one configuration."""

    def __call__(self, *, config: Mapping[str, object], secret: str, commands: Commands) -> Remediator:
        """Raises ConfigurationError when the configuration cannot work."""


def read_config[T](config: Mapping[str, object], shape: type[T]) -> T:
    """`config` as the msgspec Struct `shape`, or ConfigurationError naming the field."""
    try:
        return msgspec.convert(dict(config), shape, strict=True)
    except msgspec.ValidationError as error:
        place = misfits.field_error(error, shape)
        raise wrong(path=place.path, message=summary([place])) from error


def wrong(*, path: str, message: str) -> ConfigurationError:
    """The error that says what is wrong at one place of a remediator's configuration."""
    return ConfigurationError(
        f"The remediator's configuration cannot work: {message}", errors=[FieldError(path=path, message=message)]
    )
