"""What ships imports nothing that only a developer's environment has."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ("vigil", "metrics", "policies", "actions", "simulator")
FOR_THE_TYPE_CHECKER = {"_typeshed"}


def _imported() -> Iterator[tuple[str, Path]]:
    """Each imported package by its first name, with a file that imports it."""
    for file in [ROOT / "manage.py", *(file for app in SHIPPED for file in (ROOT / app).rglob("*.py"))]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((name.name.partition(".")[0], file) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0], file


def _installed_to_run() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {_normal(match[1]) for line in lines if (match := re.match(r"([A-Za-z0-9][\w.-]*)", line))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_ships_runs_on_the_requirements_alone() -> None:
    known = {*sys.stdlib_module_names, *SHIPPED, *FOR_THE_TYPE_CHECKER}
    brought, installed = packages_distributions(), _installed_to_run()
    missing = {
        f"{package} ({file.relative_to(ROOT)})"
        for package, file in _imported()
        if package not in known and not {_normal(name) for name in brought.get(package, [])} & installed
    }
    assert missing == set()
