"""The children's log files: opened for appending, and kept from filling the disk."""

import logging
import shutil
from pathlib import Path
from typing import BinaryIO

LARGEST_BYTES = 20 * 1024 * 1024
KEPT = 3
"""Older copies beside the file in use."""


def open_for_child(path: Path) -> BinaryIO:
    """Open for appending: a child that appends goes on correctly when the file is cut under it."""
    return path.open("ab", buffering=0)


def rotate(path: Path, *, largest_bytes: int = LARGEST_BYTES, kept: int = KEPT) -> bool:
    """Move a large file's text to `NAME.1` (and that to `NAME.2` ...); True when it did.

    Copy and cut, not rename: the child keeps its file open and would go on writing into the renamed one.
    """
    if not path.exists() or path.stat().st_size <= largest_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        older = _copy_name(path, number)
        if older.exists():
            older.replace(_copy_name(path, number + 1))
    shutil.copyfile(path, _copy_name(path, 1))
    with path.open("r+b") as file:
        file.truncate(0)
    return True


def keep_own(path: Path) -> None:
    """From now on this process's own log lines go to a file: the terminal is for people."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(path.open("a"))


def tail(path: Path, *, lines: int = 5) -> list[str]:
    """The last lines of a log, for the terminal."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def _copy_name(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
