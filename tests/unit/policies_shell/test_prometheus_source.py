"""Asking a Prometheus: an answer is an answer, and everything else is a failure with a reason."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from policies import prometheus
from policies.engine.values import Answered, Question

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
UP = Question(source="main", query="up == 0")

type Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers with a function; gives its address."""
    servers: list[HTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer(self)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _with(body: object, status: int = 200) -> Callable[[BaseHTTPRequestHandler], None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def _vector(*results: tuple[dict[str, str], str]) -> dict[str, Any]:
    elements = [{"metric": labels, "value": [1.0, value]} for labels, value in results]
    return {"status": "success", "data": {"resultType": "vector", "result": elements}}


def test_a_vector_is_read_with_its_labels(serve: Serve) -> None:
    address = serve(_with(_vector(({"__name__": "up", "instance": "web-01"}, "0"))))
    answer = prometheus.ask([UP], sources={"main": address}, at=AT)[UP]
    assert answer.failure is None
    assert answer.results == (Answered(labels={"instance": "web-01"}, value=0.0),)


def test_an_empty_vector_is_an_answer(serve: Serve) -> None:
    answer = prometheus.ask([UP], sources={"main": serve(_with(_vector()))}, at=AT)[UP]
    assert (answer.failure, answer.results) == (None, ())


def test_nan_satisfies_nothing(serve: Serve) -> None:
    address = serve(_with(_vector(({"a": "b"}, "NaN"), ({"a": "c"}, "+Inf"))))
    assert [one.labels["a"] for one in prometheus.ask([UP], sources={"main": address}, at=AT)[UP].results] == ["c"]


def test_a_scalar_has_no_labels(serve: Serve) -> None:
    body = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "2.5"]}}
    answer = prometheus.ask([UP], sources={"main": serve(_with(body))}, at=AT)[UP]
    assert answer.results == (Answered(value=2.5),)


BAD = {
    "an error": ({"status": "error", "errorType": "bad_data", "error": "parse error at char 4"}, 400, "parse error"),
    "html": (b"<html>", 200, "no instant vector"),
    "half an answer": (b'{"status": "succ', 200, "no instant vector"),
    "a matrix": ({"status": "success", "data": {"resultType": "matrix", "result": []}}, 200, "no instant vector"),
    "a redirect": (b"", 302, "no instant vector"),
    "a value that is none": (_vector(({}, "many")), 200, "'many'"),
}


@pytest.mark.parametrize(("body", "status", "says"), BAD.values(), ids=BAD.keys())
def test_anything_else_is_a_failure_with_a_reason(serve: Serve, body: object, status: int, says: str) -> None:
    answer = prometheus.ask([UP], sources={"main": serve(_with(body, status))}, at=AT)[UP]
    assert says in (answer.failure or "")
    assert answer.results == ()


def test_a_server_that_is_away_is_a_failure() -> None:
    answer = prometheus.ask([UP], sources={"main": "http://127.0.0.1:1"}, at=AT)[UP]
    assert "cannot be reached" in (answer.failure or "")


def test_a_server_nobody_named_is_a_failure_that_says_where_to() -> None:
    answer = prometheus.ask([UP], sources={"other": "http://127.0.0.1:1"}, at=AT)[UP]
    assert "VIGIL_PROMETHEUS (other)" in (answer.failure or "")


def test_dripping_is_a_failure_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "ANSWER_SECONDS", 0.5)

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(30):
            request.wfile.write(b" ")
            time.sleep(0.1)

    started = time.monotonic()
    answer = prometheus.ask([UP], sources={"main": serve(drip)}, at=AT)[UP]
    assert "longer than" in (answer.failure or "")
    assert time.monotonic() - started < 3


def test_one_failing_server_does_not_spoil_another(serve: Serve) -> None:
    other = Question(source="other", query="up")
    found = prometheus.ask([UP, other], sources={"main": serve(_with(_vector())), "other": "http://127.0.0.1:1"}, at=AT)
    assert found[UP].failure is None
    assert found[other].failure is not None
