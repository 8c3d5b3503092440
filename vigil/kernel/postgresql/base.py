"""A server that hangs says nothing at all, so no timeout of its own ends the wait; this side has to."""

from functools import partial
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import errors
from psycopg.abc import PQGen

from vigil.kernel import patience
from vigil.kernel.patience import silence

SHORTEST_CONNECT = 2
"""Seconds; libpq and psycopg wait no shorter for a connection."""
SHORTEST_WAIT = 0.02
"""Seconds: an answer that is there already is read also when it is late."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's; but when patience is at its end it closes the connection and raises OperationalError."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        left = patience.left()
        if left is not None:
            if silence.holds or left < SHORTEST_CONNECT:
                raise _no_answer()
            conn_params = {**conn_params, "connect_timeout": int(left)}
        try:
            connection = super().get_new_connection(conn_params)
        except errors.ConnectionTimeout:
            if left is not None:
                silence.fell(partial(_answers, conn_params))
            raise
        connection.wait = partial(_wait, connection, partial(_answers, conn_params))
        return connection


def _wait[Answer](
    connection: "psycopg.Connection[Any]",
    answers: "partial[bool]",
    gen: PQGen[Answer],
    interval: float = 0.1,
    timeout: float | None = None,
) -> Answer:
    left = patience.left()
    if left is None or timeout is not None:
        return psycopg.Connection.wait(connection, gen, interval, timeout)
    if silence.holds:
        raise _no_answer()
    try:
        return psycopg.Connection.wait(connection, gen, interval, max(left, SHORTEST_WAIT))
    except errors._WaitTimeout as error:
        connection.pgconn.finish()  # whatever comes now would be taken for the answer to something else
        silence.fell(answers)
        raise _no_answer() from error


def _answers(conn_params: dict[str, Any]) -> bool:
    """Whether the server says anything to somebody new; a refusal is an answer as well."""
    try:
        with psycopg.connect(**{**conn_params, "connect_timeout": SHORTEST_CONNECT}) as connection:
            connection.wait = partial(psycopg.Connection.wait, connection, timeout=SHORTEST_CONNECT)  # type: ignore[method-assign]
            connection.execute("SELECT 1")
    except (errors.ConnectionTimeout, errors._WaitTimeout):
        return False
    except psycopg.Error:
        return True
    return True


def _no_answer() -> psycopg.OperationalError:
    return psycopg.OperationalError("the database does not answer")
