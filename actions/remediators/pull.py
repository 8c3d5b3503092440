"""A remediator that nobody calls: it fetches its tasks and reports results, as docs/pull-mode.md describes it.

Handing a task to whoever fetches it takes the place of the call; `actions.pulling` puts it into the answer afterwards.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec

from actions.remediators import base

KIND = "pull"

WORKER = f"{KIND}/"
"""So begin the names of those that fetch, in leases and attempts; a worker's begins with its host, which has no /."""

GATHER_SECONDS = 3.0
"""How long one answer may take to be gathered: with what comes before, its tasks leave within the switch's 5 s."""

type KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator writes."""

    keys: Annotated[list[KeyName], msgspec.Meta(min_length=1, max_length=20)]
    """Names of the API keys that may fetch and report; no other key gets anything."""
    durable_keys: bool = False
    """It remembers the ids of its tasks across its own restarts, and does none of them twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRemediator:
    """Takes every task over at once; how it ends is reported, never asked."""

    kind: ClassVar[str] = KIND

    durable_keys: bool

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        """The task counts as handed over, unless its answer could leave too late."""
        now = time.monotonic()
        if call.begin_by_monotonic - now < GATHER_SECONDS or deadline_monotonic <= now:
            return base.Outcome(
                kind="failed",
                retryable=True,
                error_class="too_slow",
                message="It was fetched too shortly before its deadline; nothing was handed over.",
            )
        return base.Outcome(kind="accepted", message="It was fetched.", first_byte_at_monotonic=now)

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """There is nobody to ask."""
        return base.Answer(state="cannot_say", message="It reports by itself and cannot be asked.")


def names_key(config: Mapping[str, object], key: str) -> bool:
    """Whether the configuration names this API key."""
    named = config.get("keys")
    return isinstance(named, list) and key in named


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """A remediator that fetches."""
    return PullRemediator(durable_keys=base.read_config(config, Config).durable_keys)
