import json
from typing import Any

import pytest

from metrics.models import Event
from policies.models import Incident
from tests.integration.ingest import sender as senders
from tests.integration.ingest.sender import Sender, alert, notification
from tests.integration.policies import cast
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

LABELS = {"alertname": "HighLatency", "host": "web-01", "severity": "page"}


def _notify(sender: Sender, *alerts: dict[str, Any], **more: Any) -> Any:
    answer = sender.post("alertmanager", notification(*alerts, **more), "application/json")
    assert answer.status_code == 201, answer.content
    return json.loads(answer.content)


def _events() -> list[tuple[str, str]]:
    return list(Event.objects.order_by("id").values_list("name", "severity"))


def test_an_alert_is_a_series_and_an_event(sender: Sender) -> None:
    assert _notify(sender, alert())["stored"] == 2
    assert senders.stored() == [("alert_firing", LABELS, 1.0)]
    event = Event.objects.get()
    assert (event.name, event.severity, event.target, event.tags) == ("HighLatency", "critical", "web-01", LABELS)
    assert event.payload["annotations"] == {"summary": "it is slow"}
    assert event.payload["fingerprint"] == "c0ffee"


def test_a_notification_that_comes_again_repeats_no_event(sender: Sender) -> None:
    _notify(sender, alert())
    again = _notify(sender, alert(annotations={"summary": "still slow"}))
    assert (again["stored"], again["repeated"]) == (1, 1)
    assert _events() == [("HighLatency", "critical")]


def test_another_start_or_status_is_another_event(sender: Sender) -> None:
    _notify(sender, alert())
    _notify(sender, alert("resolved"))
    _notify(sender, alert(startsAt="2026-01-19T13:00:00Z"))
    assert _events() == [("HighLatency", "critical"), ("HighLatency_resolved", "info"), ("HighLatency", "critical")]


def test_the_same_alert_twice_in_a_notification_is_one_event(sender: Sender) -> None:
    _notify(sender, alert(), alert(), alert(name="Other", fingerprint="beef"))
    assert _events() == [("HighLatency", "critical"), ("Other", "critical")]


def test_another_key_tells_its_own_alerts(sender: Sender) -> None:
    _notify(sender, alert())
    _notify(senders.of(name="other"), alert())
    assert len(_events()) == 2


def test_resolved_resolves(sender: Sender) -> None:
    cast.policy(condition='alert_firing{alertname="HighLatency"} > 0')
    told = _notify(sender, alert())
    assert [(one["policy_name"], one["target"]) for one in told["violations"]] == [("high-cpu-alert", "web-01")]
    assert Incident.objects.get().status == "open"
    _notify(sender, alert("resolved"))
    assert Incident.objects.get().status == "resolved"


def test_a_repeated_alert_opens_one_incident_only(sender: Sender) -> None:
    cast.policy(condition="1 HighLatency events in 5m")
    for _ in range(3):
        _notify(sender, alert(startsAt="0001-01-01T00:00:00Z"))
    assert Incident.objects.count() == 1


def test_truncated_alerts_are_counted_and_shown(sender: Sender) -> None:
    counter = telemetry.ingest_total.labels(kind="event", outcome="truncated")
    before = counter._value.get()
    assert _notify(sender, alert(), truncatedAlerts=7)["truncated_alerts"] == 7
    assert counter._value.get() - before == 7
    assert Event.objects.get().payload["truncated_alerts"] == 7


def test_grafanas_superset_is_taken(sender: Sender) -> None:
    grafana: dict[str, Any] = {
        "values": {"B": 22.1},
        "valueString": "[ var='B' ]",
        "silenceURL": "http://g/s",
        "imageURL": "",
    }
    _notify(sender, alert(**grafana), orgId=1, title="[FIRING:1]", state="alerting", message="**Firing**")
    assert len(senders.stored()) == 1


def test_an_alert_without_a_name_is_refused_beside_the_others(sender: Sender) -> None:
    told = _notify(sender, alert(), alert(labels={"host": "web-02"}), alert(name="x" * 201))
    places = [(one["index"], one["errors"][0]["path"]) for one in told["rejected"]]
    assert places == [(1, "labels.alertname"), (2, "name")]
    assert told["stored"] == 2


def test_annotations_that_cannot_be_kept_do_not_cost_the_alert(sender: Sender) -> None:
    _notify(sender, alert(annotations={"runbook": "x" * 20_000}))
    assert "bytes" in Event.objects.get().payload["annotations_left_out"]
