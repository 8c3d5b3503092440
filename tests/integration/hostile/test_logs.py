"""What strangers send never acts in a log, and no key is ever in one."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from tests.integration.hostile import door as doors
from tests.integration.hostile.door import Door

FORGED = "ok\r\n[ERROR] all is lost\x1b[2J\x1b]0;owned\x07\u202e\u2028\x7f\x85"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged during the test, as it would be written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    handler.setFormatter(next(one.formatter for one in root.handlers if type(one) is logging.StreamHandler))
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


def _lines(log: io.StringIO) -> list[str]:
    """The lines, each a JSON object in printable ASCII."""
    lines = log.getvalue().split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.isascii(), line
        assert line.isprintable(), line
        assert "event" in json.loads(line)
    return lines


def _everywhere(door: Door, text: str, quoted: str) -> None:
    """Send the text wherever something can be sent; `quoted` is the same for addresses."""
    said = text.encode().decode("latin-1")  # how a server hands on the bytes of a header
    headers = door.with_key(X_Request_ID=said, User_Agent=said, X_Forwarded_For=said, Idempotency_Key=said)
    for headed in (headers, door.with_key(If_Match=said, Cookie=said, Referer=said, Origin=said), {"Host": said}):
        door.send("POST", "/api/v1/ingest", {"name": "cpu", "value": 1, "tags": {"host": text}}, headers=headed)
    door.send("POST", "/api/v1/ingest", {text: text})
    door.send("POST", "/api/v1/ingest", {"type": "event", "name": "e", "payload": {text: text}})
    door.send("POST", "/api/v1/policies", {text: text, "name": text})
    door.send("POST", "/api/v1/policies", {"name": "p", "target": text, "condition": text, "action": text})
    door.send("POST", "/api/v1/policies/evaluate", {"metrics": {text: 1}, "target": text})
    door.send("POST", "/api/v1/actions", {"action": text, "target": text, "reason": text})
    door.send("POST", "/api/v1/actions", {"action": "custom", "target": "a", "params": {text: text}, "reason": text})
    door.send("PUT", "/api/v1/control", {"mode": "observe", "reason": text})
    for path in (f"policies/{quoted}", f"actions/status/{quoted}", f"{quoted}", f"actions?target={quoted}"):
        door.send("GET", f"/api/v1/{path}", content_type="")
        door.send("FOO", f"/api/v1/{path}?{quoted}={quoted}")
    door.send("GET", f"/api/v1/actions?api_key={quoted}", content_type="", headers={"Authorization": f"Bearer {said}"})


def test_control_characters_never_reach_a_log_as_they_are(door: Door, log: io.StringIO) -> None:
    _everywhere(door, FORGED, "ok%0D%0A%5BERROR%5D%20all%20is%20lost%1B%5B2J%07%E2%80%AE%E2%80%A8%7F%C2%85")
    assert len(_lines(log)) > 20


def test_a_key_is_in_no_log_wherever_it_was_put(door: Door, log: io.StringIO) -> None:
    """S4"""
    secret = door.plain.split("_", 2)[2]
    _everywhere(door, door.plain, door.plain)
    lines = _lines(log)
    assert len(lines) > 20
    assert [line for line in lines if secret in line] == []


def test_a_refused_key_is_not_repeated_in_the_answer(door: Door, log: io.StringIO) -> None:
    """S4"""
    wrong = door.plain[:-1] + ("0" if door.plain[-1] != "0" else "1")
    answer = door.send("GET", f"/api/v1/actions?api_key={wrong}", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status == 401
    assert wrong.split("_", 2)[2] not in answer.body.decode() + log.getvalue()


def test_what_broke_inside_is_told_to_the_log_alone(door: Door, log: io.StringIO, settings: LazySettings) -> None:
    """S28: the caller gets a request id, the log the rest."""
    settings.VIGIL_BATCH_MAX = "no number"
    answer = door.send("POST", "/api/v1/ingest", [{"name": "cpu", "value": 1}])
    assert (answer.status, answer.left) == (500, {})
    assert answer.document["code"] == "internal"
    assert "supported" not in answer.body.decode()
    [line] = [json.loads(line) for line in _lines(log) if "'>' not supported" in line]
    assert line["request_id"] == answer.document["request_id"]
    assert "Traceback" in line["exception"]


def test_the_log_says_who_was_refused(door: Door, log: io.StringIO) -> None:
    reader = doors.of("read", name="reader")
    for verb, path, status in [("PUT", "/api/v1/control", 403), ("DELETE", "/api/v1/audit", 405)]:
        assert reader.send(verb, path, b"{}").status == status
    told = [one for one in map(json.loads, _lines(log)) if one["event"] == "http.request.answered"]
    assert [one["actor"] for one in told] == ["key:reader", "key:reader"]
