"""Telegraf's JSON, from its HTTP output: metrics with several fields each."""

import msgspec

from metrics.formats import shaped
from metrics.formats.gathering import Gathering, identity
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded, Unreadable
from vigil.kernel.errors import FieldError

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Values of `json_timestamp_units`, as parts of a second."""
_OBJECTS_FOR_A_VALUE = 4


class _Metric(msgspec.Struct):
    name: str
    fields: dict[str, float | bool | str | None]
    tags: dict[str, str] = {}
    timestamp: float | None = None


def decode(body: bytes, *, unit: str, span: Span, max_items: int) -> Decoded:
    """The numbers in `body`, called `name_field`, or `name` where the field is called `value`.

    Booleans are 1 and 0, texts are skipped. Raises Unreadable (400, 413).
    """
    what = "a metric of Telegraf"
    document = shaped.read(body, dict[str, object], what=what, most=max_items * _OBJECTS_FOR_A_VALUE)
    inside = document.get("metrics", [document])
    if not isinstance(inside, list):
        raise Unreadable("The body is not the JSON of Telegraf: metrics must be a list.")
    gathered = Gathering(span, max_items=max_items)
    for item in inside:
        gathered.begin()
        metric = shaped.fit(item, _Metric, what=what)
        if isinstance(metric, FieldError):
            gathered.refuse(metric)
        else:
            _metric(metric, UNITS[unit], gathered)
    return gathered.decoded()


def _metric(metric: _Metric, parts: int, gathered: Gathering) -> None:
    at = None if metric.timestamp is None else metric.timestamp / parts
    for field, value in metric.fields.items():
        if value is None or isinstance(value, str):
            gathered.skip()
            continue
        name = metric.name if field == "value" else f"{metric.name}_{field}"
        gathered.sample(identity(name, metric.tags.items()), float(value), at)
