"""Guess which known word a misspelt one was meant to be."""

import difflib
from collections.abc import Iterable

_MOST_CHARACTERS = 64
_LIKENESS = 0.6


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, or None when none is near."""
    if len(word) > _MOST_CHARACTERS:
        return None
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=_LIKENESS)
    return found[0] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` to hang on an error, or nothing."""
    found = closest(word, known)
    return "" if found is None else f"; did you mean `{found}`?"
