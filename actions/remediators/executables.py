"""The allow-list of executables: an operator of the machine names them, nobody else can."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actions.remediators import base


class ExecutableRefused(ValueError):
    """The file is not what the allow-list promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executable:
    """One entry of the allow-list."""

    name: str
    path: str
    sha256: str = ""
    """When given, the file must still have this digest."""

    def verified(self) -> str:
        """The path, or ExecutableRefused: looked at right before each run, since files change."""
        flaw = _flaw(self)
        if flaw:
            raise ExecutableRefused(f"{self.path} {flaw}")
        return self.path


def find(name: str, commands: base.Commands) -> Executable:
    """The entry `name`, or ConfigurationError that lists the names there are."""
    if name not in commands:
        known = ", ".join(sorted(commands)) or "none; set VIGIL_COMMANDS"
        raise base.wrong(path="command", message=f"{name!r} is not in the allow-list VIGIL_COMMANDS. Known: {known}.")
    entry = commands[name]
    fields = entry if isinstance(entry, Mapping) else {"path": entry}
    found = Executable(name=name, path=str(fields.get("path", "")), sha256=str(fields.get("sha256", "")).lower())
    flaw = _flaw(found)
    if flaw:
        raise base.wrong(path="command", message=f"VIGIL_COMMANDS names {found.path!r} for {name!r}, which {flaw}.")
    return found


def _flaw(executable: Executable) -> str:
    path = Path(executable.path)
    if not path.is_absolute():
        return "is not an absolute path"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        return "is not an executable file"
    if mode & stat.S_IWOTH:
        return "may be changed by everyone on this machine; take that right away (chmod o-w)"
    if executable.sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != executable.sha256:
        return "has changed: its SHA-256 is not the one in VIGIL_COMMANDS"
    return ""
