"""Results of Nagios and Icinga checks, as JSON in the spellings that are about, or a line each as send_nsca takes them.

A result is a series `check_state` (0 OK, 1 warning, 2 critical) and, for each number in its performance data, one of
`check_perf`. UNKNOWN is no state: the value is left out, and the state goes stale.
"""

import re
from collections.abc import Iterator

import msgspec

from metrics.formats import shaped
from metrics.formats.gathering import Gathering, identity
from metrics.formats.moments import NotAMoment, Span
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

JSON, LINES = "application/json", "text/plain"
STATE, PERF = "check_state", "check_perf"
_OBJECTS_FOR_A_RESULT = 4
_UNKNOWN = 3
_STATES = {"0": 0, "1": 1, "2": 2, "3": 3, "OK": 0, "UP": 0, "WARNING": 1, "CRITICAL": 2, "DOWN": 2, "UNKNOWN": 3}
_HOST_CHECK = "hostalive"
_PERF = re.compile(
    r"\s*+ (?: '(?P<quoted>(?:[^']|'')++)' | (?P<plain>[^'=\s]++) )"
    r" = (?P<value> U | [+-]?[0-9.,]{1,40}(?:[eE][+-]?[0-9]{1,3})? ) (?P<unit>[a-zA-Z%]{0,8}) (?:;\S*+)? (?=\s|\Z)",
    re.VERBOSE,
)


class _Result(msgspec.Struct):
    """One check's result, in one spelling."""

    host: str
    state: str | int
    service: str = _HOST_CHECK
    output: str = ""
    perfdata: str | list[str] = ""
    timestamp: float | str | None = None


_SPELLINGS = {
    "hostname": "host",
    "host_name": "host",
    "servicename": "service",
    "service_description": "service",
    "exit_status": "state",
    "return_code": "state",
    "code": "state",
    "plugin_output": "output",
    "performance_data": "perfdata",
    "time": "timestamp",
}


def decode(body: bytes, *, content_type: str, span: Span, max_items: int) -> Decoded:
    """The results in `body`, JSON or LINES; what a result becomes has its index. Raises Unreadable (400, 413)."""
    gathered = Gathering(span, max_items=max_items)
    sent = _from_lines(body) if content_type == LINES else _from_json(body, max_items * _OBJECTS_FOR_A_RESULT)
    for result in sent:
        gathered.begin()
        if isinstance(result, FieldError):
            gathered.refuse(result)
        else:
            _result(result, span, gathered)
    return gathered.decoded()


def _from_json(body: bytes, most: int) -> Iterator[_Result | FieldError]:
    document = shaped.read(body, object, what="check results", most=most)
    if isinstance(document, dict):
        document = document.get("checkresults", [document])
    if not isinstance(document, list):
        raise Unreadable('The body holds no check results: send one, a list of them, or {"checkresults": [...]}.')
    for one in document:
        yield _spelled(one)


def _spelled(sent: object) -> _Result | FieldError:
    if isinstance(sent, dict) and isinstance(sent.get("checkresult"), dict):
        sent = sent | sent["checkresult"]  # NRDP wraps what it says of the kind of check
    if not isinstance(sent, dict):
        return FieldError(
            path="", message='must be an object such as {"host": "web-01", "service": "disk", "state": 0}'
        )
    told = {_SPELLINGS.get(name, name): value for name, value in sent.items() if value is not None}
    return shaped.fit(told, _Result, what="a check result")


def _from_lines(body: bytes) -> Iterator[_Result | FieldError]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body is not UTF-8 (byte {error.start}).") from None
    for line in text.split("\n"):
        parts = line.rstrip("\r").split("\t", 3)
        if parts == [""]:
            continue
        if len(parts) == 4:
            yield _Result(host=parts[0], service=parts[1], state=parts[2], output=parts[3])
        elif len(parts) == 3:
            yield _Result(host=parts[0], state=parts[1], output=parts[2])
        else:
            yield FieldError(path="", message="must be host, service, state and output, with tabs between them")


def _result(result: _Result, span: Span, gathered: Gathering) -> None:
    state = _STATES.get(str(result.state).upper())
    if state is None:
        gathered.refuse(FieldError(path="state", message="must be 0 to 3, or OK, WARNING, CRITICAL, UNKNOWN"))
        return
    at = None
    if result.timestamp is not None:
        try:
            at = span.explained(result.timestamp)
        except NotAMoment as error:
            gathered.refuse(FieldError(path="timestamp", message=str(error)))
            return
    tags = [("host", result.host), ("check", result.service)]
    if state == _UNKNOWN:
        gathered.skip()
    else:
        gathered.sample(identity(STATE, tags), float(state), at)
    for label, number, unit in _performance(result):
        if number is None:
            gathered.skip()
        else:
            gathered.sample(identity(PERF, [*tags, ("label", label), ("unit", unit)]), number, at)


def _performance(result: _Result) -> Iterator[tuple[str, float | None, str]]:
    """Label, number and unit of each value, until one that cannot be read; None is a value that the plugin lacks."""
    sent = result.perfdata if isinstance(result.perfdata, str) else " ".join(result.perfdata)
    text = sent or result.output.partition("|")[2]
    place = 0
    while (found := _PERF.match(text, place)) is not None:
        place = found.end()
        label = found["plain"] or found["quoted"].replace("''", "'")
        try:
            yield label, None if found["value"] == "U" else float(found["value"].replace(",", ".")), found["unit"]
        except ValueError:
            return
