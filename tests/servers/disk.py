"""A disk of a few megabytes that a test fills and frees: a file system in memory, where mounting one is allowed."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoDisk(Exception):
    """This user may not mount anything here."""


class Disk:
    """A mounted file system."""

    def __init__(self, path: Path) -> None:
        """`path` is where it is mounted."""
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no room, not for a single byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(*, megabytes: int) -> Iterator[Disk]:
    """A disk that is gone afterwards; NoDisk where mounting is not allowed."""
    path = Path(tempfile.mkdtemp(prefix="vigil-disk-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "vigil-disk", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            raise NoDisk(f"a file system in memory cannot be mounted: {done.stderr.strip()}")
        try:
            yield Disk(path)
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=False, timeout=20)
    except FileNotFoundError as error:
        raise NoDisk("there is no mount command") from error
    finally:
        path.rmdir()
