"""InfluxDB's line protocol: `measurement,tag=value field=1,other=2i 1434055562000000000`, a line each.

Each field with a number is a reading, called `measurement_field`, or `measurement` where the field is called `value`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from metrics.formats.gathering import Gathering, Identity, identity
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

PRECISIONS = {
    "n": 1_000_000_000,
    "ns": 1_000_000_000,
    "u": 1_000_000,
    "us": 1_000_000,
    "µ": 1_000_000,
    "ms": 1_000,
    "s": 1,
    "m": 1 / 60,
    "h": 1 / 3600,
}
"""Units of a timestamp, as parts of a second."""
REMEMBERED_CHARACTERS = 1_000
_ESCAPED = re.compile(r"\\([,= \\])")
_NOTHING = re.compile(r"(?:[ \t\r\n]++|\#[^\n]*+)*+")
_LINE = re.compile(
    r"""
    (?P<series> (?: [^ \n\\] | \\[^\n] )++ )
    [ ]++ (?P<fields> (?: [^ "\n\r\\] | \\[^\n] | "(?:[^"\\]|\\.)*+" )++ )
    (?: [ ]++ (?P<time> -?[0-9]{1,20} ) )?
    [ \r]*+ (?: \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_KEY = r"(?P<key> (?: [^,=\\] | \\. )++ )"
_TAG = re.compile(rf", {_KEY} = (?P<value> (?: [^,=\\] | \\. )*+ )", re.VERBOSE)
_FIELD = re.compile(
    rf""" {_KEY} = (?P<value> "(?:[^"\\]|\\.)*+" | [^,"=]++ ) (?: , (?=.) | \Z )""", re.VERBOSE | re.DOTALL
)
_MEASUREMENT = re.compile(r"(?:[^,\\]|\\.)++", re.DOTALL)
_NUMBER = re.compile(r"(?P<number>[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?)[iu]?")
_BOOLEANS = dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), 0.0
)


def decode(body: bytes, *, precision: str, span: Span, max_items: int) -> Decoded:
    """The numbers in `body`; booleans are 1 and 0, texts are skipped. All values of a line have the line's index.

    `precision` is one of PRECISIONS. Raises Unreadable (400, 413) when nothing of the body can be used.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"The body is not UTF-8 (byte {error.start}); send line protocol in UTF-8.") from None
    gathered = Gathering(span, max_items=max_items)
    for line in _lines(text):
        gathered.begin()
        if isinstance(line, str):
            gathered.refuse(FieldError(path="", message=f"is not line protocol: {line}"))
        else:
            _values(line, PRECISIONS[precision], gathered)
    return gathered.decoded()


def _lines(text: str) -> Iterator[re.Match[str] | str]:
    """Each line, or what is wrong with it. A text in quotes may hold line breaks."""
    place = _after_nothing(text, 0)
    while place < len(text):
        line = _LINE.match(text, place)
        if line is not None:
            yield line
            place = line.end()
        else:
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
            yield 'send "measurement,tag=value field=1 timestamp"'
        place = _after_nothing(text, place)


def _after_nothing(text: str, place: int) -> int:
    found = _NOTHING.match(text, place)
    return place if found is None else found.end()


def _values(line: re.Match[str], parts: float, gathered: Gathering) -> None:
    at = None if line["time"] is None else int(line["time"]) / parts
    series, fields = line["series"], line["fields"]
    place = 0
    while place < len(fields):
        field = _FIELD.match(fields, place)
        if field is None:
            gathered.refuse(FieldError(path="fields", message="must be field=value, such as usage=87.5 or count=3i"))
            return
        place = field.end()
        _value(_identity_of(series, field["key"]), field, at, gathered)


def _value(one: Identity, field: re.Match[str], at: float | None, gathered: Gathering) -> None:
    told = field["value"]
    number = _NUMBER.fullmatch(told)
    if number is not None:
        gathered.sample(one, float(number["number"]), at)
    elif told in _BOOLEANS:
        gathered.sample(one, _BOOLEANS[told], at)
    elif told.startswith('"'):
        gathered.skip()
    else:
        gathered.refuse(FieldError(path="fields", message="holds a value that is no number, text, true or false"))


def _identity_of(series: str, field: str) -> Identity:
    short = len(series) + len(field) <= REMEMBERED_CHARACTERS
    return _remembered(series, field) if short else _understood(series, field)


def _understood(series: str, field: str) -> Identity:
    measurement = _MEASUREMENT.match(series)
    if measurement is None:
        return _flawed("has no measurement")
    tags: list[tuple[str, str]] = []
    place = measurement.end()
    while place < len(series):
        tag = _TAG.match(series, place)
        if tag is None:
            return _flawed("has a tag that is not key=value")
        tags.append((_unescaped(tag["key"]), _unescaped(tag["value"])))
        place = tag.end()
    name, plain = _unescaped(measurement[0]), _unescaped(field)
    return identity(name if plain == "value" else f"{name}_{plain}", tags)


_remembered = lru_cache(maxsize=16_384)(_understood)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _flawed(what: str) -> Identity:
    return Identity("", {}, (FieldError(path="tags", message=what),))
