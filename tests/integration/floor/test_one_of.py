"""A condition with one parameter finds what a list of them would."""

import pytest
from django.db import connection

from vigil.kernel.database import one_of

pytestmark = pytest.mark.django_db

AWKWARD = ["", "web-01", "a,b", "{x}", 'say "hi"', "back\\slash", "it's", "%s", "NULL", "null", "\x1f", "a\x1fb", "ü-✓"]


def among(kept: list[str] | list[int], values: list[str] | list[int]) -> list[object]:
    """Those of `kept`, stored in a table, that are among `values`."""
    kind = "bigint" if isinstance(kept[0], int) else "text"
    where, parameter = one_of("it", values)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE kept (it {kind})")
        try:
            cursor.executemany("INSERT INTO kept VALUES (%s)", [(one,) for one in kept])
            cursor.execute(f"SELECT it FROM kept WHERE {where} ORDER BY it", [parameter])  # noqa: S608
            return [one for (one,) in cursor.fetchall()]
        finally:
            cursor.execute("DROP TABLE kept")


@pytest.mark.parametrize("value", AWKWARD)
def test_a_single_string_finds_itself_alone(value: str) -> None:
    assert among(AWKWARD, [value]) == [value]


def test_many_strings_find_themselves() -> None:
    assert set(among(AWKWARD, AWKWARD[1:])) == set(AWKWARD[1:])
    without = [value for value in AWKWARD if "\x1f" not in value]
    assert set(among(AWKWARD, without)) == set(without)


def test_numbers() -> None:
    assert among([1, 2, 2**62], [2, 2**62, 7]) == [2, 2**62]


@pytest.mark.parametrize("kept", [AWKWARD, [1, 2]])
def test_nothing_finds_nothing(kept: list[str] | list[int]) -> None:
    assert among(kept, []) == []
