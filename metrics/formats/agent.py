"""What the agents of the earlier Vigil send: one host, one time, and a mapping from names to values."""

import math
import re
from datetime import datetime

import msgspec

from metrics.formats import shaped, text
from metrics.formats.gathering import Gathering, identity
from metrics.formats.moments import NotAMoment, Span
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

_OBJECTS_MOST = 64
_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")


class _Report(msgspec.Struct):
    hostname: str
    metrics: dict[str, object]
    timestamp: str | float | None = None
    agent_version: str | None = None


def decode(body: bytes, *, span: Span, max_items: int) -> Decoded:
    """The metrics in `body`, tagged with their `host`. Raises Unreadable (400, 413, 422).

    A time without a zone does not say which moment it is: the time of arrival counts then.
    """
    sent = shaped.read(body, _Report, what="the report of an agent", most=_OBJECTS_MOST)
    if not sent.hostname or sent.hostname.isspace():
        raise _invalid("hostname", "must not be blank")
    at = _moment(sent.timestamp, span)
    gathered = Gathering(span, max_items=max_items)
    for name, value in sent.metrics.items():
        if value is None:
            gathered.skip()
        elif isinstance(value, bool | int | float):
            gathered.sample(identity(name, [("host", sent.hostname)]), _number(value), at)
        else:
            gathered.refuse(
                FieldError(path=f"metrics.{text.shown(name)}", message="must be a number, true, false or null")
            )
    return gathered.decoded()


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _moment(sent: str | float | None, span: Span) -> datetime | None:
    if sent is None or (isinstance(sent, str) and _WITHOUT_ZONE.fullmatch(sent)):
        return None
    try:
        return span.explained(sent)
    except NotAMoment as error:
        raise _invalid("timestamp", str(error)) from None


def _invalid(path: str, message: str) -> Unreadable:
    errors = [FieldError(path=path, message=message)]
    return Unreadable(f"{path}: {message}.", code="invalid", status=422, errors=errors)
