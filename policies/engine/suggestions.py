"""Guess which known word a misspelt one was meant to be."""

import difflib
from collections.abc import Iterable

_MOST_CHARACTERS = 64
_LIKENESS, _LIKENESS_OF_LONG = 0.6, 0.75
_SHORT = 4
"""In a word of four letters one that is wrong, or two that are swapped, is much already."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, or None when none is near."""
    if len(word) > _MOST_CHARACTERS:
        return None
    likeness = _LIKENESS if len(word) <= _SHORT else _LIKENESS_OF_LONG
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=likeness)
    return found[0] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` to hang on an error, or nothing."""
    found = closest(word, known)
    return "" if found is None else f"; did you mean `{found}`?"
