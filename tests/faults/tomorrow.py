"""A remediator of a kind that only those know who were told of it: what the next version of a plug-in brings.

`python -m tests.faults.tomorrow`, with the settings of a Vigil, makes its action type.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import django

from actions.remediators import base

KIND = "tomorrow"
PLUGIN = {KIND: "tests.faults.tomorrow.make"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfTomorrow:
    """Always succeeds."""

    kind: ClassVar[str] = KIND

    durable_keys: bool = True

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        """At once."""
        return base.Outcome(kind="succeeded", first_byte_at_monotonic=time.monotonic())

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """It always succeeded."""
        return base.Answer(state="done")


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """For the registry."""
    return OfTomorrow()


def _enter() -> None:
    from actions.models import ActionType, Remediator  # Django is ready only now

    ActionType.objects.create(name=KIND, remediator=Remediator.objects.create(name=KIND, kind=KIND))


if __name__ == "__main__":
    django.setup()
    _enter()
