"""The express lane: a plain single reading with an API key is taken before Django, its middleware and the view begin.

All of that costs several times what the reading itself does. Only what is certain travels here: exactly one address and
verb, a key this process asked the database about within half a second, a limit that is not reached, a body that holds
one good reading. Whatever is odd in any way goes the usual way instead, with nothing done yet, and meets the same code
it always met. The headers of an answer are those with which the usual way last answered such a request in this process,
so that no setting of Django's is told twice. docs/decisions/0011-an-express-lane.md says why.
"""

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import structlog
from django.db import close_old_connections
from django.urls import resolve
from django_prometheus.middleware import Metrics

from metrics.formats.reading import Decoded, Reading, Unreadable
from policies import intake
from policies.api import ingest, taking
from vigil.access import keys, principal, scopes
from vigil.http import exceptions, middleware, throttling
from vigil.kernel import clock, context

log = structlog.get_logger("vigil.http")

type Environ = dict[str, Any]
type Headers = list[tuple[str, str]]
type StartResponse = Callable[..., object]
type Application = Callable[[Environ, Any], Any]

PATH = "/api/v1/ingest"
LONGEST_BODY = 4_096
"""Bytes; a single reading that is longer has time for the usual way."""
MANNERS_MOST = 64
"""How many kinds of callers' addresses are remembered with the headers they get."""
TOLD_EVERY_SECONDS = 1.0

