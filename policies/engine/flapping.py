"""Is an incident opening and closing all the time? Nagios' way: the last 21 results, newer changes weighing more.

A result says whether the incident is open. One is taken whenever that changes, and one for each interval in which it
was judged without a change, so that ten readings a second say no more than one. docs/decisions/0007 says why.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

REMEMBERED = 21
OLD_AFTER = 4 * REMEMBERED
"""So many intervals without a single result, and what is remembered says nothing of the present any more."""
_CHANGES = REMEMBERED - 1
_LIGHTEST, _STEP, _ALL = 57, 2, 1520
"""What changes weigh, in 76ths so that all 20 are exactly 100 %: the oldest 0.75, the newest 1.25, one on average."""
_OPEN, _CALM = "1", "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When flapping begins and ends."""

    high: float = 50
    """Per cent of weighted change at which it begins; over 100 it never does. One remedy that works makes 10."""
    low: float = 25
    """Below this it ends."""
    every: timedelta = timedelta(seconds=15)
    """The sweep's interval: how often an unchanged result counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is remembered of a policy on a target from one incident to the next."""

    results: str = ""
    """Oldest first, `1` for open; begins with the one before the first change, and is blank without any change."""
    last_at: datetime | None = None
    """When the newest result was taken."""
    since: datetime | None = None
    """Since when it flaps; None while it does not."""

    @property
    def flapping(self) -> bool:
        """Does it flap?"""
        return self.since is not None


NOTHING = History()


def after(history: History, *, was_open: bool, is_open: bool | None, at: datetime, limits: Limits) -> History:
    """The history after an evaluation at `at`; `is_open` is None when that gave no result, as without data.

    `was_open` is asked for only while nothing is remembered.
    """
    known = NOTHING if _is_old(history, at, limits) else history
    if is_open is None:
        return known
    letter, last = _letter(is_open=is_open), known.results[-1:] or _letter(is_open=was_open)
    if letter == last and not _is_due(known, at, limits):
        return known
    results = _trimmed(((known.results or last) + letter)[-REMEMBERED:])
    if not results:
        return NOTHING
    flaps = percent(results) >= (limits.low if known.flapping else limits.high)
    return History(results=results, last_at=at, since=(known.since or at) if flaps else None)


def percent(results: str) -> float:
    """How much of the time the result changed, from 0 to 100, by weight."""
    if not results:
        return 0.0
    padded = results.rjust(REMEMBERED, results[0])
    weights = (_LIGHTEST + _STEP * place for place in range(_CHANGES) if padded[place] != padded[place + 1])
    return sum(weights) * 100 / _ALL


def reason(history: History) -> str:
    """Why nothing is ordered while it flaps; the same words as long as it does."""
    since = "" if history.since is None else f" since {history.since:%H:%M:%S}"
    return f"It flaps{since}: it opens and closes all the time, so nothing is ordered until it has calmed down."


def numbers(history: History, limits: Limits) -> dict[str, object]:
    """What the answer rests on."""
    return {
        "change_percent": round(percent(history.results), 1),
        "high_percent": limits.high,
        "low_percent": limits.low,
        "results": history.results,
    }


def _letter(*, is_open: bool) -> str:
    return _OPEN if is_open else _CALM


def _is_old(history: History, at: datetime, limits: Limits) -> bool:
    return history.last_at is not None and at - history.last_at > OLD_AFTER * limits.every


def _is_due(history: History, at: datetime, limits: Limits) -> bool:
    """Is it another interval than that of the last result? One whose clock was ahead is not waited for."""
    if history.last_at is None:
        return False
    slots = (_slot(at, limits.every), _slot(history.last_at, limits.every))
    return slots[0] > slots[1] or history.last_at - at > limits.every


def _slot(at: datetime, every: timedelta) -> int:
    """The sweep runs once in each of these, so that each of its evaluations counts once."""
    return int(at.timestamp() // every.total_seconds())


def _trimmed(results: str) -> str:
    """Without what is the same at the beginning, but for the last of it."""
    same = len(results) - len(results.lstrip(results[0]))
    return "" if same == len(results) else results[same - 1 :]
