"""A migration may take longer than any statement of a request does: while one runs, PostgreSQL is waited for."""

from typing import Any

from django.db import connections

PATIENCE_SECONDS = 86_400.0


def begun(*, using: str, **_: Any) -> None:
    """A receiver of `pre_migrate`: no statement is stopped for its length, here or by the server."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    connection.connection.patience_seconds = PATIENCE_SECONDS


def ended(*, using: str, **_: Any) -> None:
    """A receiver of `post_migrate`, also after what was no migration: what was begun is over."""
    connection = connections[using]
    held = connection.connection
    if connection.vendor != "postgresql" or held is None or held.patience_seconds != PATIENCE_SECONDS:
        return
    del held.patience_seconds
    with connection.cursor() as cursor:
        cursor.execute("RESET statement_timeout")
