import contextlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import alertmanager, moments
from metrics.formats.alertmanager import Notified
from metrics.formats.reading import EventReading, Reading, Unreadable
from tests.unit.metrics.cast import NOON
from vigil.kernel.errors import VigilError

SPAN = moments.span(received_at=NOON, retention=timedelta(days=14), future_tolerance=timedelta(seconds=60))
LABELS = {"alertname": "Slow", "host": "web-01"}


def decode(*alerts: object, max_items: int = 100, **more: Any) -> Notified:
    body = json.dumps({"version": "4", "alerts": alerts, **more}).encode()
    return alertmanager.decode(body, span=SPAN, max_items=max_items)


def alert(status: str = "firing", **more: Any) -> dict[str, Any]:
    return {"status": status, "labels": LABELS, "startsAt": "2026-01-19T11:59:00Z", **more}


def both(notified: Notified) -> tuple[Reading, EventReading]:
    (_, reading), (_, event) = notified.decoded.items
    assert isinstance(reading, Reading)
    assert isinstance(event, EventReading)
    return reading, event


@pytest.mark.parametrize(
    ("status", "value", "name", "at"),
    [
        ("firing", 1.0, "Slow", NOON - timedelta(minutes=1)),
        ("resolved", 0.0, "Slow_resolved", NOON - timedelta(seconds=30)),
    ],
)
def test_a_change_is_a_value_of_now_and_an_event_of_then(status: str, value: float, name: str, at: object) -> None:
    reading, event = both(decode(alert(status, endsAt="2026-01-19T11:59:30Z")))
    assert (reading.name, reading.value, reading.tags, reading.at) == ("alert_firing", value, LABELS, None)
    assert (event.name, event.tags, event.at) == (name, LABELS, at)


@pytest.mark.parametrize("starts_at", ["", "yesterday", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"])
def test_a_beginning_that_is_not_known_is_now(starts_at: str) -> None:
    assert both(decode(alert(startsAt=starts_at)))[1].at is None


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ({"severity": "page"}, "critical"),
        ({"severity": "Critical"}, "critical"),
        ({"severity": "info"}, "info"),
        ({"severity": "warning"}, "warning"),
        ({"severity": "ticket"}, "warning"),
        ({}, "warning"),
    ],
)
def test_the_label_severity_says_how_bad_it_is(label: dict[str, str], severity: str) -> None:
    assert both(decode(alert(labels=LABELS | label)))[1].severity == severity


SAME = {
    "again": ({}, True),
    "with other words": ({"annotations": {"summary": "x"}}, True),
    "started later": ({"startsAt": "2026-01-19T11:59:01Z"}, False),
    "another": ({"fingerprint": "beef"}, False),
    "resolved": ({"status": "resolved"}, False),
}


@pytest.mark.parametrize(("more", "same"), SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize("fingerprint", ["c0ffee", ""])
def test_what_tells_an_alert_from_another(more: dict[str, Any], same: bool, fingerprint: str) -> None:
    first, second = (both(decode(alert(**({"fingerprint": fingerprint} | one))))[1].once for one in ({}, more))
    assert (first == second) is same


def test_without_fingerprints_labels_tell_alerts_apart_in_any_order() -> None:
    turned = dict(reversed(LABELS.items()))
    others = [LABELS, turned, LABELS | {"host": "web-02"}]
    first, second, third = (both(decode(alert(labels=labels)))[1].once for labels in others)
    assert first == second != third


def test_truncated_alerts_are_known_by_their_number() -> None:
    notified = decode(alert(), truncatedAlerts=3)
    assert notified.truncated == 3
    assert both(notified)[1].payload["truncated_alerts"] == 3


@pytest.mark.parametrize("count", [2**64, 10**400], ids=["65 bits", "401 digits"])
def test_a_number_of_truncated_alerts_that_is_no_count_is_refused(count: int) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(alert(), truncatedAlerts=count)
    assert refused.value.status == 400
    assert "$.truncatedAlerts" in refused.value.detail


@pytest.mark.parametrize("length", [191, 192, 200])
def test_the_end_of_an_alert_is_taken_whenever_its_beginning_was(length: int) -> None:
    labels = LABELS | {"alertname": "S" * length}
    assert both(decode(alert(labels=labels)))[1].name == "S" * length
    reading, event = both(decode(alert("resolved", labels=labels)))
    assert reading.value == 0
    assert event.name == "S" * 191 + "_resolved"


BAD = {
    "no name": ({"labels": {"host": "a"}}, "labels.alertname"),
    "a name too long": ({"labels": {"alertname": "x" * 201}}, "name"),
    "a label too long": ({"labels": LABELS | {"note": "x" * 257}}, "tags.note"),
    "a label with a line break": ({"labels": LABELS | {"note": "a\nb"}}, "tags.note"),
}


@pytest.mark.parametrize(("more", "path"), BAD.values(), ids=BAD.keys())
def test_an_alert_that_cannot_be_kept_is_refused_whole(more: dict[str, Any], path: str) -> None:
    decoded = decode(alert(), alert(**more)).decoded
    assert [(item.index, item.errors[0].path) for item in decoded.rejected] == [(1, path)]
    assert len(decoded.items) == 2


BROKEN = {
    "no JSON": b"{",
    "a list": b"[]",
    "no alerts": b"{}",
    "another status": b'{"alerts":[{"status":"pending","labels":{}}]}',
    "labels that are no texts": b'{"alerts":[{"status":"firing","labels":{"a":1}}]}',
    "deep": b'{"alerts":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_notification_is_a_400_with_a_sentence(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        alertmanager.decode(body, span=SPAN, max_items=100)
    assert (refused.value.status, refused.value.detail[-1]) == (400, ".")


@pytest.mark.parametrize("alerts", [[alert()] * 51, [{}] * 3_000])
def test_too_many_alerts_are_a_413(alerts: list[object]) -> None:
    with pytest.raises(Unreadable) as refused:
        decode(*alerts)
    assert refused.value.status == 413


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL"])


@given(anything, fields, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_no_alert_brings_the_decoder_down(value: object, field: str, labels: dict[str, str]) -> None:
    with contextlib.suppress(VigilError):
        odd: dict[str, Any] = {field: value}
        decode(alert(**odd), alert(labels=LABELS | labels, annotations=labels, startsAt=str(value)))
