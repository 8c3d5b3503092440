"""What a key that is bound to targets covers: its patterns mean the same wherever it knocks."""

import re
from collections.abc import Iterable, Sequence

from django.db.models import Q

from vigil.kernel.errors import FieldError, Invalid

EVERYTHING = frozenset({"*", "all"})
LONGEST_PATTERN = 128
MOST_STARS = 4


def check(patterns: Iterable[str]) -> list[str]:
    """The patterns as they are kept; Invalid says which one a key cannot be bound to."""
    wanted = list(patterns)
    for pattern in wanted:
        flaw = _flaw(pattern)
        if flaw:
            message = f"{pattern[:40]!r} {flaw}; write a target such as web-01, or a pattern such as web-*."
            errors = [FieldError(path="targets", message=message)]
            raise Invalid(f"A key cannot be bound to that: {message}", errors=errors)
    return wanted


def covers(patterns: Sequence[str], target: str) -> bool:
    """Whether a key with these patterns may speak for the target; no pattern at all covers every one."""
    return not patterns or any(pattern in EVERYTHING or re.fullmatch(_regex(pattern), target) for pattern in patterns)


def among(patterns: Sequence[str]) -> Q:
    """`covers` for rows that have a `target`."""
    if not patterns or EVERYTHING & set(patterns):
        return Q()
    found = Q(pk__in=[])
    for pattern in patterns:
        found |= Q(target__regex=f"^{_regex(pattern)}$") if {"*", "?"} & set(pattern) else Q(target=pattern)
    return found


def _flaw(pattern: str) -> str:
    if not pattern.strip() or pattern != pattern.strip() or not pattern.isprintable():
        return "is blank, or has spaces around it or characters that cannot be printed"
    if len(pattern) > LONGEST_PATTERN or pattern.count("*") > MOST_STARS:
        return f"is longer than {LONGEST_PATTERN} characters or has more than {MOST_STARS} stars"
    if not set(pattern) - {"*", "?"} and pattern not in EVERYTHING:
        return "names nothing"
    return ""


def _regex(pattern: str) -> str:
    """The same for Python and both databases. Stars in a row are one, so that it cannot run wild."""
    squeezed = re.sub(r"\*+", "*", pattern)
    return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in squeezed)
