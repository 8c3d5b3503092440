"""Durations as people write them: a whole number and one unit, `30s`, `5m`, `2h`, `1d`."""

from datetime import timedelta

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LONGEST = timedelta(days=30)
_LARGEST_FIRST = tuple(reversed(UNITS.items()))
_MOST_DIGITS = 9


def parse(text: str) -> timedelta:
    """Read `5m`; ValueError says what is wrong in a sentence. Zero is refused, and so is anything over 30 days."""
    digits, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (digits.isascii() and digits.isdigit()):
        raise ValueError("write a duration as a whole number and a unit: 30s, 5m, 2h or 1d")
    if len(digits) > _MOST_DIGITS or int(digits) * UNITS[unit] > LONGEST.total_seconds():
        raise ValueError("the longest duration is 30d")
    if int(digits) == 0:
        raise ValueError("a duration must be longer than zero")
    return timedelta(seconds=int(digits) * UNITS[unit])


def text(duration: timedelta) -> str:
    """The shortest spelling that parses back: 90 s is `90s`, 120 s is `2m`."""
    seconds = int(duration.total_seconds())
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
