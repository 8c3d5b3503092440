"""Short transactions that forgive what databases do under load."""

import json
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, OperationalError, connections, transaction
from django.db.models import DateTimeField, Func
from django.utils.dateparse import parse_datetime

from vigil.kernel import failpoints, turns
from vigil.kernel import patience as wait

logger = structlog.get_logger(__name__)

RETRY_FOR_SECONDS = 2.0
"""How long one transaction may be tried again, in all (actions.md: 2 + 2 + 12 + 3 < 20)."""

MANY_RETRIES = 4
"""More than that for one transaction are told in the log: somebody holds locks for too long, or too many want them."""

_RETRYABLE_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
"""serialization_failure, deadlock_detected, lock_not_available."""


_one_writer = threading.RLock()
"""SQLite has one writer anyway: threads of a process wait here in turn rather than in its busy loop, which starves."""


def _begin_afresh() -> None:
    """In the child of a fork: the thread whose turn it was is not there to end it."""
    global _one_writer
    _one_writer = threading.RLock()


os.register_at_fork(after_in_child=_begin_afresh)


def tx[T](fn: Callable[[], T], *, using: str = DEFAULT_DB_ALIAS) -> T:
    """Run `fn` in one durable transaction; again, with jitter, when the database says the loser should try again.

    Only outermost callers open one. Nothing that calls the outside world may be inside: it may run more than once.
    """

    def whole() -> T:
        with _turn(using) as end_turn, transaction.atomic(using=using, durable=not _under_test(using)):
            transaction.on_commit(end_turn, using=using)  # what follows the commit may take long, as a hint does
            result = fn()
            _lose_on_purpose(using)
            return result

    return _again_if_it_lost(whole, using)


def single[T](fn: Callable[[], T], *, using: str = DEFAULT_DB_ALIAS) -> T:
    """Run `fn`, which is one statement and thereby a transaction, durable when it returns; again, as `tx` does."""
    return _again_if_it_lost(fn, using)


def _again_if_it_lost[T](fn: Callable[[], T], using: str) -> T:
    started = time.monotonic()
    pause, retries = 0.01, 0
    while True:
        try:
            return fn()
        except Error as error:
            seconds = time.monotonic() - started
            if _under_test(using) or not _worth_another_try(error) or seconds > RETRY_FOR_SECONDS:
                raise
            retries += 1
            if retries == MANY_RETRIES + 1:
                logger.warning("database.transaction.contended", retries=retries, seconds=round(seconds, 2))
            time.sleep(random.uniform(0, pause))  # noqa: S311  jitter, not a secret
            pause = min(pause * 2, 0.25)


class _TestLoser(Exception):
    """What a driver raises for the transaction that has to give way."""

    sqlstate = "40P01"


def _lose_on_purpose(using: str) -> None:
    """For tests: be the loser of a deadlock or of SQLite's lock, after all was written and before it is committed."""
    if failpoints.loses("tx.before_commit"):
        sqlite = connections[using].vendor == "sqlite"
        cause = sqlite3.OperationalError("database is locked") if sqlite else _TestLoser("deadlock detected")
        raise OperationalError(str(cause)) from cause


@contextmanager
def _turn(using: str) -> Iterator[Callable[[], None]]:
    """Hold the turn to write, this process's and among processes; what it gives ends the turn early."""
    with ExitStack() as turn:
        if connections[using].vendor == "sqlite":
            seconds = _patience()
            until = time.monotonic() + seconds
            if not _one_writer.acquire(timeout=seconds):
                raise OperationalError("database is locked: other writers of this process took too long")
            turn.callback(_one_writer.release)
            if file := _turns_file(connections[using].settings_dict["NAME"]):
                ours = turns.at(file)
                if not ours.take(seconds=max(0.0, until - time.monotonic())):
                    raise OperationalError("database is locked: other processes that write took too long")
                turn.callback(ours.give_back)
        yield turn.close


