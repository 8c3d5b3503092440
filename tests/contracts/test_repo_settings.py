"""`.env.example` and the code name the same settings."""

import ast
import re
from collections.abc import Iterator

from tests.contracts import repository

READERS = {
    *("text", "flag", "whole", "names", "table", "commands", "choice"),
    *("data_dir", "env_file", "redis_url", "addresses", "networks", "origins"),
}
"""The functions of vigil/environment.py that take the name of a setting."""

NOT_FOR_PEOPLE = {
    "DJANGO_SETTINGS_MODULE": "Django's own, the same everywhere",
    "PROMETHEUS_MULTIPROC_DIR": "set by `manage.py up` for the processes it starts",
    "VIGIL_DEMO_PREPARED": "set by `manage.py up --demo` for itself",
    "VIGIL_KEY": "an argument in disguise: `manage.py simulate --help` tells of it",
    "VIGIL_SIMULATOR_KEY": "set by `manage.py up --demo` for the simulator",
    "VIGIL_TESTING": "switches fail points on, for tests alone",
    "VIGIL_FAILPOINT": "which fail points, for tests alone",
}
"""Read from the environment, but not settings. An entry that nothing reads any more fails."""


def read_by_code() -> set[str]:
    return {name for path in repository.first_party_code() for name in _names(ast.parse(repository.text_of(path)))}


def _names(tree: ast.AST) -> Iterator[str]:
    """Names given to a reader, to os.environ or to os.getenv."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and node.args
            and _called(node) in READERS | {"get", "getenv", "setdefault", "pop"}
        ):
            yield from _setting(node.args[0])
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield from _setting(node.slice)
        elif isinstance(node, ast.Compare) and any("os.environ" in ast.unparse(side) for side in node.comparators):
            yield from _setting(node.left)


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        generic = function.attr in {"get", "setdefault", "pop"}
        return "" if generic and ast.unparse(function.value) not in {"os.environ", "environ"} else function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _setting(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]+", node.value):
        yield node.value


def in_example() -> set[str]:
    example = (repository.ROOT / ".env.example").read_text()
    return set(re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))


def test_every_setting_the_code_reads_is_explained() -> None:
    assert read_by_code() - in_example() - set(NOT_FOR_PEOPLE) == set()


def test_every_setting_explained_is_read() -> None:
    # What only the containers read is explained in the same file, for the same person.
    compose = "\n".join(repository.text_of(path) for path in repository.tracked() if path.suffix in {".yml", ".yaml"})
    elsewhere = set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)", compose))
    assert in_example() - read_by_code() - elsewhere == set()


def test_no_exemption_is_stale() -> None:
    assert set(NOT_FOR_PEOPLE) - read_by_code() == set()
    assert set(NOT_FOR_PEOPLE) & in_example() == set()


def test_every_setting_has_a_line_that_explains_it() -> None:
    unexplained = []
    for paragraph in (repository.ROOT / ".env.example").read_text().split("\n\n"):
        explained = any(line.startswith("# ") for line in paragraph.splitlines())
        unexplained += [] if explained else re.findall(r"^#?([A-Z][A-Z0-9_]+)=", paragraph, flags=re.MULTILINE)
    # These two have the headline above them, which says all there is to say.
    assert set(unexplained) - {"POSTGRES_PASSWORD", "GRAFANA_PASSWORD"} == set()
