"""When silence is no longer excused (pure): told apart from being busy, and from trouble elsewhere."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of the watched one at one moment."""

    at: float
    """Monotonic seconds."""
    moved: int
    """Any number that changes whenever it does what it is there for."""
    excused: bool = False
    """It cannot move, and it is not its fault: the broker does not answer."""
    full: bool = False
    """All its hands are full: it may not move before a task ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is remembered between looks. Make one with `begin`."""

    moved: int
    moved_at: float
    looked_at: float
    silent_since: float
    """Since when nothing excuses that it does not move."""
    patience_seconds: float
    task_seconds: float = 0.0
    """How long a task may last at most; full hands excuse nothing any longer than that."""

    @property
    def is_over(self) -> bool:
        """Whether it was silent for too long, as of the last look."""
        return self.looked_at - self.silent_since > self.patience_seconds

    @property
    def silent_seconds(self) -> float:
        """How long it was silent without excuse, as of the last look."""
        return self.looked_at - self.silent_since

    def after(self, look: Look) -> "Watch":
        """The memory after another look. Who looks late has slept, and so may the watched one have."""
        seen = replace(self, moved=look.moved, looked_at=look.at)
        slept = look.at - self.looked_at > self.patience_seconds / 2
        if look.moved != self.moved or look.excused or slept:
            return replace(seen, moved_at=look.at, silent_since=look.at)
        if look.full and look.at - self.moved_at <= self.task_seconds:
            return replace(seen, silent_since=look.at)
        return seen


def begin(*, at: float, moved: int, patience_seconds: float, task_seconds: float = 0.0) -> Watch:
    """Watch from now on."""
    return Watch(
        moved=moved,
        moved_at=at,
        looked_at=at,
        silent_since=at,
        patience_seconds=patience_seconds,
        task_seconds=task_seconds,
    )
