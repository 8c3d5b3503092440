"""The sieve finds what asking every policy would find."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import sieve
from policies.engine.bounds import BandBound, Bound, Threshold
from policies.engine.conditions import Band, Comparison

# Few different numbers: values on a threshold are what goes wrong.
NUMBERS = st.sampled_from([-1e308, -2.5, -1.0, -0.0, 0.0, 1.0, 1.5, 2.0, 90.0, 1e308])
THRESHOLDS = st.builds(
    Threshold,
    comparison=st.sampled_from(list(Comparison)),
    threshold=NUMBERS,
    recover=st.none() | NUMBERS,
)
BANDS = st.builds(lambda low, high: BandBound(band=Band(low=min(low, high), high=max(low, high))), NUMBERS, NUMBERS)
LINES = st.lists(st.none() | THRESHOLDS | BANDS, max_size=12)


@given(lines=LINES, value=NUMBERS)
def test_it_finds_those_whose_line_is_crossed_and_those_without_one(lines: list[Bound | None], value: float) -> None:
    found = sieve.sieve(enumerate(lines)).troubled(value)
    assert sorted(found) == [n for n, line in enumerate(lines) if line is None or line.broken_by(value)]


def line(comparison: Comparison, threshold: float = 90.0) -> Threshold:
    return Threshold(comparison=comparison, threshold=threshold)


@pytest.mark.parametrize(
    ("comparison", "troubled_at"),
    [
        (Comparison.EXCEEDS, [91.0]),
        (Comparison.AT_LEAST, [90.0, 91.0]),
        (Comparison.BELOW, [89.0]),
        (Comparison.AT_MOST, [89.0, 90.0]),
        (Comparison.EQUALS, [90.0]),
        (Comparison.NOT_EQUALS, [89.0, 91.0]),
    ],
)
def test_a_value_on_the_threshold(comparison: Comparison, troubled_at: list[float]) -> None:
    one = sieve.sieve([("it", line(comparison))])
    assert [value for value in (89.0, 90.0, 91.0) if one.troubled(value)] == troubled_at


def test_only_members_with_a_line_can_be_cleared() -> None:
    mixed = sieve.sieve([("plain", line(Comparison.EXCEEDS)), ("avg over a window", None)])
    assert (mixed.members, mixed.plain) == (("plain", "avg over a window"), 1)


def test_each_key_has_a_sieve_of_its_own() -> None:
    kinds = sieve.grouped([("web-*", 1, None), ("db-*", 2, None), ("web-*", 3, None)])
    assert {key: one.members for key, one in kinds.items()} == {"web-*": (1, 3), "db-*": (2,)}
