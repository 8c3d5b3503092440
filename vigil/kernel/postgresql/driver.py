"""psycopg as Django's database module, whose connections give a silent server up.

The server's own limits (`statement_timeout`) end nothing where it is stopped or a network swallows what is sent,
and TCP's keepalives are answered by its kernel meanwhile: whoever waits then waits for as long as that lasts.
"""

from functools import partial
from typing import Any

import psycopg
from psycopg import *  # noqa: F403  Django asks the module of its driver for every kind of error
from psycopg.adapt import Dumper
from psycopg.errors import ConnectionTimeout, _WaitTimeout
from psycopg.pq import Format

from vigil.kernel import patience
from vigil.kernel.patience import silence
from vigil.kernel.postgresql import arrays

PATIENCE_SECONDS = 6.0
"""Longer than any statement may take here (5 s, vigil.environment), so that a server that works answers first."""
SHORTEST_CONNECT = 2
"""Seconds; libpq and psycopg wait no shorter for a connection."""
SHORTEST_WAIT = 0.02
"""Seconds: an answer that is there already is read also when it is late."""


class NoAnswer(psycopg.OperationalError):
    """The database says nothing."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes longer than `patience_seconds`, or than `patience.left`."""

    patience_seconds = PATIENCE_SECONDS
    """`vigil.kernel.database.patience` gives a connection more for a while."""
    made_with: dict[str, Any]
    """What it was connected with."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg waits, but not for ever."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        left = patience.left()
        if left is not None and silence.holds:
            raise NoAnswer("the database does not answer")
        seconds = self.patience_seconds if left is None else min(left, self.patience_seconds)
        try:
            return super().wait(gen, interval, max(seconds, SHORTEST_WAIT))
        except _WaitTimeout:
            self.pgconn.finish()  # whatever comes now would be taken for the answer to something else
            if left is not None:
                silence.fell(partial(_answers, self.made_with))
            raise NoAnswer(f"the database did not answer within {seconds:.3g} s") from None


class _PackedDumper(Dumper):
    """What is packed already is sent as it is."""

    format = Format.BINARY
    of: type[bytes]

    def dump(self, obj: bytes) -> bytes:
        return obj


class _WholeDumper(_PackedDumper):
    oid, of = 1016, arrays.Whole


class _RealDumper(_PackedDumper):
    oid, of = 1022, arrays.Real


def connect(**options: Any) -> PatientConnection:  # type: ignore[no-redef]
    """What Django calls."""
    left = patience.left()
    if left is not None:
        if silence.holds or left < SHORTEST_CONNECT:
            raise NoAnswer("the database does not answer")
        options = {**options, "connect_timeout": int(left)}
    try:
        connection = PatientConnection.connect(**options)
    except ConnectionTimeout:
        if left is not None:
            silence.fell(partial(_answers, options))
        raise
    connection.made_with = options
    for dumper in (_WholeDumper, _RealDumper):
        connection.adapters.register_dumper(dumper.of, dumper)
    return connection


def _answers(options: dict[str, Any]) -> bool:
    """Whether the server says anything to somebody new; a refusal is an answer as well."""
    try:
        with PatientConnection.connect(**{**options, "connect_timeout": SHORTEST_CONNECT}) as connection:
            connection.made_with = options
            connection.patience_seconds = SHORTEST_CONNECT
            connection.execute("SELECT 1")
    except (ConnectionTimeout, NoAnswer):
        return False
    except psycopg.Error:
        return True
    return True
