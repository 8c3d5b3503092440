"""Processor time and memory of process trees, from /proc: what a busy machine does not change."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import descendants

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """What the named trees of processes use; each name has a function that tells the ids of its roots."""

    def __init__(self, roots: dict[str, Callable[[], list[int]]]) -> None:
        """Nothing is measured yet."""
        self._roots = roots

    @contextmanager
    def measured(self, children: str) -> Iterator[dict[str, float]]:
        """Processor seconds by name, filled in at the end; `children` names what this process starts and awaits."""
        spent: dict[str, float] = {}
        before = {name: _seconds(roots()) for name, roots in self._roots.items()}
        own = _awaited()
        yield spent
        for name, roots in self._roots.items():
            spent[name] = _seconds(roots()) - before[name]
        spent[children] = _awaited() - own

    def megabytes(self) -> dict[str, float]:
        """Resident memory by name; what forks share counts once for each."""
        return {name: sum(map(_megabytes, _whole(roots()))) for name, roots in self._roots.items()}


def _awaited() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _whole(roots: list[int]) -> set[int]:
    return set(roots).union(*map(descendants, roots))


def _seconds(roots: list[int]) -> float:
    return sum(map(_used, _whole(roots)))


def _used(pid: int) -> float:
    """User and system time of a process and of its children that ended, as backends of a database do."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def _megabytes(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
    except OSError:
        return 0.0
