"""Series, values and times as the tests of Prometheus rules write them: `cpu{host="a"}`, `0+10x5 _ stale`, `1h30m`."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

MOST_VALUES = 20_000
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LONGEST = timedelta(days=30)
_LENGTH = re.compile(r"(?:[0-9]{1,9}(?:ms|[smhdw]))+")
_PART = re.compile(r"([0-9]+)(ms|[smhdw])")
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[Ii]nf|[Nn]a[Nn]"
_GAP = re.compile(r"_(?:x([0-9]{1,9}))?")
_REPEATED = re.compile(rf"({_NUMBER})(?:x([0-9]{{1,9}}))?")
_CLIMBING = re.compile(rf"({_NUMBER})([-+])((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)x([0-9]{{1,9}})")
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[^{}\s"]+')
_TAG = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^={}\s",]+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*')
_ESCAPED = re.compile(r"\\(.)")

STALE = math.nan
"""The sender says that the series has ended: its last value no longer counts, from this moment on."""


class NotationError(ValueError):
    """The text is not in the notation; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A metric or an event with its tags."""

    name: str
    tags: dict[str, str] = field(default_factory=dict)


def named(text: str) -> Named:
    """Read `cpu_usage{host="web-01", zone="a"}`; the name may stand in double quotes."""
    text = text.strip()
    name = _NAME.match(text)
    if name is None:
        raise NotationError('write a name and its tags: cpu_usage{host="web-01"}')
    return Named(name=_unquoted(name[0]), tags=_tags(text[name.end() :].strip()))


def length(text: str) -> timedelta:
    """Read `0`, `90s`, `5m` or `1h30m`."""
    if text in ("0", "0s"):
        return timedelta(0)
    if _LENGTH.fullmatch(text) is None:
        raise NotationError("write a time as numbers with units: 30s, 5m, 1h30m or 0s")
    found = timedelta(seconds=sum(int(amount) * _UNITS[unit] for amount, unit in _PART.findall(text)))
    if found > _LONGEST:
        raise NotationError("the longest time is 30d")
    return found


def values(text: str) -> tuple[float | None, ...]:
    """One entry for each interval from the start on: a number, NaN for `stale`, None where nothing is sent."""
    found: list[float | None] = []
    for word in text.split():
        found.extend(_expanded(word, room=MOST_VALUES - len(found)))
    return tuple(found)


def _expanded(word: str, *, room: int) -> Iterator[float | None]:
    if "{{" in word:
        raise NotationError("native histograms are not understood; send the number that the policy compares")
    if word == "stale":
        return iter((STALE,))
    gap = _GAP.fullmatch(word)
    if gap is not None:
        return iter((None,) * _fitting(int(gap[1] or 1), word, room))
    climbing = _CLIMBING.fullmatch(word)
    if climbing is not None:
        return _climb(climbing, word, room)
    repeated = _REPEATED.fullmatch(word)
    if repeated is None:
        raise NotationError(f"`{word[:40]}` is no value; write numbers, `a+bxn`, `a-bxn`, `axn`, `_`, `_xn` or `stale`")
    times = 1 if repeated[2] is None else int(repeated[2]) + 1
    return iter((float(repeated[1]),) * _fitting(times, word, room))


def _climb(found: re.Match[str], word: str, room: int) -> Iterator[float]:
    """`1+2x3` is 1 3 5 7: the first value, and three more."""
    start, step = float(found[1]), float(found[3]) * (-1 if found[2] == "-" else 1)
    return (start + step * place for place in range(_fitting(int(found[4]) + 1, word, room)))


def _fitting(count: int, word: str, room: int) -> int:
    if count > room:
        raise NotationError(f"`{word[:40]}` makes the series longer than {MOST_VALUES:,} values")
    return count


def _tags(text: str) -> dict[str, str]:
    if not text:
        return {}
    if not (text.startswith("{") and text.endswith("}")):
        raise NotationError(f'`{text[:40]}` are no tags; write {{host="web-01", zone="a"}}')
    inside, found = text[1:-1], {}
    place = 0
    while inside[place:].strip():
        tag = _TAG.match(inside, place)
        if tag is None:
            raise NotationError(f'`{inside[place:].strip()[:40]}` is no tag; write host="web-01"')
        name = _unquoted(tag[1])
        if name in found:
            raise NotationError(f"the tag {name} stands twice")
        found[name] = _ESCAPED.sub(r"\1", tag[2])
        place = tag.end()
        if inside[place:].strip() and inside[place] != ",":
            raise NotationError(f"a comma is missing before `{inside[place:][:40]}`")
        place += 1
    return found


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
