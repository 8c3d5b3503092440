"""The project's text is about the project."""

import ast
import re

import pytest

from tests.contracts import repository

# Put together here, so that this file does not contain what it looks for.
FORBIDDEN = {
    "a path of one particular machine": r"(?<![\w.-])/" + r"work/|/root" + r"/\.|/tmp" + r"/vigil/",
    "the host of a package registry": r"pypi"
    + r"\.org|python"
    + r"hosted\.org|npmjs"
    + r"\.(?:org|com)|deb"
    + r"\.debian\.org",
    "a merge marker": r"^(?:<{7}|>{7}) ",
}
BINARY = {".png", ".ico", ".woff2", ".gz", ".snappy"}
FILES = [path for path in repository.tracked() if path.suffix not in BINARY]


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], flags=re.MULTILINE)
    found = [f"{path}: {match.group()}" for path in FILES if (match := pattern.search(repository.text_of(path)))]
    assert found == [], f"{what} does not belong into the project"


def test_text_files_end_with_one_newline() -> None:
    texts = ((path, repository.text_of(path)) for path in FILES if path.suffix not in {".svg", ".json"})
    assert [str(path) for path, text in texts if text and (not text.endswith("\n") or text.endswith("\n\n"))] == []


def test_nothing_generated_is_tracked() -> None:
    generated = re.compile(r"(^|/)(__pycache__|\.venv|var|node_modules|htmlcov)/|\.pyc$|\.sqlite3$")
    assert [str(path) for path in repository.tracked() if generated.search(path.as_posix())] == []


def test_no_import_hides_in_a_function() -> None:
    """A hidden import is a circle that was not untied, or work at the first call that belongs to the start."""
    assert [str(path) for path in repository.first_party_code() if _hides_an_import(repository.text_of(path))] == []


def _hides_an_import(text: str) -> bool:
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    inside = (node for function in functions for node in ast.walk(function))
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in inside)
