"""CloudEvents 1.0 over HTTP in its three modes: structured, binary, and batch.

An event's type is its name; source, subject and extensions are its tags; source and id tell it from every other.
"""

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote

from metrics.formats import payloads, shaped, text
from metrics.formats.gathering import Gathering, identity
from metrics.formats.moments import NotAMoment, Span
from metrics.formats.reading import Decoded
from vigil.kernel.errors import FieldError

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
type Mode = Literal["structured", "binary", "batch"]

_WHAT = "an event of CloudEvents"
_OBJECTS_MOST, _OBJECTS_FOR_AN_EVENT = 10_000, 10
_HEADER = "ce-"
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
_REQUIRED = ("specversion", "id", "source", "type")
_NO_TAGS = {*_REQUIRED, "time", "datacontenttype", "dataschema", "data", "data_base64", "severity"}
_SEVERITIES = {"critical": "critical", "error": "critical", "warning": "warning", "warn": "warning", "info": "info"}


def mode(content_type: str, headers: Mapping[str, str]) -> Mode | None:
    """How an event is sent; None when nothing says that it is one. Header names are in lower case."""
    media = content_type.split(";")[0].strip().lower()
    if media == STRUCTURED:
        return "structured"
    if media == BATCH:
        return "batch"
    return "binary" if f"{_HEADER}specversion" in headers else None


def decode(body: bytes, *, sent_as: Mode, headers: Mapping[str, str], span: Span, max_items: int) -> Decoded:
    """The events of a request; header names are in lower case. Raises Unreadable (400, 413)."""
    gathered = Gathering(span, max_items=max_items)
    if sent_as == "binary":
        _event(_binary(body, headers), span, gathered)
        return gathered.decoded()
    most = _OBJECTS_MOST + max_items * _OBJECTS_FOR_AN_EVENT
    if sent_as == "structured":
        _event(shaped.read(body, dict[str, object], what=_WHAT, most=most), span, gathered)
        return gathered.decoded()
    for item in shaped.read(body, list[object], what="a list of CloudEvents", most=most):
        _event(item if isinstance(item, dict) else {}, span, gathered)
    return gathered.decoded()


def _binary(body: bytes, headers: Mapping[str, str]) -> dict[str, object]:
    event: dict[str, object] = {
        name.removeprefix(_HEADER): unquote(value.strip('"'))
        for name, value in headers.items()
        if name.startswith(_HEADER)
    }
    content_type = headers.get("content-type", "")
    media = content_type.split(";")[0].strip().lower()
    event["datacontenttype"] = content_type
    if not body:
        return event
    if media == "application/json" or media.endswith("+json"):
        event["data"] = shaped.read(body, object, what="the JSON that its Content-Type says", most=_OBJECTS_MOST)
    elif media.startswith("text/"):
        event["data"] = body.decode(errors="replace")
    else:
        event["data_base64"] = ""
    return event


def _event(event: Mapping[str, object], span: Span, gathered: Gathering) -> None:
    said = {name: _text(value) for name, value in event.items() if name != "data"}
    flaw = _flaw(said)
    if flaw is not None:
        gathered.refuse(flaw)
        return
    at = None
    if "time" in said:
        try:
            at = span.explained(said["time"])
        except NotAMoment as error:
            gathered.refuse(FieldError(path="time", message=str(error)))
            return
    tags = [(name, value) for name, value in said.items() if name not in _NO_TAGS]
    gathered.event(
        identity(said["type"], [("source", said["source"]), *tags]),
        severity=_SEVERITIES.get(said.get("severity", "").lower(), "info"),
        payload=_payload(event, said),
        at=at,
        once=f"cloudevent {said['source']} {said['id']}",
    )


def _text(value: object) -> str:
    """An attribute as a text; numbers and booleans of extensions have one form as texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _flaw(said: Mapping[str, str]) -> FieldError | None:
    for name in _REQUIRED:
        if not said.get(name):
            return FieldError(path=name, message="is required")
    if said["specversion"] != "1.0":
        return FieldError(path="specversion", message='must be "1.0"')
    for name in said:
        if name != "data_base64" and not _ATTRIBUTE.fullmatch(name):
            return FieldError(path=text.shown(name), message="is no attribute's name: a-z and 0-9, at most 64")
    return None


def _payload(event: Mapping[str, object], said: Mapping[str, str]) -> dict[str, object]:
    kept: dict[str, object] = {"id": said["id"]}
    kept.update({name: said[name] for name in ("datacontenttype", "dataschema") if said.get(name)})
    if "data_base64" in said:
        return kept | {"data_left_out": "is binary"}
    if "data" not in event:
        return kept
    flaw = payloads.flaw(kept | {"data": event["data"]})
    return kept | ({"data_left_out": flaw} if flaw else {"data": event["data"]})
