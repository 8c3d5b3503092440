"""Where a running Vigil keeps its files."""

from dataclasses import dataclass
from pathlib import Path

LONGEST_SOCKET_PATH = 100
"""The kernel's limit is 107 bytes; a little is left for what a server appends while it creates one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths under one data directory."""

    data_dir: Path
    scratch_dir: Path | None = None
    """A short temporary directory for the socket, when the data directory's own path is too long for one."""

    @property
    def run_dir(self) -> Path:
        """What is only meaningful while Vigil runs."""
        return self.data_dir / "run"

    @property
    def lock_file(self) -> Path:
        """Held by the runner and by all it started."""
        return self.run_dir / "up.lock"

    @property
    def metrics_dir(self) -> Path:
        """Where web, workers and beat share their counters; emptied at each start."""
        return self.run_dir / "metrics"

    @property
    def signs_dir(self) -> Path:
        """Where workers and dispatcher give signs of life; emptied at each start."""
        return self.run_dir / "signs"

    @property
    def broker_socket(self) -> Path:
        """Where the embedded broker listens."""
        return (self.scratch_dir or self.run_dir) / "valkey.sock"

    @property
    def logs_dir(self) -> Path:
        """One file for each process."""
        return self.data_dir / "logs"

    def log(self, name: str) -> Path:
        """The log file of one process."""
        return self.logs_dir / f"{name}.log"

    def socket_fits(self) -> bool:
        """Whether the socket's path is short enough for the kernel."""
        return len(str(self.broker_socket).encode()) <= LONGEST_SOCKET_PATH
