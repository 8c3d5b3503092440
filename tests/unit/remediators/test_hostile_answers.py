"""Whatever a peer sends, the call ends in time, costs little memory and is never taken for a success."""

import gzip
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.remediators import base, registry
from tests.unit.remediators import peers

GOOD = json.dumps({"status": "succeeded", "action_id": 456, "key": "uid-1"}).encode()
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SECONDS = 1.0


def sends(*parts: bytes) -> peers.Script:
    def script(line: socket.socket) -> None:
        for part in parts:
            line.sendall(part)

    return script


def drips(before: bytes, drop: bytes, *, every: float = 0.1) -> peers.Script:
    def script(line: socket.socket) -> None:
        line.sendall(before)
        while True:
            line.sendall(drop)
            time.sleep(every)

    return script


def pours(before: bytes, part: bytes) -> peers.Script:
    """As fast as it goes, until the other side hangs up."""

    def script(line: socket.socket) -> None:
        line.sendall(before)
        while True:
            line.sendall(part)

    return script


def then_resets(before: bytes) -> peers.Script:
    def script(line: socket.socket) -> None:
        line.sendall(before)
        peers.reset(line)

    return script


def says_nothing(line: socket.socket) -> None:
    line.recv(1)


def other_id(line: socket.socket) -> None:
    line.sendall(peers.answer(b'{"status": "succeeded", "action_id": 457}'))


