"""Brings the database to where the code expects it, before any process uses it."""

import socket
from datetime import datetime, timedelta

from django.conf import settings
from django.core.management import call_command
from django.db import Error, connection, connections

from actions import defaults
from vigil import schedule
from vigil.kernel.errors import VigilError
from vigil.periodic import beats
from vigil.runner.errors import UnableToStart

OTHER_HOST_WITHIN = timedelta(seconds=60)


def database(*, at: datetime) -> None:
    """Connect, migrate, and put what the code owns in place (the schedule, the default remediator)."""
    _connect()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        schedule.ensure()
        defaults.ensure()
        _alone_on_sqlite(at=at)
    except VigilError as error:
        raise UnableToStart(f"REMEDIATOR_URL cannot be used. {error.detail}") from error
    except Error as error:
        raise UnableToStart(
            f"The database at {_place()} could not be prepared ({_first_line(error)}): is it Vigil's own, and may "
            "this user change its tables?"
        ) from error
    finally:
        connections.close_all()


def _connect() -> None:
    try:
        connection.ensure_connection()
    except Error as error:
        raise UnableToStart(
            f"The database at {_place()} cannot be reached ({_first_line(error)}): start it, or correct DATABASE_URL."
        ) from error


def _alone_on_sqlite(*, at: datetime) -> None:
    """A SQLite file shared by machines is a broken file sooner or later."""
    if connection.vendor != "sqlite":
        return
    others = beats.other_hosts(hostname=socket.gethostname(), at=at, within=OTHER_HOST_WITHIN)
    if others:
        raise UnableToStart(
            f"Vigil runs on {', '.join(others)} with this same SQLite file: stop it there, or give both a PostgreSQL "
            "with DATABASE_URL."
        )


def _place() -> str:
    """Where the database is, without its password."""
    given = settings.DATABASES["default"]
    if connection.vendor == "sqlite":
        return str(given["NAME"])
    host = f"{given.get('HOST') or 'localhost'}:{given.get('PORT') or 5432}"
    return f"{host}/{given['NAME']}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
