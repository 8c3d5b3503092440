"""Migrations stay runnable on their own, years from now."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.contracts import repository

MIGRATIONS = sorted(
    path for path in repository.first_party_code() if path.parent.name == "migrations" and path.name != "__init__.py"
)


def test_there_are_migrations() -> None:
    assert len(MIGRATIONS) > 4


def test_no_number_is_used_twice_in_an_app() -> None:
    numbers = Counter((path.parent.parent, path.name[:4]) for path in MIGRATIONS)
    assert [key for key, count in numbers.items() if count > 1] == []


@pytest.mark.parametrize("path", MIGRATIONS, ids=str)
def test_a_migration_says_in_its_name_what_it_does(path: Path) -> None:
    assert path.name[:4].isdigit(), "number it"
    assert "_auto_" not in path.name, "name it after what it does: makemigrations --name"


@pytest.mark.parametrize("path", MIGRATIONS, ids=str)
def test_a_migration_imports_nothing_of_ours(path: Path) -> None:
    # Code moves on and migrations do not: what they need of ours, they carry with them.
    tree = ast.parse(repository.text_of(path))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in imported if name.split(".")[0] in repository.PACKAGES] == []
