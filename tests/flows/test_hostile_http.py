"""A real server under clients that mean no good: what the test client cannot send. One stack for all of it."""

import contextlib
import http.client
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.servers.stack import Stack, launcher

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240), pytest.mark.one_database]

LIMIT = 1_048_576
READING = b'{"name":"cpu","value":1,"tags":{"host":"a"}}'


@dataclass(frozen=True, kw_only=True)
class Vigil:
    """A running Vigil and a key for it."""

    stack: Stack
    key: str

    def raw(self, request: bytes, *, seconds: float = 20.0) -> tuple[int, dict[str, str], bytes]:
        """Send exactly these bytes; the answer's status, headers and body. Status 0: closed without an answer."""
        with socket.create_connection(("127.0.0.1", self.stack.port), timeout=seconds) as connection:
            # Refused before everything was sent: the answer may be there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            return _answer(connection)

    def head(self, verb: str = "POST", path: str = "/api/v1/ingest", *more: str) -> bytes:
        """The head of a request that has a key."""
        lines = [f"{verb} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.stack.port}", f"Authorization: Bearer {self.key}"]
        return "\r\n".join([*lines, "Content-Type: application/json", "Connection: close", *more, "", ""]).encode()

    def samples(self) -> int:
        """How many series are stored; every test here uses one of its own or none."""
        return int(self.get("/api/v1/metrics")["count"])

    def get(self, path: str) -> Any:
        answer = requests.get(self.stack.base_url + path, headers={"Authorization": f"Bearer {self.key}"}, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except (ConnectionResetError, http.client.HTTPException):
        return 0, {}, b""


@pytest.fixture(scope="module")
def vigil() -> Iterator[Vigil]:
    with launcher() as start:
        stack = start()
        yield Vigil(stack=stack, key=stack.create_key("agent-1"))


@pytest.fixture(autouse=True)
def _stores_nothing(vigil: Vigil, request: pytest.FixtureRequest) -> Iterator[None]:
    before = vigil.samples()
    yield
    if "stores" not in request.node.name:
        assert vigil.samples() == before


def _refused(answer: tuple[int, dict[str, str], bytes], *statuses: int) -> None:
    """A refusal in Vigil's shape."""
    status, headers, body = answer
    assert status in statuses, (status, body[:300])
    assert headers["content-type"].startswith("application/json"), (headers, body[:300])
    document = json.loads(body)
    assert set(document) == {"detail", "code", "errors", "request_id"}
    assert " " in document["detail"]


def _chunked(body: bytes, size: int = 65_536) -> bytes:
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_body_over_the_limit_is_a_413(vigil: Vigil) -> None:
    """H42"""
    body = b'{"name":"' + b"a" * LIMIT + b'"}'
    _refused(vigil.raw(vigil.head("POST", "/api/v1/ingest", f"Content-Length: {len(body)}") + body), 413)


def test_also_in_chunks_that_tell_no_length(vigil: Vigil) -> None:
    """H42"""
    body = b'{"name":"' + b"a" * LIMIT + b'"}'
    for path in ("/api/v1/ingest", "/api/v1/policies"):
        _refused(vigil.raw(vigil.head("POST", path, "Transfer-Encoding: chunked") + _chunked(body)), 413)


def test_a_small_body_in_chunks_stores_its_reading(vigil: Vigil) -> None:
    request = vigil.head("POST", "/api/v1/ingest", "Transfer-Encoding: chunked") + _chunked(READING, 10)
    status, _, body = vigil.raw(request)
    assert (status, json.loads(body)["status"]) == (201, "stored")


LENGTHS = {
    "shorter than the body": [f"Content-Length: {len(READING) - 5}"],
    "negative": ["Content-Length: -5"],
    "no number": ["Content-Length: five"],
    "two different": [f"Content-Length: {len(READING)}", "Content-Length: 3"],
    "a length and chunks": [f"Content-Length: {len(READING)}", "Transfer-Encoding: chunked"],
    "a list": [f"Content-Length: {len(READING)}, 3"],
    "a huge number": [f"Content-Length: {10**30}"],
    "an unknown encoding": ["Transfer-Encoding: xchunked"],
    "chunks that are none": ["Transfer-Encoding: chunked"],
    "a space before the colon": [f"Content-Length : {len(READING)}"],
}


@pytest.mark.parametrize("lines", LENGTHS.values(), ids=LENGTHS.keys())
def test_a_length_that_lies_is_refused_or_the_line_is_cut(vigil: Vigil, lines: list[str]) -> None:
    """H43"""
    status, _, body = vigil.raw(vigil.head("POST", "/api/v1/ingest", *lines) + READING)
    assert status == 0 or 400 <= status < 500, (status, body[:300])
    assert b"Traceback" not in body


def test_a_body_that_never_comes_blocks_nobody_else(vigil: Vigil) -> None:
    """H43, H44: forty clients that promise more than they send; another is served meanwhile."""
    waiting = []
    try:
        for _ in range(40):
            connection = socket.create_connection(("127.0.0.1", vigil.stack.port), timeout=20)
            connection.sendall(vigil.head("POST", "/api/v1/ingest", "Content-Length: 1000") + READING[:10])
            waiting.append(connection)
        started = time.monotonic()
        assert vigil.get("/health")["status"] == "healthy"
        assert time.monotonic() - started < 5
    finally:
        for connection in waiting:
            connection.close()
    assert vigil.get("/health")["status"] == "healthy"


@pytest.mark.parametrize("verb", ["TRACE", "FOO", "CONNECT", "PROPFIND"])
def test_unknown_verbs_are_refused(vigil: Vigil, verb: str) -> None:
    """P16"""
    status, _, body = vigil.raw(vigil.head(verb, "/api/v1/audit"))
    assert status in (400, 403, 404, 405), (status, body[:300])
    assert vigil.key.encode() not in body  # TRACE would send it back


@pytest.mark.parametrize("size", [8_192, 60_000])
def test_a_long_address_is_a_404(vigil: Vigil, size: int) -> None:
    """P16"""
    _refused(vigil.raw(vigil.head("GET", "/api/v1/" + "a" * size)), 404)


def test_a_very_long_address_does_not_matter_to_others(vigil: Vigil) -> None:
    status, _, _ = vigil.raw(vigil.head("GET", "/api/v1/" + "a" * 1_000_000))
    assert status == 0 or 400 <= status < 500
    assert vigil.get("/health")["status"] == "healthy"


@pytest.mark.parametrize("count", [90, 200, 5_000])
def test_many_headers_are_served_or_refused(vigil: Vigil, count: int) -> None:
    """P16"""
    status, _, body = vigil.raw(vigil.head("GET", "/api/v1/actions", *(f"X-Odd-{n}: x" for n in range(count))))
    assert status in (0, 200, 400, 431), (status, body[:300])


def test_a_header_of_64_kilobytes_is_served_or_refused(vigil: Vigil) -> None:
    """P16"""
    status, _, body = vigil.raw(vigil.head("GET", "/api/v1/actions", "X-Odd: " + "x" * 65_536))
    assert status in (200, 400, 431), (status, body[:300])


@pytest.mark.parametrize("host", ["evil", "evil.example:80", "127.0.0.1.evil.example"])
def test_a_foreign_host_is_a_400(vigil: Vigil, host: str) -> None:
    """P16"""
    head = re.sub(rb"Host: [^\r]*", b"Host: " + host.encode(), vigil.head("GET", "/api/v1/actions"))
    _refused(vigil.raw(head), 400)


@pytest.mark.parametrize(
    "line", ["X-Odd: a\nX-Other: b", "X-Odd\x00: a", " folded: x", "no colon", "X-Odd: a\x00b", "\xff: x"]
)
def test_broken_heads_are_refused(vigil: Vigil, line: str) -> None:
    status, _, body = vigil.raw(vigil.head("GET", "/api/v1/actions", line))
    assert status in (0, 200, 400), (status, body[:300])
    assert b"Traceback" not in body


def test_another_protocol_is_refused(vigil: Vigil) -> None:
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x00" * 1_000, b"GET\r\n\r\n", b"* PING\r\n\r\n"):
        status, _, _ = vigil.raw(noise + b"\r\n\r\n")
        assert status == 0 or 400 <= status < 500
    assert vigil.get("/health")["status"] == "healthy"


def _largest() -> bytes:
    """5,000 readings of 100 series, close to the limit in bytes."""
    pad = "x" * 120
    rows = [{"name": "load", "value": n, "tags": {"host": f"h{n % 100}", "pad": pad}} for n in range(5_000)]
    body = json.dumps(rows, separators=(",", ":")).encode()
    assert LIMIT * 0.7 < len(body) <= LIMIT
    return body


def test_a_hundred_of_the_largest_batches_at_once_stores_or_refuses_each(vigil: Vigil) -> None:
    """H60, S10: never a 500, and whoever is turned away is told to come back."""
    body = _largest()

    def send(_: int) -> tuple[int, str, float]:
        started = time.monotonic()
        answer = requests.post(
            f"{vigil.stack.base_url}/api/v1/ingest",
            data=body,
            headers={"Authorization": f"Bearer {vigil.key}", "Content-Type": "application/json"},
            timeout=120,
        )
        return answer.status_code, answer.headers.get("Retry-After", ""), time.monotonic() - started

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(send, range(100)))
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) <= {201, 429, 503}, statuses
    assert statuses[201] > 0
    assert all(retry for status, retry, _ in answers if status != 201)
    print(f"statuses {dict(statuses)}, slowest {max(seconds for _, _, seconds in answers):.1f} s")  # noqa: T201


