"""Durations, numbers and tag patterns as text."""

import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import durations, numerals, suggestions, tags
from policies.engine.tags import TagMatcher, TagOperator

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("90s", 90)])
def test_durations(text: str, seconds: int) -> None:
    assert durations.parse(text) == timedelta(seconds=seconds)
    assert durations.text(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "-5m",
        "+5m",
        "0s",
        "1.5h",
        "5 m",
        "PT5M",
        "5M",
        "1h30m",
        "31d",
        "1e9s",
        "9" * 5_000 + "s",
        "٣s",
        "²s",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2min", "2m"),
        ("5 M", "5m"),
        ("2 hours", "2h"),
        ("5M", "5m"),
        ("1h30m", "90m"),
        ("1.5h", "90m"),
        ("2weeks", "14d"),
        ("5w", None),
    ],
)
def test_what_was_meant_by_another_spelling(text: str, meant: str | None) -> None:
    assert durations.advice(text).partition("; did you mean ")[2] == (f"`{meant}`?" if meant else "")


@given(st.integers(1, 2_592_000))
def test_every_duration_reads_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert durations.parse(durations.text(duration)) == duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (5, "5s"), (60, "1m"), (192, "3m12s"), (3600, "1h"), (3605, "1h"), (187_200, "2d4h"), (-5, "0s")],
)
def test_measured_lengths_are_said_in_two_units(seconds: int, said: str) -> None:
    assert durations.spell(timedelta(seconds=seconds)) == said


@given(finite)
def test_an_exact_number_reads_back(value: float) -> None:
    assert float(numerals.exact(value)) == value


@given(finite, finite)
def test_a_shown_number_keeps_its_order_to_the_threshold(value: float, other: float) -> None:
    shown = float(numerals.shown(value, other))
    assert (shown > other, shown < other) == (value > other, value < other)


@pytest.mark.parametrize(
    ("value", "text"),
    [(90.0, "90"), (93.4, "93.4"), (0.1 + 0.2, "0.3"), (1e20, "1e+20"), (1234567.891, "1234567.89"), (-0.0, "0")],
)
def test_numbers_are_shown_short(value: float, text: str) -> None:
    assert numerals.shown(value) == text


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "([a-z]+)*!"])
def test_no_regular_expression_can_stall_the_engine(pattern: str) -> None:
    matcher = TagMatcher(name="host", operator=TagOperator.FITS, pattern=pattern)
    started = time.perf_counter()
    tags.match([matcher], {"host": "a" * 10_000 + "!?"})
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("pattern", ["(?R)", r"(a)\1", "(?<=a)b", "(a", "a" * 129, "a{1000}{1000}", "[z-a]", "", "a\n"])
def test_patterns_re2_refuses_are_explained(pattern: str) -> None:
    assert tags.problem(TagMatcher(name="host", operator=TagOperator.FITS, pattern=pattern))


@pytest.mark.parametrize("pattern", ["a*b*c*d*e*f", "**", "", "a\x00", "a" * 129])
def test_globs_that_are_refused_are_explained(pattern: str) -> None:
    assert tags.problem(TagMatcher(name="host", pattern=pattern))


def test_a_misspelt_word_is_guessed_only_when_near() -> None:
    assert suggestions.closest("metric_exceed", ["metric_exceeds", "metric_below"]) == "metric_exceeds"
    assert suggestions.closest("zzz", ["metric_exceeds"]) is None
    assert suggestions.closest("a" * 10_000, ["aaaa"]) is None
