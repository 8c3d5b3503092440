"""The table of what an answer means, as docs/writing-a-remediator.md gives it."""

import json
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.remediators import answers, base, text, transport
from tests.unit.remediators import peers

ECHO = {"action_id": 456, "key": "uid-1"}


def exchange(status: int, body: object, **headers: str) -> transport.Exchange:
    return transport.Exchange(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=json.dumps(body).encode() if not isinstance(body, bytes) else body,
        first_byte_at=1.0,
    )


def judged(status: int, body: object, *, strict: bool = False, **headers: str) -> base.Outcome:
    return answers.outcome(exchange(status, body, **headers), call=peers.call(), strict=strict)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"status": "success"}, ("succeeded", False, "")),
        (201, {"status": "succeeded"}, ("succeeded", False, "")),
        (200, {"status": "completed", **ECHO}, ("succeeded", False, "")),
        (200, {"status": "success", "action_id": "456"}, ("succeeded", False, "")),
        (202, {"run_id": "r1"}, ("accepted", False, "")),
        (202, {"run_id": "r1", "status": "success"}, ("accepted", False, "")),
        (202, {"status": "success"}, ("succeeded", False, "")),
        (202, {"status": "running"}, ("ambiguous", False, "invalid_answer")),
        (202, {"run_id": ""}, ("ambiguous", False, "invalid_answer")),
        (202, {"run_id": 5}, ("ambiguous", False, "invalid_answer")),
        (200, {"run_id": "r1"}, ("ambiguous", False, "invalid_answer")),
        (200, {"status": "failed"}, ("failed", False, "answered_failed")),
        (200, {"status": "error", "retryable": True}, ("failed", True, "answered_failed")),
        (200, {"status": "failed", "retryable": "yes"}, ("failed", False, "answered_failed")),
        (200, {"status": "Success"}, ("ambiguous", False, "invalid_answer")),
        (200, {"action_id": True, "status": "success"}, ("ambiguous", False, "id_mismatch")),
        (200, {"status": "success", "target": "web-02"}, ("ambiguous", False, "id_mismatch")),
        (301, {}, ("failed", False, "redirect")),
        (303, {"status": "success"}, ("ambiguous", False, "redirect")),
        (400, {}, ("failed", False, "http_4xx")),
        (404, b"<html>", ("failed", False, "http_4xx")),
        (409, {"status": "failed", "code": "stale_fence"}, ("failed", False, "stale_fence")),
        (409, {"error": "stale_fence"}, ("failed", False, "stale_fence")),
        (409, {"code": "deadline_passed"}, ("failed", False, "deadline_passed")),
        (409, {"code": "busy", "retryable": True}, ("failed", True, "http_4xx")),
        (409, {"code": "replayed"}, ("ambiguous", False, "replayed")),
        (422, {"status": "success"}, ("failed", False, "http_4xx")),
        (429, b"slow down", ("failed", True, "rate_limited")),
        (500, {}, ("ambiguous", False, "http_5xx")),
        (500, {"status": "success"}, ("ambiguous", False, "http_5xx")),
        (500, {"status": "failed"}, ("failed", True, "http_5xx")),
        (500, {"status": "error", "retryable": False}, ("failed", False, "http_5xx")),
        (503, b"", ("ambiguous", False, "http_5xx")),
        (503, {"status": "failed"}, ("failed", True, "http_5xx")),
        (504, b"", ("ambiguous", False, "http_5xx")),
    ],
)
def test_basic_contract(status: int, body: object, expected: tuple[str, bool, str]) -> None:
    outcome = judged(status, body)
    assert (outcome.kind, outcome.retryable, outcome.error_class) == expected
    assert outcome.http_status == status


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "success"}, "ambiguous"),
        ({"status": "success", "action_id": 456}, "ambiguous"),
        ({"status": "success", "key": "uid-1"}, "ambiguous"),
        ({"status": "failed"}, "ambiguous"),
        ({"status": "success", **ECHO}, "succeeded"),
        ({"status": "failed", **ECHO}, "failed"),
    ],
)
def test_strict_contract_wants_the_ids_back(body: object, expected: str) -> None:
    assert judged(200, body, strict=True).kind == expected


