"""Durations as people write them: a whole number and one unit, `30s`, `5m`, `2h`, `1d`."""

import re
from datetime import timedelta

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LONGEST = timedelta(days=30)
_LARGEST_FIRST = tuple(reversed(UNITS.items()))
_MOST_DIGITS = 9
_OTHER_UNITS = {
    **UNITS,
    "w": 604_800,
    **dict.fromkeys(("sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), 3_600),
    **dict.fromkeys(("day", "days"), 86_400),
    **dict.fromkeys(("week", "weeks"), 604_800),
}
"""Units that are understood well enough to say what to write instead."""
_OTHER = re.compile(r"(?:[0-9]{1,6}(?:\.[0-9]{1,3})?[a-z]{1,7}){1,4}")
_PART = re.compile(r"([0-9.]+)([a-z]+)")


def parse(text: str) -> timedelta:
    """Read `5m`; ValueError says what is wrong in a sentence. Zero is refused, and so is anything over 30 days."""
    digits, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (digits.isascii() and digits.isdigit()):
        raise ValueError(advice(text))
    if len(digits) > _MOST_DIGITS or int(digits) * UNITS[unit] > LONGEST.total_seconds():
        raise ValueError("the longest duration is 30d")
    if int(digits) == 0:
        raise ValueError("a duration must be longer than zero")
    return timedelta(seconds=int(digits) * UNITS[unit])


def advice(text: str) -> str:
    """How to write a duration, and how this one if it can be guessed."""
    length = _guessed(text.replace(" ", "").lower())
    near = "" if length is None else f"; did you mean `{_spelt(length)}`?"
    return f"write a duration as a whole number and a unit: 30s, 5m, 2h or 1d{near}"


def is_unit(word: str) -> bool:
    """Does this word, behind a number, make a length of time?"""
    return word.lower() in _OTHER_UNITS


def text(duration: timedelta) -> str:
    """The shortest spelling that parses back: 90 s is `90s`, 120 s is `2m`."""
    return _spelt(int(duration.total_seconds()))


def _guessed(text: str) -> int | None:
    """The seconds that `2min`, `1h30m`, `1.5h` or `1w` means; None unless whole and not too long."""
    if _OTHER.fullmatch(text) is None:
        return None
    seconds = 0.0
    for amount, unit in _PART.findall(text):
        if unit not in _OTHER_UNITS:
            return None
        seconds += float(amount) * _OTHER_UNITS[unit]
    whole = seconds.is_integer() and 0 < seconds <= LONGEST.total_seconds()
    return int(seconds) if whole else None


def _spelt(seconds: int) -> str:
    for unit, size in _LARGEST_FIRST:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def spell(duration: timedelta) -> str:
    """A measured length of time for reading, its two largest units: `3m12s`, `2d4h`."""
    rest = max(0, int(duration.total_seconds()))
    parts: list[str] = []
    for unit, size in _LARGEST_FIRST:
        amount, rest = divmod(rest, size)
        if amount or parts:
            parts.append(f"{amount}{unit}" if amount else "")
        if len(parts) == 2:
            break
    return "".join(parts) or "0s"