HOSTILE: dict[str, tuple[peers.Script, str]] = {
    "ten gigabytes": (pours(HEAD + b"Content-Length: 10000000000\r\n\r\n", b"x" * 65536), "invalid_answer"),
    "valid JSON and then gigabytes": (pours(HEAD + b"\r\n" + GOOD, b" " * 65536), "invalid_answer"),
    "a byte now and then": (drips(HEAD + b"Content-Length: 100000\r\n\r\n", b" "), "timeout"),
    "good answer without length, never closed": (drips(HEAD + b"\r\n" + GOOD, b" "), "timeout"),
    "headers that drip": (drips(HEAD, b"X"), "timeout"),
    "header lines that drip": (drips(HEAD, b"X: y\r\n"), "timeout"),
    "a status line that drips": (drips(b"HTTP/1.1 200 ", b"O"), "timeout"),
    "a header of a megabyte": (sends(HEAD + b"X: " + b"y" * 2**20 + b"\r\n\r\n" + GOOD), "protocol"),
    "ten thousand headers": (sends(HEAD + b"X: y\r\n" * 10_000 + b"\r\n" + GOOD), "protocol"),
    "a gzip bomb": (
        sends(peers.answer(gzip.compress(b" " * 10_000_000 + GOOD), headers=b"Content-Encoding: gzip\r\n")),
        "invalid_answer",
    ),
    "a page of HTML": (sends(peers.answer(b"<html>succeeded</html>")), "invalid_answer"),
    "nothing at all, politely": (sends(peers.answer(b"")), "invalid_answer"),
    "204": (sends(b"HTTP/1.1 204 No Content\r\n\r\n"), "invalid_answer"),
    "half a JSON": (sends(peers.answer(GOOD[:-3])), "invalid_answer"),
    "brackets without end": (sends(peers.answer(b"[" * 60_000)), "invalid_answer"),
    "deep but closed": (sends(peers.answer(b'{"a":' * 500 + b"1" + b"}" * 500)), "invalid_answer"),
    "a list": (sends(peers.answer(b"[" + GOOD + b"]")), "invalid_answer"),
    "a status twice": (sends(peers.answer(b'{"status":"failed","status":"succeeded"}')), "invalid_answer"),
    "NaN": (sends(peers.answer(b'{"status":"succeeded","details":{"a":NaN}}')), "invalid_answer"),
    "a status that is no word of the contract": (sends(peers.answer(b'{"status":"ok"}')), "invalid_answer"),
    "a true status": (sends(peers.answer(b'{"status":true}')), "invalid_answer"),
    "a NUL in the message": (sends(peers.answer(b'{"status":"succeeded","message":"\\u0000"}')), "invalid_answer"),
    "a lone surrogate": (sends(peers.answer(b'{"status":"succeeded","message":"\\ud800"}')), "invalid_answer"),
    "not UTF-8": (sends(peers.answer(b'{"status":"succeeded","message":"\xff"}')), "invalid_answer"),
    "the id of another action": (other_id, "id_mismatch"),
    "the key of another action": (sends(peers.answer(b'{"status":"succeeded","key":"uid-2"}')), "id_mismatch"),
    "a failure of another action": (
        sends(peers.answer(b'{"status":"failed","action_id":457}', status="400 Bad Request")),
        "id_mismatch",
    ),
    "chunks without end": (drips(CHUNKED, b"1\r\n \r\n", every=0.01), "timeout"),
    "chunks without end, fast": (pours(CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"), "invalid_answer"),
    "a chunk of an absurd size": (sends(CHUNKED + b"fffffffffffffffff\r\n" + GOOD), "reset"),
    "a chunk size that is no number": (sends(CHUNKED + b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n"), "protocol"),
    "trailers without end": (pours(CHUNKED + b"0\r\n", b"X: y\r\n"), "timeout"),
    "100 Continue for ever": (pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
    "a reset before the headers": (then_resets(b""), "reset"),
    "an end before the headers": (sends(b""), "reset"),
    "a reset in the middle": (then_resets(HEAD + b"Content-Length: 100\r\n\r\n" + GOOD), "reset"),
    "an end in the middle": (sends(HEAD + b"Content-Length: 100\r\n\r\n" + GOOD), "reset"),
    "an answer that is no HTTP": (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
    "silence": (says_nothing, "timeout"),
    "302 to the metadata service": (
        sends(peers.answer(b"", status="302 Found", headers=b"Location: http://169.254.169.254/\r\n")),
        "redirect",
    ),
    "a switch of protocols": (sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + GOOD), "redirect"),
    "500 with a page": (sends(peers.answer(b"<h1>Oops</h1>", status="500 Internal Server Error")), "http_5xx"),
    "502 from a proxy": (sends(peers.answer(b"", status="502 Bad Gateway")), "http_5xx"),
    "503 from a proxy": (sends(peers.answer(b"", status="503 Service Unavailable")), "http_5xx"),
}


@pytest.fixture
def calling() -> Callable[[str], tuple[base.Outcome, float]]:
    def make_call(url: str) -> tuple[base.Outcome, float]:
        remediator = registry.build(kind="http", config={"url": url})
        began = time.monotonic()
        outcome = remediator.call(peers.call(), deadline_monotonic=began + SECONDS)
        return outcome, time.monotonic() - began

    return make_call


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind() -> Iterator[None]:
    yield
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up and any(t.name.startswith("vigil-") for t in threading.enumerate()):
        time.sleep(0.01)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vigil-")]


@pytest.mark.parametrize(("script", "error_class"), HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_answers_stay_ambiguous_and_end_in_time(
    script: peers.Script, error_class: str, calling: Callable[[str], tuple[base.Outcome, float]]
) -> None:
    with peers.listening(script) as peer:
        outcome, took = calling(peer.url)
    assert (outcome.kind, outcome.error_class) == ("ambiguous", error_class), outcome
    assert outcome.first_byte_sent
    assert took < SECONDS + 0.5
    assert outcome.message
    assert len(outcome.excerpt.encode()) <= 4096
    assert outcome.excerpt.isprintable()
    assert peer.connections == 1


@pytest.mark.parametrize("script", [script for script, _ in HOSTILE.values()], ids=list(HOSTILE))
def test_hostile_answers_to_a_question_say_nothing_about_the_run(script: peers.Script) -> None:
    with peers.listening(script) as peer:
        remediator = registry.build(kind="http", config={"url": peer.url})
        answer = remediator.ask("uid-9", "", deadline_monotonic=time.monotonic() + 0.4)
    # "the id of another action" names no key, so only its word counts; all others must leave the question open
    assert answer.state == ("done" if script is other_id else "cannot_say"), answer


def test_ten_gigabytes_cost_no_memory(calling: Callable[[str], tuple[base.Outcome, float]]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with peers.listening(pours(HEAD + b"\r\n", b"x" * 65536)) as peer:
        for _ in range(5):
            calling(peer.url)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


def test_four_megabytes_of_error_text_are_a_failure_with_a_short_excerpt(
    calling: Callable[[str], tuple[base.Outcome, float]],
) -> None:
    text = "\0\x1b[2Jé".encode() * 700_000
    with peers.listening(sends(peers.answer(text, status="400 Bad Request"))) as peer:
        outcome, _ = calling(peer.url)
    assert (outcome.kind, outcome.retryable, outcome.error_class) == ("failed", False, "http_4xx")
    assert len(outcome.excerpt.encode()) <= 4096
    assert outcome.excerpt.startswith("\\x00\\x1b[2Jé")


def test_no_redirect_is_followed(calling: Callable[[str], tuple[base.Outcome, float]]) -> None:
    with peers.listening(sends(peers.answer(GOOD))) as other:
        location = f"Location: {other.url}/\r\n".encode()
        moved = sends(peers.answer(b"", status="308 Permanent Redirect", headers=location))
        with peers.listening(moved) as peer:
            outcome, _ = calling(peer.url)
        assert other.connections == 0
    assert (outcome.kind, outcome.error_class, outcome.retryable) == ("failed", "redirect", False)
    assert other.url in outcome.message


def test_a_good_answer_succeeds_so_the_table_above_means_something(
    calling: Callable[[str], tuple[base.Outcome, float]],
) -> None:
    with peers.listening(sends(peers.answer(GOOD))) as peer:
        outcome, took = calling(peer.url)
    assert (outcome.kind, outcome.http_status) == ("succeeded", 200)
    assert took < 0.5


def test_environment_proxies_are_not_used(
    calling: Callable[[str], tuple[base.Outcome, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with peers.listening(sends(peers.answer(b'{"status":"failed"}'))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with peers.listening(sends(peers.answer(GOOD))) as peer:
            outcome, _ = calling(peer.url)
        assert proxy.connections == 0
    assert outcome.kind == "succeeded"


def test_descriptors_are_given_back(calling: Callable[[str], tuple[base.Outcome, float]]) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with peers.listening(then_resets(HEAD)) as peer:
        calling(peer.url)
        time.sleep(0.1)
        before = descriptors()
        for _ in range(20):
            calling(peer.url)
        time.sleep(0.1)
        assert descriptors() <= before + 2


@settings(max_examples=60)
@given(answer=st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda b: HEAD + b)))
def test_random_bytes_never_raise_and_never_succeed(answer: bytes) -> None:
    with peers.listening(sends(answer)) as peer:
        remediator = registry.build(kind="http", config={"url": peer.url})
        outcome = remediator.call(peers.call(), deadline_monotonic=time.monotonic() + 2)
    assert outcome.kind in {"ambiguous", "failed"}
