"""Short transactions under many writers."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from structlog.testing import capture_logs

from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.kernel import database, failpoints

pytestmark = pytest.mark.django_db(transaction=True)


def _write(subject: str) -> None:
    try:
        database.tx(lambda: entries.write(kind="k", subject=subject, actor="a", reason=""))
    finally:
        connection.close()


def _write_here(subject: str) -> None:
    database.tx(lambda: entries.write(kind="k", subject=subject, actor="a", reason=""))


def test_sixteen_threads_all_get_their_turn() -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(_write, [f"s:{number}" for number in range(200)]))
    assert Entry.objects.filter(subject__startswith="s:").count() == 200


def test_what_fails_leaves_nothing() -> None:
    def fail() -> None:
        entries.write(kind="k", subject="s:1", actor="a", reason="")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.tx(fail)
    assert not Entry.objects.filter(subject="s:1").exists()


@pytest.mark.parametrize(("losses", "told"), [(1, 0), (5, 1)])
def test_a_loser_is_tried_again_and_one_that_loses_often_is_told(
    losses: int, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [True] * losses
    monkeypatch.setattr(failpoints, "loses", lambda name: bool(left and left.pop()))
    with capture_logs() as logs:
        database.tx(lambda: entries.write(kind="k", subject="s:loser", actor="a", reason=""))
    assert left == []
    assert Entry.objects.filter(subject="s:loser").count() == 1
    assert [line["event"] for line in logs].count("database.transaction.contended") == told


def test_it_is_outermost_or_nothing() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        database.tx(lambda: None)


def test_it_waits_for_another_writer() -> None:
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                entries.write(kind="k", subject="s:held", actor="a", reason="")
                holding.set()
                done.wait(0.3)
        finally:
            connection.close()

    other = threading.Thread(target=hold)
    other.start()
    assert holding.wait(5)
    _write("s:waited")
    other.join()
    assert Entry.objects.filter(subject__in=["s:held", "s:waited"]).count() == 2


def test_the_databases_clock_is_near_ours() -> None:
    from_database = database.database_now()
    assert abs((database.database_now() - from_database).total_seconds()) < 5
    assert from_database.tzinfo is not None


def test_what_follows_a_commit_keeps_no_writer_waiting() -> None:
    """A hint to a broker that hangs takes seconds, and must not take them from everybody's turn."""
    committed, done = threading.Event(), threading.Event()

    def linger() -> None:
        committed.set()
        done.wait(5)

    def write_and_linger() -> None:
        try:
            database.tx(lambda: transaction.on_commit(linger))
        finally:
            connection.close()

    other = threading.Thread(target=write_and_linger)
    other.start()
    assert committed.wait(5)
    began = time.monotonic()
    _write("s:meanwhile")
    took = time.monotonic() - began
    done.set()
    other.join()
    assert took < 1


def test_what_follows_a_commit_may_write_itself() -> None:
    database.tx(lambda: transaction.on_commit(lambda: _write_here("s:after")))
    _write("s:last")
    assert Entry.objects.filter(subject__in=["s:after", "s:last"]).count() == 2


def test_a_fork_does_not_inherit_somebody_elses_turn() -> None:
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with database._turn("default"):
            holding.set()
            done.wait(30)
        connection.close()

    other = threading.Thread(target=hold)
    other.start()
    assert holding.wait(5)
    child = os.fork()
    if child == 0:
        try:
            with database._turn("default"):
                os._exit(0)
        finally:
            os._exit(1)
    done.set()  # among processes the child waits for it; among its own threads there is none that could end it
    _, status = os.waitpid(child, 0)
    other.join()
    assert os.waitstatus_to_exitcode(status) == 0
