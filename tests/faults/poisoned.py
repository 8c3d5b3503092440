"""A remediator whose code is broken in every way a plug-in's may be, for VIGIL_REMEDIATORS; and what enters its types.

`python -m tests.faults.poisoned`, with the settings of a Vigil, makes an action type `poison-KIND` of each kind.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn

import django

from actions.remediators import base

PLUGIN = {"poison": "tests.faults.poisoned.make"}
MISSING = "poison-of-tomorrow"
"""A kind of remediator that no process here knows."""
GIGABYTE = 2**30
HUNGER = 250_000_000


class Unpicklable(Exception):
    """Cannot be sent from one process to another: its constructor wants what pickle does not know of."""

    def __init__(self, one: object, *, two: object) -> None:
        super().__init__(one)
        self.two = two


def _raise() -> NoReturn:
    raise RuntimeError("poison")


def _raise_unpicklable() -> NoReturn:
    raise Unpicklable(lambda: None, two=open(os.devnull))  # noqa: SIM115  it is meant to be left open


def _leave() -> NoReturn:
    raise SystemExit(3)


def _crash() -> None:
    ctypes.string_at(0)


def _exit() -> NoReturn:
    os._exit(3)


def _spin() -> NoReturn:
    """Whoever interrupts it is not heard, so that only being killed ends it."""
    while True:
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # noqa: S112  the task's soft time limit, for one
            continue


def _swallow_a_gigabyte() -> None:
    _touch(GIGABYTE)


def _run_out_of_memory() -> None:
    """As the kernel's OOM killer does it: RLIMIT_AS alone would only raise MemoryError."""
    try:
        _touch(HUNGER)
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)


def _touch(count: int) -> None:
    held = bytearray(count)
    for place in range(0, count, 4096):
        held[place] = 1


WAYS: Mapping[str, Callable[[], None]] = {
    "raises": _raise,
    "unpicklable": _raise_unpicklable,
    "leaves": _leave,
    "crashes": _crash,
    "exits": _exit,
    "spins": _spin,
    "swallows": _swallow_a_gigabyte,
    "hungers": _run_out_of_memory,
}
DEADLY = ("leaves", "crashes", "exits", "spins", "hungers")
"""What the worker's process does not survive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisoned:
    """Does what its configuration says, and knows of no key afterwards."""

    kind: ClassVar[str] = "poison"

    durable_keys: bool
    way: str

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        """Seldom comes back."""
        WAYS[self.way]()
        return base.Outcome(kind="failed", message="it ate what it was given", first_byte_at_monotonic=time.monotonic())

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """The dispatcher asks this, so here it is harmless."""
        return base.Answer(state="not_found")


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """For the registry."""
    return Poisoned(durable_keys=True, way=str(config["way"]))


def _enter() -> None:
    from actions.models import ActionType, Remediator  # Django is ready only now

    for way in WAYS:
        remediator = Remediator.objects.create(name=f"poison-{way}", kind="poison", config={"way": way})
        ActionType.objects.create(name=f"poison-{way}", remediator=remediator, retry_safety="idempotent_key")
    nobody = Remediator.objects.create(name=MISSING, kind=MISSING)
    ActionType.objects.create(name=MISSING, remediator=nobody)


if __name__ == "__main__":
    django.setup()
    _enter()