def test_503_with_retry_after_was_turned_away_at_the_door() -> None:
    outcome = judged(503, b"", retry_after="7")
    assert (outcome.kind, outcome.retryable, outcome.retry_after) == ("failed", True, 7.0)


@pytest.mark.parametrize("error_class", ["timeout", "http_5xx", "reset"])
def test_what_a_harmless_type_may_repeat_is_marked(error_class: str) -> None:
    assert base.Outcome(kind="ambiguous", error_class=error_class).temporary
    assert not base.Outcome(kind="failed", error_class=error_class).temporary


def test_a_wrong_answer_is_not_cured_by_repeating() -> None:
    assert not judged(200, {"status": "ok"}).temporary


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("99999999999", 3600.0),
        ("9" * 500, 3600.0),
        ("-1", None),
        ("NaN", None),
        ("1e9", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("²", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
        (format_datetime(peers.AT + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(peers.AT + timedelta(days=300), usegmt=True), 3600.0),
    ],
)
def test_retry_after_is_read_or_left_aside(value: str | None, seconds: float | None) -> None:
    assert answers.retry_after(value, at=peers.AT) == seconds


@given(st.text(max_size=40))
def test_retry_after_never_raises(value: str) -> None:
    found = answers.retry_after(value, at=peers.AT)
    assert found is None or 0 <= found <= 3600


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, {"status": "done", "key": "uid-1"}, "done"),
        (200, {"status": "success"}, "done"),
        (200, {"status": "failed"}, "failed"),
        (200, {"status": "running"}, "running"),
        (202, {"run_id": "r1"}, "running"),
        (404, {"status": "not_found"}, "not_found"),
        (200, {"status": "not_found"}, "not_found"),
        (404, {"detail": "Not found."}, "cannot_say"),
        (404, b"<h1>Not found</h1>", "cannot_say"),
        (500, {"status": "not_found"}, "cannot_say"),
        (500, {"status": "failed"}, "cannot_say"),
        (200, {"status": "done", "key": "uid-2"}, "cannot_say"),
        (200, {"status": "done", "run_id": "r2"}, "cannot_say"),
        (200, {}, "cannot_say"),
        (401, {"status": "failed"}, "cannot_say"),
    ],
)
def test_only_a_clear_word_settles_a_question(status: int, body: object, state: str) -> None:
    assert answers.answer(exchange(status, body), uid="uid-1", run_id="r1", strict=False).state == state


def test_a_strict_remediator_names_the_key_it_talks_about() -> None:
    assert answers.answer(exchange(200, {"status": "done"}), uid="u", run_id="", strict=True).state == "cannot_say"


def test_message_and_details_are_kept_short_and_printable() -> None:
    long = {"status": "success", "message": "a\n\x1b[31m" + "x" * 9000, "details": {"a": "y" * 9000}}
    outcome = judged(200, long)
    assert len(outcome.message.encode()) <= 500
    assert outcome.message.startswith("a\\n\\x1b[31m")
    assert "left out" in str(outcome.details["note"])


def test_a_failure_says_what_the_remediator_said() -> None:
    assert judged(422, {"detail": "no such service"}).message == "no such service"
    assert judged(422, {"detail": ["no"], "error": "nope"}).message == "nope"


@given(st.binary(max_size=6000))
def test_excerpts_can_always_be_stored_and_shown(data: bytes) -> None:
    shown = text.excerpt(data)
    assert len(shown.encode()) <= 4096
    assert shown.isprintable()


@given(st.text(max_size=3000))
def test_excerpts_of_text_can_always_be_stored_and_shown(data: str) -> None:
    assert len(text.excerpt(data, limit_bytes=100).encode()) <= 100


@given(
    status=st.integers(min_value=100, max_value=599),
    body=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["status", "message", "details", "key"]), inner)
        ),
    ),
)
def test_no_answer_raises_and_none_succeeds_without_the_word(status: int, body: object) -> None:
    outcome = judged(status, json.dumps(body).encode())
    said = body.get("status") if isinstance(body, dict) else None
    assert outcome.kind != "succeeded" or said in answers.SUCCEEDED
