"""Single readings that share a commit: each is stored once, answered with its own, and fails alone."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from celery import Celery
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from metrics import ingest, series
from metrics.formats.reading import Reading
from metrics.models import Sample, Series
from policies import concerns, intake, sharing
from policies.intake import Accepted
from policies.models import Incident
from tests.integration.policies import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sharing_begun() -> Iterator[None]:
    sharing.begin()
    yield
    sharing.end()


def reading(value: float, *, host: str = "web-01", at: datetime | None = None) -> Reading:
    return Reading("cpu_usage", value, {"host": host}, at)


def post(one: Reading, at: datetime) -> Accepted:
    try:
        return intake.accept(readings=[one], at=at)
    finally:
        connections.close_all()


def at_once(readings: Sequence[Reading], at: datetime) -> list[Future[Accepted]]:
    with ThreadPoolExecutor(16) as callers:
        return [callers.submit(post, one, at) for one in readings]


def test_each_request_is_told_of_its_own_sample(at: datetime) -> None:
    sent = [reading(number, host=f"web-{number % 7:02}") for number in range(150)]
    answers = [one.result() for one in at_once(sent, at)]
    stored = dict(Sample.objects.values_list("id", "value"))
    assert len(stored) == len(sent)
    assert [stored[answer.stored.samples[0].id] for answer in answers] == [one.value for one in sent]


def test_several_requests_share_a_commit(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = ingest.store_together

    def counted(*, readings: Sequence[tuple[Reading, datetime]], actors: Sequence[str]) -> list[ingest.Stored]:
        sizes.append(len(readings))
        return original(readings=readings, actors=actors)

    monkeypatch.setattr(ingest, "store_together", counted)
    at_once([reading(number) for number in range(100)], at)
    assert sum(sizes) == 100
    assert max(sizes) > 1


def test_each_is_judged(at: datetime) -> None:
    cast.policy()
    answers = [one.result() for one in at_once([reading(40, host="web-01"), reading(95, host="web-02")], at)]
    assert [len(answer.settled) for answer in answers] == [0, 1]
    assert [incident.target for incident in Incident.objects.all()] == ["web-02"]


def test_a_healthy_reading_closes_what_is_open(at: datetime) -> None:
    cast.policy()
    post(reading(95), at)
    [settled] = post(reading(40), at + timedelta(seconds=5)).settled
    assert settled.incident is not None
    assert settled.incident.status == "resolved"


def test_one_that_is_refused_spoils_no_other(at: datetime, settings: Settings) -> None:
    post(reading(1, host="web-01"), at)
    settings.VIGIL_CARDINALITY_MAX = 1
    new, known = at_once([reading(2, host="web-99"), reading(3, host="web-01")], at)
    assert isinstance(new.exception(), series.CardinalityExceeded)
    assert known.result().stored.samples[0].value == 3


def test_a_database_that_fails_is_told_to_all_and_forgotten_after(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def away(**_: object) -> list[ingest.Stored]:
            raise OperationalError("the server closed the connection")

        broken.setattr(ingest, "store_together", away)
        assert [type(one.exception()) for one in at_once([reading(1), reading(2)], at)] == [OperationalError] * 2
    assert post(reading(3), at).stored.samples[0].value == 3


def test_what_is_stored_is_acknowledged_even_if_nobody_can_look_at_it(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.policy()

    def broken(*_: object, **__: object) -> None:
        raise OperationalError("gone right after the commit")

    monkeypatch.setattr(concerns, "look_at_each", broken)
    accepted = post(reading(95), at)
    assert (accepted.evaluated, Sample.objects.count()) == (False, 1)


def test_a_batch_stores_by_itself(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "store", lambda *_, **__: pytest.fail("a batch has a commit of its own"))
    assert len(intake.accept(readings=[reading(1), reading(2)], at=at).stored.samples) == 2


def test_readings_of_known_series_go_into_the_database_in_one_statement(at: datetime) -> None:
    known = [reading(number, host=f"web-{number}") for number in range(3)]
    ingest.store_together(readings=[(one, at) for one in known])
    sent = [(one, at + timedelta(seconds=1)) for one in known]
    with CaptureQueriesContext(connection) as seen:
        stored = ingest.store_together(readings=sent)
    assert [one.samples[0].value for one in stored] == [0, 1, 2]
    if connection.vendor == "postgresql":
        assert len(seen) == 1


def test_the_newest_of_a_series_wins_also_within_one_group(at: datetime) -> None:
    second = timedelta(seconds=1)
    ingest.store_together(readings=[(reading(1), at)])
    moments = [at + 3 * second, at + 9 * second, at + 6 * second, at + 9 * second, at - second]
    sent = [(reading(10 + place, at=moment), at + 10 * second) for place, moment in enumerate(moments)]
    stored = [one.samples[0] for one in ingest.store_together(readings=sent)]
    assert [one.late for one in stored] == [False, False, True, False, True]
    row = Series.objects.get()
    assert (row.last_value, row.last_at, row.last_sample_id) == (13, moments[3], stored[3].id)


def test_a_series_that_was_dropped_meanwhile_is_made_again(at: datetime) -> None:
    ingest.store_together(readings=[(reading(1), at), (reading(1, host="web-02"), at)])
    Series.objects.filter(target="web-01").delete()
    stored = ingest.store_together(readings=[(reading(2, host="web-02"), at), (reading(3), at)])
    assert [one.samples[0].value for one in stored] == [2, 3]
    assert sorted(Sample.objects.values_list("value", flat=True)) == [1, 1, 2, 3]
    assert Series.objects.count() == 2


class AtOnce:
    """Shares with nobody, on the caller's own thread, whose statements can be counted."""

    def do(self, item: sharing.Item, *, seconds: float) -> sharing.Answer:
        [answer] = sharing._store_all([item])
        assert not isinstance(answer, Exception)
        return answer


@pytest.mark.postgres_only
def test_a_reading_that_touches_no_policy_is_one_statement_and_nothing_for_the_broker(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.policy()
    monkeypatch.setattr(Celery, "send_task", lambda *_, **__: pytest.fail("nothing is to be sent"))
    one, later = Reading("load", 1, {"host": "web-01"}, None), at + timedelta(milliseconds=100)  # the book is known
    with monkeypatch.context() as alone:
        alone.setattr(sharing, "_shared", AtOnce())
        intake.accept(readings=[one], at=at)
        with CaptureQueriesContext(connection) as seen:
            accepted = intake.accept(readings=[one], at=later)
    assert (accepted.evaluated, accepted.settled) == (True, ())
    assert [query["sql"] for query in seen] == [seen[0]["sql"]]
