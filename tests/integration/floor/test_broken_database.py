"""A database that hangs keeps nobody waiting for as long as it does, and workers get over one that was restarted."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from tests.servers.faultproxy import FaultProxy, Mode
from vigil.kernel import database
from vigil.kernel.postgresql.driver import PATIENCE_SECONDS, PatientConnection, connect
from vigil.periodic.models import WorkerBeat
from vigil.periodic.tasks import come_round

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite is a file"),
]


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Something between Vigil and the server that can swallow everything."""
    settings = connection.settings_dict
    with FaultProxy(host=settings["HOST"], port=int(settings["PORT"])) as running:
        yield running


def _through(proxy: FaultProxy) -> "psycopg.Connection[Any]":
    settings = connection.settings_dict
    names = {"dbname": settings["NAME"], "user": settings["USER"], "password": settings["PASSWORD"]}
    return connect(host="127.0.0.1", port=proxy.port, connect_timeout=3, **names)


def test_a_connection_gives_a_silent_server_up(proxy: FaultProxy) -> None:
    line = _through(proxy)
    assert isinstance(line, PatientConnection)
    line.patience_seconds = 0.3
    assert line.execute("SELECT 1").fetchone() == (1,)
    proxy.behave(Mode(name="blackhole"))
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match=r"did not answer within 0\.3 s"):
        line.execute("SELECT 2")
    assert time.monotonic() - began < 3
    assert line.closed


def test_vigils_own_connections_are_such_and_wait_longer_where_they_are_told_to() -> None:
    connection.ensure_connection()
    assert isinstance(connection.connection, PatientConnection)
    with database.patience(seconds=65):
        with database.patience(seconds=30):
            assert connection.connection.patience_seconds == 30
        assert connection.connection.patience_seconds == 65
    assert connection.connection.patience_seconds == PATIENCE_SECONDS


def test_a_worker_asks_for_a_new_connection_when_its_own_has_broken() -> None:
    connection.ensure_connection()
    connection.connection.close()  # as seen after a restart of the server
    with pytest.raises(OperationalError):
        WorkerBeat.objects.count()
    come_round.apply(kwargs={"worker": "worker@host"})
    assert WorkerBeat.objects.count() == 0
