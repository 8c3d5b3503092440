"""Tag matchers: `=` and `!=` take a glob, `=~` and `!~` a regular expression that must fit the whole value."""

import enum
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import re2

from policies.engine import globs

MOST_PATTERN_CHARACTERS = 128
_MOST_PROGRAM_BYTES = 1 << 20


class TagOperator(enum.StrEnum):
    IS = "="
    IS_NOT = "!="
    FITS = "=~"
    FITS_NOT = "!~"

    @property
    def is_regex(self) -> bool:
        return self in (TagOperator.FITS, TagOperator.FITS_NOT)

    @property
    def negates(self) -> bool:
        return self in (TagOperator.IS_NOT, TagOperator.FITS_NOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMatcher:
    """One demand on one tag; a missing tag counts as the empty text, as it does in Prometheus."""

    name: str
    operator: TagOperator = TagOperator.IS
    pattern: str


def match(matchers: Iterable[TagMatcher], tags: Mapping[str, str]) -> bool:
    """Whether the tags meet every matcher."""
    return all(_holds(matcher, tags.get(matcher.name, "")) for matcher in matchers)


def problem(matcher: TagMatcher) -> str | None:
    """What makes this matcher unusable, as a sentence; None when it is fine."""
    if not matcher.pattern:
        return 'must not be blank; a tag that is missing is `!= "?*"`'
    if not matcher.operator.is_regex:
        return globs.problem(matcher.pattern)
    if len(matcher.pattern) > MOST_PATTERN_CHARACTERS:
        return f"a pattern has at most {MOST_PATTERN_CHARACTERS} characters"
    if not matcher.pattern.isprintable():
        return "a pattern has printable characters only"
    try:
        _full_match(matcher.pattern)
    except re2.error as error:
        return f"this is no regular expression of the RE2 kind: {_explanation(error)}"
    return None


def _holds(matcher: TagMatcher, value: str) -> bool:
    regex, pattern = matcher.operator.is_regex, matcher.pattern
    fits = _full_match(pattern)(value) if regex else globs.matches(pattern, value)
    return fits is not matcher.operator.negates


@functools.lru_cache(maxsize=256)
def _full_match(pattern: str) -> Callable[[str], bool]:
    """RE2 takes time in proportion to the text, whatever the pattern; Python's own `re` may not end."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_PROGRAM_BYTES
    compiled = re2.compile(pattern, options=options)
    return lambda text: compiled.fullmatch(text) is not None


def _explanation(error: Exception) -> str:
    detail = error.args[0] if error.args else ""
    return detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
