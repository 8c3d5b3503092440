"""The express lane answers as the usual way does, and leaves to that whatever is odd."""

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError, connections
from prometheus_client import REGISTRY
from pytest_django import Settings

from metrics import ingest
from metrics.models import Sample
from policies import sharing
from policies.api import express
from policies.models import Incident
from tests.integration.policies import cast
from vigil.access import keys
from vigil.access.models import ApiKey
from vigil.kernel import clock

pytestmark = pytest.mark.django_db(transaction=True)

READING = b'{"name": "cpu_usage", "value": 40, "tags": {"host": "web-01"}}'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Door:
    """The lane before a real Django, and how many requests went the usual way."""

    def __init__(self) -> None:
        self.usual = 0
        self._django = get_wsgi_application()
        self.board = express.Board()
        self._lane = express.lane(self._counted, self.board)
        _, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
        self.key = plain

    def post(self, body: bytes = READING, *, path: str = express.PATH, **more: str) -> Answer:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost:8000",
            "HTTP_AUTHORIZATION": f"Bearer {self.key}",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            **more,
        }
        began: list[Any] = []
        content = b"".join(self._lane(environ, lambda *told: began.extend(told)))
        return Answer(int(began[0].split()[0]), dict(began[1]), json.loads(content or b"{}"))

    def _counted(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.usual += 1
        return self._django(environ, start_response)


@pytest.fixture
def door() -> Iterator[Door]:
    sharing.begin()
    keys.forget_cache()
    opened = Door()
    assert opened.post().status == 201  # by the usual way, as this process knows neither key nor headers yet
    assert opened.usual == 1
    yield opened
    opened.board.end()
    sharing.end()
    connections.close_all()


def test_a_plain_reading_does_not_meet_django(door: Door) -> None:
    answer = door.post(READING.replace(b"40", b"41"))
    assert (answer.status, door.usual) == (201, 1)
    assert list(Sample.objects.order_by("id").values_list("value", flat=True)) == [40, 41]
    assert answer.body["metric_id"] == Sample.objects.latest("id").pk


def test_it_is_answered_as_by_the_usual_way(door: Door) -> None:
    express_, usual = door.post(HTTP_X_REQUEST_ID="r"), door.post(HTTP_X_REQUEST_ID="r", HTTP_COOKIE="a=b")
    assert door.usual == 2
    assert express_.status == usual.status
    assert express_.headers == usual.headers
    assert {**express_.body, "metric_id": 0} == {**usual.body, "metric_id": 0}


def test_every_answer_has_a_request_id_of_its_own(door: Door) -> None:
    ids = {door.post().headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3


ODD: dict[str, Callable[[Door], Answer]] = {
    "a batch": lambda door: door.post(b"[" + READING + b"]"),
    "an event": lambda door: door.post(b'{"name": "deploy", "type": "event"}'),
    "broken JSON": lambda door: door.post(b'{"name": '),
    "an unknown field": lambda door: door.post(READING.replace(b"value", b"vlaue")),
    "a value of NaN": lambda door: door.post(READING.replace(b"40", b"NaN")),
    "the same key twice": lambda door: door.post(READING.replace(b'"value"', b'"name": "x", "value"')),
    "a time that is over": lambda door: door.post(READING.replace(b"}}", b'}, "timestamp": 1}')),
    "no body": lambda door: door.post(b""),
    "a long body": lambda door: door.post(READING + b" " * express.LONGEST_BODY),
    "a shorter body than it says": lambda door: door.post(READING[:-9], CONTENT_LENGTH=str(len(READING))),
    "another type": lambda door: door.post(CONTENT_TYPE="text/plain"),
    "a strange charset": lambda door: door.post(CONTENT_TYPE="application/json; charset=utf-7"),
    "a compressed body": lambda door: door.post(HTTP_CONTENT_ENCODING="gzip"),
    "a question mark": lambda door: door.post(QUERY_STRING="atomic=true"),
    "an unknown parameter": lambda door: door.post(QUERY_STRING="x=1"),
    "an idempotency key": lambda door: door.post(HTTP_IDEMPOTENCY_KEY="k-1"),
    "a page of another site": lambda door: door.post(HTTP_ORIGIN="https://evil.example"),
    "another host": lambda door: door.post(HTTP_HOST="evil.example"),
    "no key": lambda door: door.post(HTTP_AUTHORIZATION=""),
    "a made-up key": lambda door: door.post(HTTP_AUTHORIZATION=f"Bearer {door.key[:-1]}x"),
    "another scheme": lambda door: door.post(HTTP_AUTHORIZATION=f"Basic {door.key}"),
    "another address": lambda door: door.post(path="/api/v1/ingest/"),
    "another verb": lambda door: door.post(REQUEST_METHOD="PUT"),
}
STATUS = {
    "a batch": 201,
    "an event": 201,
    "a question mark": 201,
    "an idempotency key": 201,
    "a page of another site": 201,
    "no body": 400,
    "another host": 400,
    "no key": 401,
    "a made-up key": 401,
    "another scheme": 401,
    "another address": 201,
    "another verb": 405,
    "another type": 415,
    "a strange charset": 415,
    "a compressed body": 415,
    "a long body": 201,
    "an unknown parameter": 422,
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_odd_goes_the_usual_way(door: Door, what: str) -> None:
    answer = ODD[what](door)
    assert door.usual == 2
    assert answer.status == STATUS.get(what, answer.status)
    assert answer.status in {201, 400, 401, 404, 405, 415, 422}
    assert Sample.objects.count() == 1 + (answer.status == 201 and what != "an event")


def test_a_key_without_the_scope_goes_the_usual_way(door: Door) -> None:
    _, door.key = keys.create(name="reader", scopes=["read"], actor="user:ana")
    keys.forget_cache()
    assert (door.post().status, door.post().status, door.usual) == (403, 403, 3)


def test_a_bound_key_goes_the_usual_way(door: Door) -> None:
    _, door.key = keys.create(name="bound", scopes=["ingest"], actor="user:ana", targets=["web-*"])
    keys.forget_cache()
    assert (door.post().status, door.post(READING.replace(b"web-01", b"db-1")).status, door.usual) == (201, 403, 3)


def test_a_revoked_key_opens_nothing_within_a_second(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert door.post().status == 201
    row = ApiKey.objects.get(name="agent-1")
    keys.revoke(key=row, actor="user:ana", at=row.created_at)
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 1.0)
    assert door.post().status == 401


def test_an_expired_key_opens_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    at = clock.now()
    _, door.key = keys.create(name="short", scopes=["ingest"], actor="user:ana", expires_at=at + timedelta(minutes=5))
    keys.forget_cache()
    assert door.post().status == 201
    monkeypatch.setattr(clock, "now", lambda: at + timedelta(minutes=6))
    assert door.post().status == 401


def test_who_is_too_fast_is_told_so(door: Door, settings: Settings) -> None:
    settings.VIGIL_INGEST_REQUESTS_PER_MINUTE = 60
    statuses = [door.post().status for _ in range(20)]
    assert statuses[-1] == 429
    assert Sample.objects.count() == 1 + statuses.count(201)


def test_what_violates_a_policy_is_judged_and_answered(door: Door) -> None:
    cast.policy()
    answer = door.post(READING.replace(b"40", b"95"))
    assert door.usual == 1
    assert len(answer.body["violations"]) == len(answer.body["actions"]) == 1
    assert [incident.target for incident in Incident.objects.all()] == ["web-01"]


def test_a_refusal_looks_as_it_does_the_usual_way(door: Door, settings: Settings) -> None:
    settings.VIGIL_CARDINALITY_MAX = 1
    new = READING.replace(b"web-01", b"web-02")
    express_, usual = door.post(new, HTTP_X_REQUEST_ID="r"), door.post(new, HTTP_X_REQUEST_ID="r", HTTP_COOKIE="a=b")
    assert (express_.status, door.usual) == (429, 2)
    assert express_ == usual


def test_a_database_that_is_away_looks_as_it_does_the_usual_way(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> Any:
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(ingest, "store_together", away)
    express_, usual = door.post(HTTP_X_REQUEST_ID="r"), door.post(HTTP_X_REQUEST_ID="r", HTTP_COOKIE="a=b")
    assert (express_.status, door.usual) == (503, 2)
    assert express_ == usual
    assert int(express_.headers["Retry-After"]) > 0


def test_many_at_once_are_each_stored_once(door: Door) -> None:
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(door.post(READING.replace(b"40", b"%d" % (100 + n)))))
        for n in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = dict(Sample.objects.filter(value__gte=100).values_list("id", "value"))
    assert sorted(stored) == sorted(answer.body["metric_id"] for answer in answers)
    assert sorted(stored.values()) == [100 + n for n in range(64)]


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]


def test_the_log_sums_up_plain_readings_and_names_the_others(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    cast.policy()
    caplog.set_level(logging.INFO)
    door.post()
    assert "http.request.answered" not in _lines(caplog)
    door.post(READING.replace(b"40", b"95"))
    assert _lines(caplog).count("http.request.answered") == 1


def test_the_same_instruments_count(door: Door, at: datetime) -> None:
    board = express.Board()
    before = _counted()
    for _ in range(3):
        board.note(express._Noted("http", 201, 64, 98, 0.001))
    board.sum_up()
    assert [now - then for now, then in zip(_counted(), before, strict=True)] == [3, 3, 3]
    board.sum_up()
    assert [now - then for now, then in zip(_counted(), before, strict=True)] == [3, 3, 3]


def _counted() -> list[float]:
    names = {
        "django_http_requests_before_middlewares_total": {},
        "django_http_responses_total_by_status_total": {"status": "201"},
        "django_http_requests_latency_including_middlewares_seconds_count": {},
    }
    return [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in names.items()]
