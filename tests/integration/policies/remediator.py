"""A remediator for tests: remembers every call and answers what the test laid ready, else success."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from actions.remediators import base

calls: list[base.Call] = []
outcomes: list[base.Outcome] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRemediator:
    kind: ClassVar[str] = "fake"
    durable_keys: ClassVar[bool] = True

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        calls.append(call)
        return outcomes.pop(0) if outcomes else base.Outcome(kind="succeeded", message="Done.")

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        return base.Answer(state="not_found")


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    return FakeRemediator()
