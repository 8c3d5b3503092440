"""Asks the configured Prometheus-compatible servers. What they cannot answer is a failure, never an empty answer."""

import math
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec
import requests
import structlog

from policies.engine.values import Answer, Answered, Question

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""For the whole answer: a server that drips a byte a second has failed too."""
MOST_BYTES = 4 * 1024 * 1024
AT_ONCE = 4


class Refused(Exception):
    """Why there is no answer, in a few words."""


class _Element(msgspec.Struct):
    value: tuple[float, str]
    metric: dict[str, str] = {}


class _Vector(msgspec.Struct, tag_field="resultType", tag="vector"):
    result: list[_Element]


class _Scalar(msgspec.Struct, tag_field="resultType", tag="scalar"):
    result: tuple[float, str]


class _Success(msgspec.Struct, tag_field="status", tag="success"):
    data: _Vector | _Scalar


class _Error(msgspec.Struct, tag_field="status", tag="error"):
    error: str = ""


def ask(questions: Collection[Question], *, sources: Mapping[str, str], at: datetime) -> dict[Question, Answer]:
    """Every question's answer for the moment `at`; `sources` maps a server's name to its address."""
    if not questions:
        return {}
    with ThreadPoolExecutor(min(AT_ONCE, len(questions))) as pool:
        answers = pool.map(lambda question: _answer(question, sources, at), questions)
        return dict(zip(questions, answers, strict=True))


def _answer(question: Question, sources: Mapping[str, str], at: datetime) -> Answer:
    try:
        address = sources.get(question.source)
        if address is None:
            raise Refused(
                f"no server is called so; name it in VIGIL_PROMETHEUS ({', '.join(sorted(sources)) or 'empty'})"
            )
        return Answer(at=at, results=_results(_fetch(address, question.query, at)))
    except (Refused, requests.RequestException) as error:
        reason = str(error) if isinstance(error, Refused) else f"it cannot be reached ({type(error).__name__})"
        log.warning("policies.source.failed", source=question.source, reason=reason)
        return Answer(at=at, failure=reason)


def _fetch(address: str, query: str, at: datetime) -> bytes:
    until = time.monotonic() + ANSWER_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        with session.post(
            f"{address.rstrip('/')}/api/v1/query",
            data={"query": query, "time": f"{at.timestamp():.3f}", "timeout": f"{ANSWER_SECONDS:g}s"},
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as answer:
            content = bytearray()
            while chunk := answer.raw.read1(65_536):  # read() would wait for all of them, however slowly they drip
                content += chunk
                if len(content) > MOST_BYTES:
                    raise Refused(f"the answer is larger than {MOST_BYTES:,} bytes")
                if time.monotonic() > until:
                    raise Refused(f"the answer took longer than {ANSWER_SECONDS:g} s")
            return bytes(content)


def _results(content: bytes) -> tuple[Answered, ...]:
    try:
        told = msgspec.json.decode(content, type=_Success | _Error)
    except (msgspec.DecodeError, ValueError) as error:
        raise Refused("it answered something that is no instant vector of Prometheus") from error
    if isinstance(told, _Error):
        raise Refused(told.error[:200] or "it answered an error without a word")
    if isinstance(told.data, _Scalar):
        return _finite([Answered(value=_number(told.data.result[1]))])
    return _finite(
        [
            Answered(
                labels={name: value for name, value in one.metric.items() if name != "__name__"},
                value=_number(one.value[1]),
            )
            for one in told.data.result
        ]
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Refused(f"it answered the value {text[:20]!r}") from error


def _finite(results: list[Answered]) -> tuple[Answered, ...]:
    """NaN satisfies nothing; infinities are kept, as Prometheus does."""
    return tuple(one for one in results if not math.isnan(one.value))
