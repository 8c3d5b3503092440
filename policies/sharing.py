"""Single readings that arrive together share one insert, one commit and one look at what they may trouble.

Each request still waits until its own reading is durable. Only processes that serve requests from many threads share;
elsewhere each call stores by itself.
"""

import time
from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import DataError, IntegrityError, close_old_connections, connections

from metrics import ingest
from metrics.formats.reading import Reading
from metrics.ingest import Stored
from policies import concerns
from policies.concerns import Look
from vigil.kernel import patience
from vigil.kernel.coalescing import Busy, Coalescer
from vigil.kernel.errors import VigilError

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 2.5
"""How long a request waits for its reading to be durable."""
SHORTEST_SECONDS = 0.2
"""How long it waits at least, where others have waited for long."""
AT_ONCE = 500
"""Readings in one commit."""
WAITING = 10_000
"""Readings that may wait; the next is turned away at once."""

LOOKED_AFTER_SECONDS = 5.0
_looked_at = 0.0

type Item = tuple[Reading, datetime, str]
"""A reading, when it was received, and from whom."""
type Answer = tuple[Stored, Look | None]
"""What is stored; None: what it may trouble could not be found out together, and is to be asked alone."""


class TooSlow(VigilError):
    """The database did not keep up."""

    code = "unavailable"
    status = 503


_shared: Coalescer[Item, Answer] | None = None


def begin() -> None:
    """From now on this process's single readings share commits."""
    global _shared
    _shared = Coalescer(
        _store_all, name="vigil-commits", at_once=AT_ONCE, waiting=WAITING, at_end=connections.close_all
    )


def end() -> None:
    """From now on each stores by itself."""
    global _shared
    ending, _shared = _shared, None
    if ending is not None:
        ending.end()


def on() -> bool:
    """Whether they do."""
    return _shared is not None


def store(reading: Reading, *, at: datetime, actor: str = "") -> Answer:
    """Store one reading that `actor` sent, received at `at`, together with those of other requests.

    Raises what `metrics.ingest.store` does, and TooSlow (503) after 2.5 s: then it may or may not be stored.
    """
    if _shared is None:
        raise RuntimeError("Nothing is shared in this process.")
    try:
        if patience.silence.holds:
            raise Busy("the database does not answer")
        seconds = max(PATIENCE_SECONDS - patience.strain.longest(), SHORTEST_SECONDS)
        return _shared.do((reading, at, actor), seconds=seconds)
    except Busy as error:
        raise TooSlow(
            "The database is too slow; the reading may or may not be stored. Send it again, with an Idempotency-Key if "
            "twice would hurt.",
            retry_after=1,
        ) from error


def _store_all(items: Sequence[Item]) -> list[Answer | Exception]:
    """On the thread that commits."""
    with patience.within(PATIENCE_SECONDS):
        _look_after_connection()
        try:
            stored = _together(items)
        except (VigilError, DataError, IntegrityError) as error:
            return [error] if len(items) == 1 else [_store_alone(item) for item in items]
        return list(zip(stored, _look_at(stored, at=items[-1][1]), strict=True))


def _together(items: Sequence[Item]) -> list[Stored]:
    return ingest.store_together(
        readings=[(reading, at) for reading, at, _ in items], actors=[actor for _, _, actor in items]
    )


def _look_after_connection() -> None:
    """As Django does between requests, but not for each of hundreds of commits a second: it costs a query.

    A connection that failed is looked at before it is used again.
    """
    global _looked_at
    now = time.monotonic()
    failed = any(one.errors_occurred for one in connections.all(initialized_only=True))
    if failed or now - _looked_at > LOOKED_AFTER_SECONDS:
        close_old_connections()
        _looked_at = now


def _store_alone(item: Item) -> Answer | Exception:
    """One of them is refused: each answers for itself."""
    try:
        return _together([item])[0], None
    except Exception as error:
        return error


def _look_at(stored: Sequence[Stored], *, at: datetime) -> Sequence[Look | None]:
    try:
        return concerns.look_at_each(stored, at=at)
    except Exception as error:  # what is stored is acknowledged
        log.exception("policies.sharing.not_looked_at", reason=str(error))
        return [None] * len(stored)