def test_fifty_times_the_same_batch_under_one_key_stores_it_once(vigil: Vigil) -> None:
    """H56"""
    name = f"once_{time.monotonic_ns()}"
    headers = {"Authorization": f"Bearer {vigil.key}", "Content-Type": "application/json", "Idempotency-Key": name}

    def send(_: int) -> tuple[int, bytes]:
        url = f"{vigil.stack.base_url}/api/v1/ingest"
        answer = requests.post(url, data=json.dumps({"name": name, "value": 1}), headers=headers, timeout=60)
        return answer.status_code, answer.content

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, range(50)))
    assert {status for status, _ in answers} <= {201, 409}
    assert len({content for status, content in answers if status == 201}) == 1
    counted = vigil.get(f"/api/v1/metrics/query?metric={name}&aggregate=count")["series"]
    assert [sum(value for _, value in one["points"]) for one in counted] == [1]


def test_nothing_of_all_that_broke_anything_or_told_a_key(vigil: Vigil) -> None:
    """S4, S28, S29: the last test of this file reads what the others left in the logs."""
    secret = vigil.key.split("_", 2)[2]
    for path in (vigil.stack.data_dir / "logs").glob("*.log"):
        text = path.read_text(errors="surrogateescape")
        assert secret not in text, path.name
        assert [line for line in text.splitlines() if "Traceback" in line] == [], path.name
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text) is None, path.name
    assert vigil.get("/ready")["status"] == "ready"
