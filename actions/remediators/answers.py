"""What a remediator's HTTP answer means. Pure: an exchange in, an outcome out; only what is said clearly counts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from actions.remediators import base, text, transport
from vigil.http import strict_json
from vigil.kernel.errors import VigilError

SUCCEEDED = frozenset({"success", "succeeded", "completed"})
FAILED = frozenset({"failed", "error"})
RUNNING = frozenset({"running", "accepted", "pending"})
CANCELLED = frozenset({"cancelled"})
"""Of a run that was stopped because it was asked to; no answer to a call."""
REFUSALS = frozenset({"stale_fence", "deadline_passed"})
"""Codes of a refusal that are error classes of their own."""

LONGEST_RETRY_AFTER = 3600.0
MAY_BE_DONE_REDIRECTS = frozenset({302, 303})
"""Common answers to a form that *was* carried out; the others say that nothing was."""

type Body = Mapping[str, object]


def outcome(exchange: transport.Exchange, *, call: base.Call, strict: bool) -> base.Outcome:
    """What happened, as far as the answer proves it."""
    if exchange.status is None:
        return _without_answer(exchange)
    body, flaw = _body(exchange)
    judged = _judged(exchange, exchange.status, body, flaw, call=call, strict=strict)
    return replace(
        judged,
        http_status=exchange.status,
        excerpt=text.excerpt(exchange.body),
        first_byte_at_monotonic=exchange.first_byte_at,
        retry_after=retry_after(exchange.headers.get("retry-after"), at=call.at),
    )


def answer(exchange: transport.Exchange, *, uid: str, run_id: str, strict: bool) -> base.Answer:
    """What a remediator says about an earlier call; whatever is not said clearly is `cannot_say`."""
    if exchange.status is None:
        return base.Answer(state="cannot_say", message=f"Asking failed: {exchange.explanation}.")
    body, flaw = _body(exchange)
    if flaw:
        return base.Answer(state="cannot_say", message=f"It answered {exchange.status}, but {flaw}.")
    flaw = _mismatch(body, {"key": uid, "run_id": run_id} if run_id else {"key": uid})
    if not flaw and strict and "key" not in body:
        flaw = "the strict contract asks for the key"
    if flaw:
        return base.Answer(state="cannot_say", message=f"It answered {exchange.status}, but {flaw}.")
    return base.Answer(
        state=_state(exchange.status, _word(body)),
        message=text.sentence(body.get("message")) or f"It answered {exchange.status}.",
        details=text.details(body.get("details")),
    )


def retry_after(value: str | None, *, at: datetime) -> float | None:
    """Seconds to wait, 0 to 3600, from a number or a date; None for anything else."""
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:6]), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError):
        return None
    wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - at
    return min(max(wait.total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _without_answer(exchange: transport.Exchange) -> base.Outcome:
    if exchange.first_byte_at is None:
        return base.Outcome(
            kind="failed",
            retryable=exchange.trouble not in {"address_refused", "request"},
            error_class=exchange.trouble,
            message=f"Nothing was sent: {exchange.explanation}.",
        )
    return base.Outcome(
        kind="ambiguous",
        error_class=exchange.trouble,
        message=f"The request left, but no answer came: {exchange.explanation}.",
        first_byte_at_monotonic=exchange.first_byte_at,
    )


def _judged(
    exchange: transport.Exchange, status: int, body: Body, flaw: str, *, call: base.Call, strict: bool
) -> base.Outcome:
    strange = _mismatch(body, {"action_id": call.action_id, "key": call.uid, "target": call.target})
    if strange:
        return _ambiguous("id_mismatch", f"It answered {status}, but {strange}.")
    if 200 <= status < 300:
        return _after_2xx(exchange, status, body, flaw, strict=strict)
    if 400 <= status < 500:
        return _after_4xx(status, body)
    if status >= 500:
        return _after_5xx(exchange, status, body)
    if status < 300 or status in MAY_BE_DONE_REDIRECTS:
        return _ambiguous("redirect", f"It answered {status}, which says neither yes nor no.")
    place = text.excerpt(exchange.headers.get("location", ""), limit_bytes=200)
    return base.Outcome(
        kind="failed",
        error_class="redirect",
        message=f"It answered {status} to {place or 'nowhere'}. No redirect is followed; set the final URL.",
    )


def _after_2xx(exchange: transport.Exchange, status: int, body: Body, flaw: str, *, strict: bool) -> base.Outcome:
    if flaw:
        return _ambiguous(exchange.trouble or "invalid_answer", f"It answered {status}, but {flaw}.")
    if strict and not {"action_id", "key"} <= body.keys():
        return _ambiguous(
            "no_echo", f"It answered {status} without the action_id and key that the strict contract asks for."
        )
    said = text.sentence(body.get("message"))
    run_id = body.get("run_id")
    if status == 202 and isinstance(run_id, str) and 0 < len(run_id) <= 200:
        return base.Outcome(kind="accepted", run_id=run_id, message=said or "It has begun and will be asked again.")
    if _word(body) in SUCCEEDED:
        return base.Outcome(
            kind="succeeded", message=said or "It succeeded.", details=text.details(body.get("details"))
        )
    if _word(body) in FAILED:
        return _failure(body, error_class="answered_failed", retryable=body.get("retryable") is True, status=status)
    words = ", ".join(sorted(SUCCEEDED | FAILED))
    return _ambiguous("invalid_answer", f"It answered {status}, but its status is none of {words}.")


def _after_4xx(status: int, body: Body) -> base.Outcome:
    codes = [code for code in (body.get("code"), body.get("error")) if isinstance(code, str)]
    if "replayed" in codes:  # the first copy of this message may have been carried out
        return _ambiguous("replayed", "It has received this very message before; what became of it will be asked.")
    error_class = next((code for code in codes if code in REFUSALS), "rate_limited" if status == 429 else "http_4xx")
    return _failure(
        body, error_class=error_class, retryable=status == 429 or body.get("retryable") is True, status=status
    )


def _after_5xx(exchange: transport.Exchange, status: int, body: Body) -> base.Outcome:
    """A bare 5xx may come from a proxy after the effect; only a clear word makes it a definite failure."""
    if _word(body) in FAILED:
        return _failure(body, error_class="http_5xx", retryable=body.get("retryable") is not False, status=status)
    if status == 503 and "retry-after" in exchange.headers:
        return _failure(body, error_class="http_5xx", retryable=True, status=status)
    return _ambiguous("http_5xx", f"It answered {status}; whether anything was done is not known.")


def _failure(body: Body, *, error_class: str, retryable: bool, status: int) -> base.Outcome:
    said = next(filter(None, (text.sentence(body.get(name)) for name in ("message", "detail", "error"))), "")
    return base.Outcome(
        kind="failed",
        retryable=retryable,
        error_class=error_class,
        message=said or f"It answered {status}: failed.",
        details=text.details(body.get("details")),
    )


def _ambiguous(error_class: str, message: str) -> base.Outcome:
    return base.Outcome(kind="ambiguous", error_class=error_class, message=message)


def _state(status: int, word: str) -> base.AnswerState:
    if word == "not_found" and (status < 300 or status == 404):
        return "not_found"
    if not 200 <= status < 300:
        return "cannot_say"
    if word in RUNNING or status == 202:
        return "running"
    if word == "done" or word in SUCCEEDED:
        return "done"
    if word in CANCELLED:
        return "cancelled"
    return "failed" if word in FAILED else "cannot_say"


def _word(body: Body) -> str:
    """The answer's status, or "" for one that is no text."""
    word = body.get("status")
    return word if isinstance(word, str) else ""


def _mismatch(body: Body, expected: Mapping[str, object]) -> str:
    for name, value in expected.items():
        if name in body and (isinstance(body[name], bool) or str(body[name]) != str(value)):
            return f"its {name} belongs to another call"
    return ""


def _body(exchange: transport.Exchange) -> tuple[Body, str]:
    """The answer's JSON object, or {} and what is wrong with it."""
    if exchange.trouble:
        return {}, f"the answer broke off ({exchange.explanation})"
    if exchange.longer:
        return {}, f"the answer is longer than {base.READ_LIMIT_BYTES} bytes"
    if exchange.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return {}, "the answer is compressed, which was not asked for"
    try:
        found = strict_json.decode(exchange.body)
    except VigilError as error:
        return {}, f"the answer cannot be read ({error.detail.rstrip('.')})"
    return (found, "") if isinstance(found, dict) else ({}, "the answer is not a JSON object")
