"""A name that nothing reads is found, and what was meant is guessed only where it is likely."""

import os

import pytest

from tests.contracts import repository
from tests.contracts.test_repo_settings import NOT_FOR_PEOPLE, in_example
from vigil import environment
from vigil.runner import spelling

KNOWN = {"VIGIL_RETENTION_DAYS", "VIGIL_DATA_DIR", "REMEDIATOR_URL", "DATABASE_URL"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("VIGIL_RETENTION_DAYS", []),
        ("VIGIL_RETENTON_DAYS", [("VIGIL_RETENTON_DAYS", "VIGIL_RETENTION_DAYS")]),
        ("vigil_data_dir", [("vigil_data_dir", "VIGIL_DATA_DIR")]),
        ("VIGIL_HORSE", [("VIGIL_HORSE", "")]),
        ("VIGIL_TESTING", []),
        ("REMEDIATOR_ULR", []),
        ("DATABASE_URI", []),
        ("HOME", []),
    ],
)
def test_of_the_environment_only_what_begins_like_ours_is_ours(name: str, found: list[tuple[str, str]]) -> None:
    assert list(spelling.unread([name], known=KNOWN, in_our_file=[])) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("REMEDIATOR_ULR", [("REMEDIATOR_ULR", "REMEDIATOR_URL")]),
        ("AWS_REGION", []),
        ("POSTGRES_PASSWORD", []),
    ],
)
def test_in_our_own_file_slips_of_any_setting_are_found(name: str, found: list[tuple[str, str]]) -> None:
    assert list(spelling.unread([name], known=KNOWN, in_our_file=[name])) == found


def test_every_name_that_anything_of_ours_reads_is_known() -> None:
    assert in_example() <= environment.asked | spelling.NOT_SETTINGS
    assert set(NOT_FOR_PEOPLE) <= spelling.NOT_SETTINGS
    assert list(spelling.unread(os.environ, known=environment.asked, in_our_file=[])) == []
    assert spelling.NOT_SETTINGS.isdisjoint(environment.asked)


def test_the_example_is_read_as_a_file_of_settings() -> None:
    text = (repository.ROOT / ".env.example").read_text()
    assert {"VIGIL_DATA_DIR", "POSTGRES_PASSWORD"} <= set(spelling.names_in(text))
    assert "VIGIL_ENV_FILE" not in spelling.names_in(text), "it is commented out"
