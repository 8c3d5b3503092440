"""A remediator that changes nothing and says so: for a first look, and for policies on probation."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import structlog

from actions.remediators import base

logger = structlog.get_logger(__name__)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRemediator:
    """Succeeds by writing one line to the log."""

    kind: ClassVar[str] = "log"
    durable_keys: ClassVar[bool] = True  # there is no effect that a second call could double

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        """Say what would have been done."""
        logger.info(
            "actions.remediator.logged",
            action_id=call.action_id,
            action=call.kind,
            target=call.target,
            params=dict(call.params),
            attempt=call.attempt,
            reason=call.reason,
        )
        return base.Outcome(
            kind="succeeded",
            message=f"Only logged: {call.kind} on {call.target}. Nothing was changed; set REMEDIATOR_URL to act.",
            first_byte_at_monotonic=time.monotonic(),
        )

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """Nothing was ever done, so doing it again is safe."""
        return base.Answer(state="not_found", message="A log remediator remembers nothing and changes nothing.")


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """A log remediator; it takes no configuration."""
    base.read_config(config, Config)
    return LogRemediator()
