"""The text that Prometheus scrapes, pushed: `name{label="value"} 1.5 1434055562000`, and OpenMetrics, a line each."""

import re
from collections.abc import Mapping
from functools import lru_cache

from metrics.formats.gathering import Gathering, Identity, identity
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

TEXT, OPENMETRICS = "text/plain", "application/openmetrics-text"
REMEMBERED_CHARACTERS = 2_000
_LINE = re.compile(
    r"""
    [ \t]*+ (?P<name> [^ \t\n{\#]++ ) [ \t]*+
    (?: \{ (?P<labels> (?: [^"}\n] | "(?:[^"\\\n]|\\.)*+" )*+ ) \} )? [ \t]*+
    (?P<value> [^ \t\n\#]++ ) (?: [ \t]++ (?P<time> -?[0-9]{1,20}(?:\.[0-9]{1,9})? ) )?
    (?: [ \t]++ \# [^\n]*+ )? [ \t\r]*+
    """,
    re.VERBOSE,
)
_LABEL = re.compile(
    r'[ \t]*+(?P<key>[a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"(?P<value>(?:[^"\\]|\\.)*+)"[ \t]*+(?:,|\Z)', re.DOTALL
)
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?|[+-]?[Ii]nf(?:inity)?|[Nn]a[Nn]"
)
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
_ESCAPED = re.compile(r'\\[\\"n]')


def decode(body: bytes, *, openmetrics: bool, tags: Mapping[str, str], span: Span, max_items: int) -> Decoded:
    """The samples in `body`; `tags` are added where a sample has none of that key. Raises Unreadable (400, 413).

    Times are in milliseconds, in OpenMetrics in seconds. Comments, types and exemplars are left out.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body is not UTF-8 (byte {error.start}); send the text format in UTF-8.") from None
    gathered = Gathering(span, max_items=max_items)
    more = tuple(tags.items())
    for line in text.split("\n"):
        bare = line.strip(" \t\r")
        if bare and not bare.startswith("#"):
            _sample(bare, more, 1 if openmetrics else 1_000, gathered)
    return gathered.decoded()


def _sample(line: str, more: tuple[tuple[str, str], ...], parts: int, gathered: Gathering) -> None:
    found = _LINE.fullmatch(line)
    if found is None or _NUMBER.fullmatch(found["value"]) is None:
        message = 'is no sample of the text format; send name{label="value"} 1.5'
        gathered.refuse(FieldError(path="", message=message))
        return
    at = None if found["time"] is None else float(found["time"]) / parts
    gathered.sample(_identity_of(found["name"], found["labels"] or "", more), float(found["value"]), at)


def _identity_of(name: str, labels: str, more: tuple[tuple[str, str], ...]) -> Identity:
    short = len(name) + len(labels) <= REMEMBERED_CHARACTERS
    return _remembered(name, labels, more) if short else _understood(name, labels, more)


def _understood(name: str, labels: str, more: tuple[tuple[str, str], ...]) -> Identity:
    tags: dict[str, str] = {}
    place, end = 0, len(labels.rstrip(" \t"))
    while place < end:
        label = _LABEL.match(labels, place)
        if label is None:
            return _flawed('must be label="value", separated by commas')
        if label["key"] in tags:
            return _flawed(f"has the label {label['key'][:64]!r} twice")
        tags[label["key"]] = _ESCAPED.sub(lambda escape: _ESCAPES[escape[0]], label["value"])
        place = label.end()
    return identity(name, (dict(more) | tags).items())


_remembered = lru_cache(maxsize=16_384)(_understood)


def _flawed(what: str) -> Identity:
    return Identity("", {}, (FieldError(path="labels", message=what),))
