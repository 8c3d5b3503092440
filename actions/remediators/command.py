"""A remediator that runs one allow-listed executable on this machine, without a shell."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from actions.remediators import base, executables, payload, process, text

TARGET = "@target"
"""In `arguments`, stands for the action's target."""

LONGEST_ARGUMENT = 1024
ARGUMENT = re.compile(r"[A-Za-z0-9_./:,@%+=][A-Za-z0-9_./:,@%+=-]*")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator writes."""

    command: str
    """A name from the allow-list VIGIL_COMMANDS."""
    arguments: dict[str, list[str]] = {}
    """For each action type, which parameters become arguments, in this order; "@target" is the target."""


class ArgumentRefused(ValueError):
    """A value that cannot be handed to a command safely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRemediator:
    """Exit code 0 succeeded, any other failed, no end in time is ambiguous."""

    kind: ClassVar[str] = "command"
    durable_keys: ClassVar[bool] = False  # nobody remembers what an earlier run did

    executable: executables.Executable
    arguments: Mapping[str, Sequence[str]]

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        """Run it with the arguments of the action's type, and the whole call as JSON on its standard input."""
        try:
            values = [_argument(call, name) for name in self.arguments.get(call.kind, ())]
            path = self.executable.verified()
        except (ArgumentRefused, executables.ExecutableRefused) as refused:
            return base.Outcome(kind="failed", error_class="not_started", message=f"Nothing was started: {refused}.")
        if time.monotonic() > call.begin_by_monotonic:
            message = "Nothing was started: the time to begin was over."
            return base.Outcome(kind="failed", retryable=True, error_class="not_started", message=message)
        run = process.run(argv=[path, "--", *values], given=payload.of(call), deadline_monotonic=deadline_monotonic)
        return _outcome(run, name=self.executable.name)

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """A command has no memory."""
        return base.Answer(state="cannot_say", message="A command cannot be asked what became of an earlier run.")


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """The remediator that runs `config["command"]`."""
    read = base.read_config(config, Config)
    return CommandRemediator(executable=executables.find(read.command, commands), arguments=read.arguments)


def _argument(call: base.Call, name: str) -> str:
    if name != TARGET and name not in call.params:
        raise ArgumentRefused(f"the parameter {name!r} is missing")
    value = call.target if name == TARGET else call.params[name]
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ArgumentRefused(f"{name!r} is neither text nor a number")
    written = str(value)
    if len(written) > LONGEST_ARGUMENT or not ARGUMENT.fullmatch(written) or ".." in written.split("/"):
        shown = text.excerpt(written, limit_bytes=80)
        raise ArgumentRefused(
            f"{name!r} is {shown!r}; an argument is letters, digits and _./:,@%+=- only, "
            "does not begin with - and has no .. in a path"
        )
    return written


def _outcome(run: process.Run, *, name: str) -> base.Outcome:
    excerpt = text.excerpt(run.output)
    if run.began_at is None:
        return base.Outcome(
            kind="failed", retryable=True, error_class="not_started", message=f"{name} did not start: {run.trouble}."
        )
    if run.exit_code is None:
        return base.Outcome(
            kind="ambiguous",
            error_class="timeout" if run.timed_out else "killed",
            message=f"{name} {run.trouble}; what it did until then is not known.",
            excerpt=excerpt,
            first_byte_at_monotonic=run.began_at,
        )
    succeeded = run.exit_code == 0
    how = f"ended with exit code {run.exit_code}" if run.exit_code >= 0 else f"was ended by signal {-run.exit_code}"
    return base.Outcome(
        kind="succeeded" if succeeded else "failed",
        error_class="" if succeeded else "exit_code",
        message=f"{name} {how}.",
        details={"exit_code": run.exit_code},
        excerpt=excerpt,
        first_byte_at_monotonic=run.began_at,
    )