_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})
_ODD = ("HTTP_COOKIE", "HTTP_ORIGIN", "HTTP_IDEMPOTENCY_KEY", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING")
_MANNER = ("wsgi.url_scheme", "HTTP_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT")
_OWN = frozenset({"content-length", "x-request-id"})
"""Headers that belong to one answer alone."""


class _Passenger(NamedTuple):
    """A request that may travel here."""

    actor: str
    at: datetime
    decoded: Decoded
    headers: Headers


class _Noted(NamedTuple):
    """One answer."""

    scheme: str
    status: int
    received: int
    sent: int
    seconds: float


class Board:
    """Counts and tells what was answered, as the middleware does, but sums it up once a second.

    A line for each of thousands a second would cost more than the readings do, and bury everything else.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._teller: threading.Thread | None = None
        self._ending = threading.Event()
        self._instruments: dict[tuple[str, int], _Instruments] = {}
        self._noted: deque[_Noted] = deque()

    def note(self, noted: _Noted) -> None:
        self._noted.append(noted)
        if self._teller is None:
            self._begin()

    def sum_up(self) -> None:
        """Tell what was noted since the last time."""
        with self._lock:
            noted = [self._noted.popleft() for _ in range(len(self._noted))]
        for which, some in groupby(sorted(noted), key=itemgetter(0, 1)):
            instruments = self._instruments.get(which)
            if instruments is None:
                instruments = self._instruments[which] = _Instruments(*which)
            instruments.count(list(some))
        if noted:
            slowest = max(one.seconds for one in noted)
            log.info("http.readings.answered", count=len(noted), slowest_milliseconds=round(slowest * 1000, 1))

    def end(self) -> None:
        """Tell the rest, and no more."""
        self._ending.set()
        if self._teller is not None:
            self._teller.join()
            atexit.unregister(self.end)
        self.sum_up()

    def _begin(self) -> None:
        with self._lock:
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell_on, name="vigil-express", daemon=True)
                self._teller.start()
                atexit.register(self.end)

    def _tell_on(self) -> None:
        while not self._ending.wait(TOLD_EVERY_SECONDS):
            try:
                self.sum_up()
            except Exception as error:  # it tells of the work and must never be the end of it
                log.exception("http.readings.not_told", reason=str(error))


class _Instruments:
    """django-prometheus's own, with their labels looked up once."""

    def __init__(self, scheme: str, status: int) -> None:
        of = Metrics.get_instance()
        view = resolve(PATH).view_name
        self._counters = (
            of.requests_total,
            of.responses_total,
            of.requests_by_method.labels(method="POST"),
            of.requests_by_transport.labels(transport=scheme),
            of.requests_by_view_transport_method.labels(view=view, transport=scheme, method="POST"),
            of.responses_by_status.labels(status=str(status)),
            of.responses_by_status_view_method.labels(status=str(status), view=view, method="POST"),
            of.responses_by_charset.labels(charset="utf-8"),
        )
        self._received, self._sent = of.requests_body_bytes, of.responses_body_bytes
        self._latencies = (
            of.requests_latency_before,
            of.requests_latency_by_view_method.labels(view=view, method="POST"),
        )

    def count(self, answers: Sequence[_Noted]) -> None:
        for counter in self._counters:
            counter.inc(len(answers))
        for one in answers:
            self._received.observe(one.received)
            self._sent.observe(one.sent)
            for latency in self._latencies:
                latency.observe(one.seconds)


class _Answer(NamedTuple):
    """What the view would have answered."""

    status: int
    content: bytes
    headers: Headers
    eventful: bool
    """Somebody may want to read of it: it failed, or a policy had to do with it."""


def lane(usual: Application, board: Board) -> Application:
    """An application that takes what it can, tells `board` of it, and leaves everything else to `usual`."""
    manners: dict[tuple[object, ...], Headers] = {}

    def application(request: Environ, start_response: Any) -> Any:
        if not _fits(request):
            return usual(request, start_response)
        manner = tuple(request.get(name) for name in _MANNER)
        headers = manners.get(manner)
        if headers is None:
            return usual(request, _learning(start_response, manners, manner))
        passenger = _passenger(request, headers)
        if passenger is None:
            return usual(request, start_response)
        return [_answered(request, passenger, start_response, board)]

    return application


def _fits(request: Environ) -> bool:
    return (
        request["PATH_INFO"] == PATH
        and request["REQUEST_METHOD"] == "POST"
        and not request.get("QUERY_STRING")
        and not request.get("SCRIPT_NAME")
        and request.get("CONTENT_TYPE", "") in _TYPES
        and request.get("CONTENT_LENGTH", "").isdecimal()
        and 0 < int(request["CONTENT_LENGTH"]) <= LONGEST_BODY
        and not any(name in request for name in _ODD)
    )


def _learning(
    start_response: StartResponse, manners: dict[tuple[object, ...], Headers], manner: tuple[object, ...]
) -> StartResponse:
    """Remember the headers of a reading that was taken the usual way."""

    def start(status: str, headers: Headers, *more: Any) -> object:
        if status.startswith("201 ") and len(manners) < MANNERS_MOST:
            manners[manner] = [(name, value) for name, value in headers if name.lower() not in _OWN]
        return start_response(status, headers, *more)

    return start


def _passenger(request: Environ, headers: Headers) -> _Passenger | None:
    """None: this one goes the usual way. Of the request nothing but the body is touched, which is put back."""
    at = clock.now()
    scheme, _, plain = request.get("HTTP_AUTHORIZATION", "").partition(" ")
    key = keys.known_lately(plain.strip(), at=at) if scheme.lower() == "bearer" else None
    if key is None or scopes.INGEST not in key.scopes or key.targets:
        return None
    try:
        body: bytes = request["wsgi.input"].read(int(request["CONTENT_LENGTH"]))
    except OSError:
        return None  # what is wrong with it is wrong there too
    request["wsgi.input"] = BytesIO(body)
    try:
        decoded = ingest.decode(body, request["CONTENT_TYPE"], at)
    except Unreadable:
        return None
    if not decoded.single or decoded.rejected or not isinstance(decoded.items[0][1], Reading):
        return None
    if throttling.wait_of(principal.of_key(key).actor, ingest.IngestView.requests_per_minute) > 0:
        return None
    return _Passenger(principal.of_key(key).actor, at, decoded, headers)


def _answered(request: Environ, passenger: _Passenger, start_response: StartResponse, board: Board) -> bytes:
    started = time.perf_counter()
    given = request.get("HTTP_X_REQUEST_ID", "")
    with context.bind(request_id=given if context.acceptable(given) else context.new_request_id()) as bound:
        answer = _taken(passenger)
        own = [("Content-Length", str(len(answer.content))), ("X-Request-ID", bound)]
        length, seconds = int(request["CONTENT_LENGTH"]), time.perf_counter() - started
        board.note(_Noted(request["wsgi.url_scheme"], answer.status, length, len(answer.content), seconds))
        if answer.eventful or log.isEnabledFor(logging.DEBUG):
            _tell(request, passenger, answer, seconds)
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", [*passenger.headers, *own, *answer.headers])
    return answer.content


def _tell(request: Environ, passenger: _Passenger, answer: _Answer, seconds: float) -> None:
    middleware.tell(
        method="POST",
        path=PATH,
        status=answer.status,
        seconds=seconds,
        actor=passenger.actor,
        remote=request["REMOTE_ADDR"],
    )


def _taken(passenger: _Passenger) -> _Answer:
    try:
        accepted = intake.accept(
            readings=[item for _, item in passenger.decoded.items], at=passenger.at, actor=passenger.actor, source="api"
        )
        taking.count(passenger.decoded)
        content = msgspec.json.encode(ingest.answer(passenger.decoded, accepted))
        return _Answer(201, content, [], eventful=bool(accepted.settled) or not accepted.evaluated)
    except Exception as error:
        refusal = exceptions.as_refusal(error)
        headers = list(exceptions.headers(refusal, error).items())
        return _Answer(refusal.status, msgspec.json.encode(exceptions.body(refusal)), headers, eventful=True)
    finally:
        close_old_connections()  # as after any request; usually there is none
