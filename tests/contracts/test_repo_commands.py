"""Whoever adds a management command tests it and tells of it."""

import re

import pytest

from tests.contracts import repository

UNTESTED = {"simulator_child": "tests start it as people do, through POST /api/v1/simulator/start"}
"""Command and why no test calls it. An entry that is no longer needed fails."""
UNDOCUMENTED = {"simulator_child": "the API starts it; nobody types it"}
"""Command and why no page names it. An entry that is no longer needed fails."""


@pytest.mark.parametrize("command", sorted(repository.commands()))
def test_every_command_is_called_by_a_test(command: str) -> None:
    called = re.search(rf"""["']{command}["']""", repository.tests_code()) is not None
    assert called != (command in UNTESTED), f"write a test that calls {command} (or drop its entry in UNTESTED)"


@pytest.mark.parametrize("command", sorted(repository.commands()))
def test_every_command_is_documented(command: str) -> None:
    told = re.search(rf"manage\.py {command}\b", repository.documentation()) is not None
    assert told != (command in UNDOCUMENTED), f"tell of `manage.py {command}` in docs/ (or drop its entry)"


def test_no_exemption_outlives_its_command() -> None:
    assert not (set(UNTESTED) | set(UNDOCUMENTED)) - repository.commands()


def test_every_command_the_documentation_names_exists() -> None:
    builtin = {"migrate", "check", "makemigrations", "shell", "createsuperuser", "changepassword", "collectstatic"}
    builtin |= {
        "dbshell",
        "dumpdata",
        "loaddata",
        "test",
        "runserver",
        "clearsessions",
        "showmigrations",
        "spectacular",
    }
    builtin |= {"axes_reset", "axes_reset_username"}
    named = set(re.findall(r"manage\.py ([a-z][a-z_]+)", repository.documentation()))
    assert named - builtin - repository.commands() == set()


def test_every_make_verb_the_documentation_names_exists() -> None:
    named = set(re.findall(r"(?:^|`|\$ )make ([a-z]+)", repository.documentation(), flags=re.MULTILINE))
    assert named - repository.make_verbs() == set()


def test_the_readme_shows_the_two_commands() -> None:
    readme = (repository.ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