def _patience() -> float:
    """Seconds to wait for a turn: no longer than whoever is at work may wait for the database."""
    left = wait.left()
    return RETRY_FOR_SECONDS if left is None else min(left, RETRY_FOR_SECONDS)


def _turns_file(database: str | Path) -> str:
    """Beside the database's own files; "" for one in memory."""
    name = str(database)
    return "" if name == ":memory:" or name.startswith("file:") else f"{name}-turn"


@contextmanager
def patience(*, seconds: float, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Let PostgreSQL take so long to answer here; on SQLite nothing changes. What it stops itself is set elsewhere."""
    held = connections[using].connection
    if connections[using].vendor != "postgresql" or held is None:
        yield
        return
    before, held.patience_seconds = held.patience_seconds, seconds
    try:
        yield
    finally:
        held.patience_seconds = before


def database_now(*, using: str = DEFAULT_DB_ALIAS) -> datetime:
    """The database's clock: the only one that leases, deadlines and cool-downs are compared by."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp()")
            moment: datetime = cursor.fetchone()[0]
            return moment.astimezone(UTC)
        cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
        parsed = parse_datetime(cursor.fetchone()[0])
    if parsed is None:
        raise OperationalError("the database's clock gave no time")
    return parsed.replace(tzinfo=UTC)


def one_of(column: str, values: Collection[str] | Collection[int], *, using: str = DEFAULT_DB_ALIAS) -> tuple[str, Any]:
    """A condition with a single parameter, however many values there are (so no variable limit is ever met)."""
    if connections[using].vendor != "postgresql":
        return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(list(values))  # noqa: S608
    together = _joined(values)
    if together is None:
        return f"{column} = ANY(%s)", list(values)
    return f"{column} = ANY(string_to_array(%s, chr({ord(_APART)})))", together


def begins_with(column: str, beginning: str, *, using: str = DEFAULT_DB_ALIAS) -> tuple[str, list[str]]:
    """A condition on text by code points, with its parameters, that an index serves.

    On PostgreSQL that is an index with `varchar_pattern_ops`: any other follows the order of the database's language.
    """
    postgres = connections[using].vendor == "postgresql"
    at_least, before = ("~>=~", "~<~") if postgres else (">=", "<")
    end = _following(beginning)
    if not end:
        return f"{column} {at_least} %s", [beginning]
    return f"{column} {at_least} %s AND {column} {before} %s", [beginning, end]


_SURROGATES = "\ud800", "\udfff"


def _following(beginning: str) -> str:
    """The first text after all that begin so; "" when there is none."""
    for place in reversed(range(len(beginning))):
        if beginning[place] != chr(sys.maxunicode):
            following = chr(ord(beginning[place]) + 1)
            return beginning[:place] + ("\ue000" if _SURROGATES[0] <= following <= _SURROGATES[1] else following)
    return ""


_APART = "\x1f"
"""The unit separator."""


def _joined(values: Collection[str] | Collection[int]) -> str | None:
    """Strings in one, which PostgreSQL takes apart several times faster than psycopg writes an array of them."""
    first = next(iter(values), None)
    if not isinstance(first, str):
        return None
    together = _APART.join(cast("Collection[str]", values))
    return together if together and together.count(_APART) == len(values) - 1 else None


class DatabaseNow(Func):
    """The same clock as an expression, for a statement that goes there anyway."""

    output_field = DateTimeField()
    arity = 0

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[str | int, ...]]:
        """The time of the statement, not of the transaction's beginning."""
        return "clock_timestamp()", ()

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[str | int, ...]]:
        """As the columns keep their times."""
        return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')", ()


def _worth_another_try(error: Error) -> bool:
    cause = error.__cause__
    if isinstance(cause, sqlite3.OperationalError):
        return "locked" in str(cause) or "busy" in str(cause)
    return getattr(cause, "sqlstate", None) in _RETRYABLE_SQLSTATES


def _under_test(using: str) -> bool:
    """Inside a test's own transaction ours can be neither durable nor tried again."""
    return any(getattr(block, "_from_testcase", False) for block in connections[using].atomic_blocks)
