"""When to start a program again that ended by itself (pure)."""

from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_AFTER_SECONDS = 60.0
"""Who lived this long gets a fresh start: an old failure says nothing about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How often in a row a program has ended too soon."""

    failures: int = 0

    def after_end(self, *, lived_seconds: float) -> "Restarts":
        """The count after another end."""
        return Restarts(failures=1 if lived_seconds >= HEALTHY_AFTER_SECONDS else self.failures + 1)

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next start: doubled each time, up to half a minute."""
        if self.failures == 0:
            return 0.0
        return min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.failures - 1, 16), LONGEST_PAUSE_SECONDS)
