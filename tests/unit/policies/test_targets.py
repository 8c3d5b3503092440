"""Which targets a pattern means, and which patterns are refused."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import globs, targets


@pytest.mark.parametrize(
    ("pattern", "target", "expected"),
    [
        ("*", "anything", True),
        ("all", "anything", True),
        ("web-01", "web-01", True),
        ("web-01", "web-010", False),
        ("web-*", "web-", True),
        ("web-*", "WEB-1", False),
        ("*-01", "web-01", True),
        ("web-??", "web-01", True),
        ("web-??", "web-1", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*a", "a", False),
        ("*.example.com", "db.example.com", True),
        ("[ab]", "a", False),
    ],
)
def test_matching(pattern: str, target: str, expected: bool) -> None:
    assert targets.matches(pattern, target) is expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=12))
def test_it_agrees_with_the_shells_rules(pattern: str, text: str) -> None:
    assert globs.matches(pattern, text) is fnmatch.fnmatchcase(text, pattern)


@pytest.mark.parametrize("pattern", ["*", "all", "web-01", "web-*", "db.*.internal", "db.*", "*-?", "a*b*c*d*", "ä-*"])
def test_patterns_people_mean(pattern: str) -> None:
    targets.check(pattern)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("", "name a target"),
        ("  ", "name a target"),
        (None, "name a target"),
        ([], "name a target"),
        (5, "name a target"),
        (".*", "regular expression"),
        ("web-.*", "regular expression"),
        ("^web", "regular expression"),
        ("(a+)+$", "regular expression"),
        ("web-[0-9]", "regular expression"),
        ("a|b", "regular expression"),
        ("**", "write `*`"),
        ("web-**", "`**` means nothing"),
        ("?*", "write `*`"),
        ("??", "write `*`"),
        ("*" * 40, "write `*`"),
        ("a*b*c*d*e*f", "at most 4 stars"),
        ("a" * 129, "at most 128"),
        (" web-01", "space"),
        ("web\x00", "printable"),
        ("web\u202e", "printable"),
    ],
)
def test_patterns_that_are_refused_with_a_hint(pattern: object, hint: str) -> None:
    with pytest.raises(targets.UnusablePattern) as caught:
        targets.check(pattern)
    assert hint in str(caught.value)


def test_the_worst_allowed_pattern_is_fast() -> None:
    pattern = "*".join(["a" * 24 + "b"] * 5)
    started = time.perf_counter()
    assert not globs.matches(pattern, "a" * 10_000)
    assert time.perf_counter() - started < 0.5
