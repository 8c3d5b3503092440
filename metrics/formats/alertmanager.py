"""Alertmanager's webhook, version 4, and Grafana's superset of it.

An alert is two things: a series `alert_firing` with its labels, 1 while it fires and 0 once it is resolved, and an
event at each change, named after the alert. A notification that comes again refreshes the series and repeats no event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from metrics.formats import moments, payloads, shaped, text
from metrics.formats.gathering import Gathering, Identity, identity
from metrics.formats.moments import Span
from metrics.formats.reading import Decoded
from vigil.kernel.errors import FieldError

SERIES = "alert_firing"
RESOLVED = "_resolved"
"""Stands behind an alert's name in the event of its end, so that no policy takes the end for the beginning."""
_SEVERITIES = {"critical": "critical", "page": "critical", "error": "critical", "warning": "warning"} | {
    "info": "info",
    "information": "info",
    "none": "info",
}
_UNSAID = "warning"
_OBJECTS_FOR_AN_ALERT = 20


class _Alert(msgspec.Struct, rename="camel"):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: str = ""
    ends_at: str = ""
    generator_url: str = msgspec.field(name="generatorURL", default="")
    fingerprint: str = ""


class _Notification(msgspec.Struct, rename="camel"):
    alerts: list[_Alert]
    version: str = "4"
    receiver: str = ""
    group_key: str = ""
    truncated_alerts: Annotated[int, msgspec.Meta(le=2**32)] = 0
    """More than that is no count, and nothing could add it up."""
    external_url: str = msgspec.field(name="externalURL", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """What a notification held."""

    decoded: Decoded
    truncated: int
    """Alerts that the sender left out (`max_alerts` of the receiver); nothing is known of them but their number."""


def decode(body: bytes, *, span: Span, max_items: int) -> Notified:
    """The alerts in `body`, each with one index for all it becomes; Unreadable (400, 413) when it is none."""
    most = max_items * _OBJECTS_FOR_AN_ALERT
    sent = shaped.read(body, _Notification, what="a notification of Alertmanager", most=most)
    gathered = Gathering(span, max_items=max_items)
    for alert in sent.alerts:
        gathered.begin()
        _alert(alert, sent, span, gathered)
    return Notified(decoded=gathered.decoded(), truncated=max(0, sent.truncated_alerts))


def _alert(alert: _Alert, sent: _Notification, span: Span, gathered: Gathering) -> None:
    if not alert.labels.get("alertname"):
        gathered.refuse(FieldError(path="labels.alertname", message="is required"))
        return
    series = identity(SERIES, alert.labels.items())
    event = _event_identity(alert, series)
    if event.errors:
        gathered.refuse(*event.errors)
        return
    firing = alert.status == "firing"
    gathered.sample(series, 1.0 if firing else 0.0, None)
    gathered.event(
        event,
        severity=_SEVERITIES.get(alert.labels.get("severity", "").lower(), _UNSAID) if firing else "info",
        payload=_payload(alert, sent),
        at=_moment(alert.starts_at if firing else alert.ends_at, span),
        once=_mark(alert),
    )


def _event_identity(alert: _Alert, series: Identity) -> Identity:
    if series.errors:
        return series
    event = identity(alert.labels["alertname"], alert.labels.items())
    if event.errors or alert.status == "firing":
        return event
    # Whatever name the beginning could have, the end must not be refused for its suffix: the series would stay at 1.
    return event._replace(name=event.name[: text.NAME_MOST - len(RESOLVED)] + RESOLVED)


def _mark(alert: _Alert) -> str:
    who = alert.fingerprint or msgspec.json.encode(alert.labels, order="sorted").decode()
    return f"alert {who} {alert.starts_at} {alert.status}"


def _moment(text: str, span: Span) -> datetime | None:
    """When it changed, or None, which is now, for a time that is missing or outside of what is kept."""
    try:
        return span.explained(text)
    except moments.NotAMoment:
        return None


def _payload(alert: _Alert, sent: _Notification) -> Mapping[str, object]:
    said: dict[str, object] = {
        "status": alert.status,
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
        "generator_url": alert.generator_url,
        "receiver": sent.receiver,
        "external_url": sent.external_url,
    }
    if sent.truncated_alerts > 0:
        said["truncated_alerts"] = sent.truncated_alerts
    whole = said | {"annotations": alert.annotations}
    if not payloads.flaw(whole):
        return whole
    # Annotations are prose for people: an alert must not be lost over them.
    return {"status": alert.status} if payloads.flaw(said) else said | {"annotations_left_out": payloads.flaw(whole)}
