"""collectd's write_http plugin, in its JSON format: value lists with a data source each."""

import msgspec

from metrics.formats import shaped
from metrics.formats.gathering import Gathering, Identity, identity
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded
from vigil.kernel.errors import FieldError

_OBJECTS_FOR_A_VALUE = 4


class _ValueList(msgspec.Struct):
    values: list[float | None]
    dsnames: list[str]
    host: str
    plugin: str
    type: str
    time: float | None = None
    plugin_instance: str = ""
    type_instance: str = ""


def decode(body: bytes, *, span: Span, max_items: int) -> Decoded:
    """The values in `body`; all of a list have its index. Raises Unreadable (400, 413).

    Plugin, type and data source make the name, as in `df_complex`, `load_shortterm`; host and instances are tags.
    """
    gathered = Gathering(span, max_items=max_items)
    most = max_items * _OBJECTS_FOR_A_VALUE
    for item in shaped.read(body, list[object], what="the value lists of collectd", most=most):
        gathered.begin()
        sent = shaped.fit(item, _ValueList, what="a value list of collectd")
        if isinstance(sent, FieldError):
            gathered.refuse(sent)
        else:
            _values(sent, gathered)
    return gathered.decoded()


def _values(sent: _ValueList, gathered: Gathering) -> None:
    if len(sent.values) != len(sent.dsnames):
        message = f"names {len(sent.dsnames)} sources for {len(sent.values)} values"
        gathered.refuse(FieldError(path="dsnames", message=message))
        return
    for source, value in zip(sent.dsnames, sent.values, strict=True):
        if value is None:
            gathered.skip()
        else:
            gathered.sample(_series(sent, source), value, sent.time)


def _series(sent: _ValueList, source: str) -> Identity:
    parts = [sent.plugin]
    if sent.type.startswith(f"{sent.plugin}_"):
        parts = [sent.type]
    elif sent.type != sent.plugin:
        parts.append(sent.type)
    if source != "value":
        parts.append(source)
    tags = {"host": sent.host, "plugin_instance": sent.plugin_instance, "type_instance": sent.type_instance}
    return identity("_".join(parts), tags.items())
