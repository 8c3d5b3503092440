"""The repository as these tests see it."""

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("vigil", "metrics", "policies", "actions", "simulator")


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file under version control (or about to be), relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def text_of(path: Path) -> str:
    """A tracked file's text; "" for one that is not text."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return ""


def first_party_code() -> Iterator[Path]:
    """The Python files of Vigil's packages."""
    return (path for path in tracked() if path.suffix == ".py" and path.parts[0] in PACKAGES)


def documentation() -> str:
    """What a person reads: the README, docs/ and what else is written in Markdown."""
    return "\n".join(text_of(path) for path in tracked() if path.suffix == ".md")


def tests_code() -> str:
    """Everything under tests/ but these tests about the repository."""
    chosen = (path for path in tracked() if path.parts[0] == "tests" and not path.name.startswith("test_repo_"))
    return "\n".join(text_of(path) for path in chosen if path.suffix == ".py")


def commands() -> frozenset[str]:
    """The names of our own management commands."""
    pattern = re.compile(r"^(?:\w+/)+management/commands/([a-z]\w*)\.py$")
    found = (pattern.match(path.as_posix()) for path in first_party_code())
    return frozenset(match.group(1) for match in found if match)


def make_verbs() -> frozenset[str]:
    """The Makefile's targets."""
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
