"""A circuit breaker as a state machine. Pure: what happened and when in, the next position out.

Closed it lets every call through. After too many failures it opens and lets none through; when it has rested, one call
is the probe (half-open), and what comes of the probe closes it or opens it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Position(StrEnum):
    """Where a circuit stands; the stored value is the name in small letters."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """A probe is out, and its result is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a circuit opens, and how long it rests before each probe."""

    failures: int = 5
    """So many in a row."""
    percent: int = 50
    """Or so much of at least `least` calls within `within`."""
    least: int = 20
    within: timedelta = timedelta(seconds=60)
    rest: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Where it stands and since when."""

    position: Position = Position.CLOSED
    failures: int = 0
    """In a row, up to now."""
    opened_at: datetime | None = None
    """Since the last failure that opened it, or kept it open; None while it is closed."""
    probe_at: datetime | None = None
    """When the probe that is out began."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """How the calls of the last `within` ended, this one included."""

    calls: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How something ended that counts."""

    ok: bool
    at: datetime


CLOSED = Circuit()


def next_call_at(circuit: Circuit, limits: Limits) -> datetime | None:
    """When the next call may begin; None: at any time."""
    since = circuit.probe_at if circuit.position is Position.HALF_OPEN else circuit.opened_at
    if circuit.position is Position.CLOSED or since is None:
        return None
    return since + limits.rest


def admit(circuit: Circuit, limits: Limits, *, at: datetime) -> Circuit | None:
    """The circuit once it has let a call through that begins `at`; None: that call must wait.

    A probe of which nothing was heard for as long as the rest is given up, and the next one may go.
    """
    until = next_call_at(circuit, limits)
    if until is None:
        return circuit
    return None if at < until else replace(circuit, position=Position.HALF_OPEN, probe_at=at)


def failed(circuit: Circuit, limits: Limits, *, began_at: datetime, at: datetime, lately: Lately) -> Circuit:
    """After a call that began at `began_at` has failed."""
    if _is_old_news(circuit, began_at):
        return circuit
    failures = circuit.failures + 1
    reason = circuit.reason if circuit.position is not Position.CLOSED else _too_many(failures, lately, limits)
    if not reason:
        return replace(circuit, failures=failures)
    return Circuit(position=Position.OPEN, failures=failures, opened_at=at, reason=reason)


def succeeded(circuit: Circuit, *, began_at: datetime) -> Circuit:
    """After a call that began at `began_at` was answered."""
    return circuit if _is_old_news(circuit, began_at) else CLOSED


def of_results(newest_first: Sequence[Result], limits: Limits, *, newest_try_at: datetime | None) -> Circuit:
    """A circuit that is not kept but seen from what ended last; `newest_try_at` is when the last try was decided."""
    failures = next((place for place, result in enumerate(newest_first) if result.ok), len(newest_first))
    if failures < limits.failures:
        return Circuit(failures=failures)
    opened_at = max(result.at for result in newest_first[:failures])
    reason = f"{failures} failures in a row"
    if newest_try_at is not None and newest_try_at > opened_at:
        return Circuit(
            position=Position.HALF_OPEN, failures=failures, opened_at=opened_at, probe_at=newest_try_at, reason=reason
        )
    return Circuit(position=Position.OPEN, failures=failures, opened_at=opened_at, reason=reason)


def _is_old_news(circuit: Circuit, began_at: datetime) -> bool:
    """Of an open circuit only calls tell that began after it opened: the others were under way already."""
    return circuit.opened_at is not None and began_at < circuit.opened_at


def _too_many(failures: int, lately: Lately, limits: Limits) -> str:
    """Why it opens; "" when it does not."""
    if failures >= limits.failures:
        return f"{failures} failures in a row"
    if lately.calls >= limits.least and lately.failures * 100 >= limits.percent * lately.calls:
        return f"{lately.failures} of {lately.calls} calls failed within {limits.within.total_seconds():.0f} s"
    return ""
