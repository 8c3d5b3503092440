"""Sends one request as a client of some protocol does, through the real view."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.test import Client

from metrics.models import Sample
from tests.unit.metrics import wire_out as out
from vigil.access import keys


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request that a client of a protocol makes: cpu_usage, or what comes closest to it, of web-01."""

    path: str
    content_type: str
    body: Callable[[], bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 201
    metric: str = "cpu_usage"
    value: float = 87.5
    event: str = ""
    """What it is called when it is an event; then it is no metric."""

    @property
    def condition(self) -> str:
        """What it violates."""
        return f"1 {self.event} events in 5m" if self.event else f"{self.metric} > {self.value - 1}"


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A caller with one key."""

    plain: str

    def post(self, path: str, body: bytes, content_type: str, **headers: str) -> HttpResponse:
        """One request; `Content_Encoding="gzip"` and the like are headers."""
        said = {"Authorization": f"Bearer {self.plain}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        client = Client(raise_request_exception=False)
        answer: Any = client.generic("POST", f"/api/v1/ingest/{path}", body, content_type=content_type, headers=said)
        return answer  # type: ignore[no-any-return]

    def send(self, sent: Sent, **headers: str) -> HttpResponse:
        """That request."""
        more = {name.replace("-", "_"): value for name, value in sent.headers.items()}
        return self.post(sent.path, sent.body(), sent.content_type, **(more | headers))


def of(*scopes: str, targets: Iterable[str] = (), name: str = "agent") -> Sender:
    """A caller with a new key, for ingest unless told otherwise."""
    _, plain = keys.create(name=name, scopes=scopes or ("ingest",), actor="user:ana", targets=targets)
    keys.forget_cache()
    return Sender(plain=plain)


def stored() -> list[tuple[str, dict[str, str], float]]:
    """Every sample there is, in the order of their arrival."""
    rows = Sample.objects.order_by("id").values_list("series__name", "series__tags", "value")
    return [(name, tags, value) for name, tags, value in rows]


def now_ms() -> int:
    """The present in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _remote_write() -> bytes:
    return out.snappy(out.series({"__name__": "cpu_usage", "host": "web-01"}, (87.5, now_ms())))


def _remote_write_two() -> bytes:
    return out.snappy(out.request_two([({"__name__": "cpu_usage", "host": "web-01"}, [(87.5, now_ms())])]))


def _otlp_json() -> bytes:
    point = {"timeUnixNano": str(time.time_ns()), "asDouble": 87.5, "attributes": []}
    resource = {"attributes": [{"key": "host.name", "value": {"stringValue": "web-01"}}]}
    metrics = [{"name": "cpu_usage", "gauge": {"dataPoints": [point]}}]
    told = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}
    return json.dumps(told).encode()


def _otlp_protobuf() -> bytes:
    host = out.some(1, "host.name") + out.some(2, out.some(1, "web-01"))
    gauge = out.some(1, out.fixed(3, time.time_ns()) + out.double(4, 87.5))
    metric = out.some(1, "cpu_usage") + out.some(5, gauge)
    return out.some(1, out.some(1, out.some(1, host)) + out.some(2, out.some(2, metric)))


def alert(status: str = "firing", *, name: str = "HighLatency", host: str = "web-01", **more: Any) -> dict[str, Any]:
    """An alert as Alertmanager tells it."""
    return {
        "status": status,
        "labels": {"alertname": name, "host": host, "severity": "page"},
        "annotations": {"summary": "it is slow"},
        "startsAt": "2026-01-19T12:00:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-19T12:30:00.5Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
        "fingerprint": "c0ffee",
        **more,
    }


def notification(*alerts: dict[str, Any], **more: Any) -> bytes:
    """A notification of Alertmanager's."""
    told = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "vigil"}
    return json.dumps(told | {"externalURL": "http://alertmanager:9093", "alerts": alerts} | more).encode()


def _json(document: object) -> Callable[[], bytes]:
    return lambda: json.dumps(document).encode()


def _telegraf() -> bytes:
    metric = {"name": "cpu", "fields": {"usage": 87.5}, "tags": {"host": "web-01"}, "timestamp": int(time.time())}  # noqa: TID251
    return json.dumps({"metrics": [metric]}).encode()


EVENT = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "deploy.failed", "host": "web-01"}
VALUES = {"host": "web-01", "plugin": "cpu", "type": "usage", "dsnames": ["value"], "values": [87.5]}


SENT = {
    "remote write 1.0": Sent(
        path="prometheus",
        content_type="application/x-protobuf",
        body=_remote_write,
        headers={"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"},
        status=204,
    ),
    "remote write 2.0": Sent(
        path="prometheus",
        content_type="application/x-protobuf;proto=io.prometheus.write.v2.Request",
        body=_remote_write_two,
        headers={"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0"},
        status=204,
    ),
    "OTLP as JSON": Sent(path="otlp/v1/metrics", content_type="application/json", body=_otlp_json, status=200),
    "OTLP as protobuf": Sent(
        path="otlp/v1/metrics", content_type="application/x-protobuf", body=_otlp_protobuf, status=200
    ),
    "Alertmanager": Sent(
        path="alertmanager",
        content_type="application/json",
        body=lambda: notification(alert()),
        metric="alert_firing",
        value=1.0,
    ),
    "InfluxDB 1": Sent(
        path="influx/write?db=telegraf&precision=ms",
        content_type="text/plain; charset=utf-8",
        body=lambda: f"cpu,host=web-01 usage=87.5 {now_ms()}\n".encode(),
        status=204,
    ),
    "InfluxDB 2": Sent(
        path="influx/api/v2/write?org=o&bucket=b",
        content_type="text/plain; charset=utf-8",
        body=lambda: f"cpu,host=web-01 usage=87.5 {time.time_ns()}\n".encode(),
        status=204,
    ),
    "Telegraf": Sent(path="telegraf", content_type="application/json", body=_telegraf),
    "collectd": Sent(path="collectd", content_type="application/json", body=_json([VALUES])),
    "the earlier agent": Sent(
        path="agent/metrics",
        content_type="application/json",
        body=_json({"hostname": "web-01", "metrics": {"cpu_usage": 87.5}, "agent_version": "1.2.0"}),
    ),
    "a structured event": Sent(
        path="cloudevents",
        content_type="application/cloudevents+json",
        body=_json(EVENT | {"data": {"commit": "ab12"}}),
        event="deploy.failed",
    ),
    "a binary event": Sent(
        path="cloudevents",
        content_type="application/json",
        body=_json({"commit": "ab12"}),
        headers={f"ce-{name}": value for name, value in EVENT.items()},
        event="deploy.failed",
    ),
    "a batch of events": Sent(
        path="cloudevents",
        content_type="application/cloudevents-batch+json",
        body=_json([EVENT]),
        event="deploy.failed",
    ),
    "exposition": Sent(
        path="exposition?host=web-01", content_type="text/plain; version=0.0.4", body=lambda: b"cpu_usage 87.5\n"
    ),
    "a check as JSON": Sent(
        path="checks",
        content_type="application/json",
        body=_json({"host": "web-01", "service": "disk", "state": 2, "output": "DISK CRITICAL"}),
        metric="check_state",
        value=2.0,
    ),
    "a check as a line": Sent(
        path="checks",
        content_type="text/plain",
        body=lambda: b"web-01\tdisk\t2\tDISK CRITICAL\n",
        metric="check_state",
        value=2.0,
    ),
}
"""One good request of each protocol."""
