"""Real clients of the ingest protocols speak to one running Vigil."""

import calendar
import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cloudevents.core.bindings import http as over_http
from cloudevents.core.v1.event import CloudEvent
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from tests.servers.processes import free_port, wait_until
from tests.servers.stack import ROOT, Stack, launcher

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240)]


_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Servers such as collectd are where users that are not root do not look."""


def _needs(program: str, *, package: str) -> pytest.MarkDecorator:
    reason = f"{program} is not installed (Debian package {package})"
    return pytest.mark.skipif(shutil.which(program, path=_PATH) is None, reason=reason)


@pytest.fixture(scope="module")
def vigil() -> Iterator[tuple[Stack, str]]:
    """A running Vigil, and a key for it."""
    with launcher() as start:
        stack = start()
        yield stack, stack.create_key("agent", scopes="ingest,read,policies:write")


@contextmanager
def _running(*command: str) -> Iterator[None]:
    program = shutil.which(command[0], path=_PATH) or command[0]
    server = subprocess.Popen(
        [program, *command[1:]], env={"PATH": _PATH}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait(20)


def _series(vigil: tuple[Stack, str], metric: str) -> list[dict[str, Any]]:
    stack, key = vigil
    answer = stack.session(key).get(f"{stack.base_url}/api/v1/metrics", params={"name": metric}, timeout=10)
    found: list[dict[str, Any]] = answer.json()["metrics"]
    return found


def _scraped(port: int) -> dict[str, float]:
    """The sums of a Prometheus's own metrics, by name."""
    try:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except requests.ConnectionError:
        return {}
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, flags=re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


_NEWER = os.environ.get("VIGIL_TEST_PROMETHEUS_3", "")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param("prometheus", "", id="1.0"),
        pytest.param(
            _NEWER,
            "io.prometheus.write.v2.Request",
            id="2.0",
            marks=pytest.mark.skipif(
                not _NEWER, reason="VIGIL_TEST_PROMETHEUS_3 does not name a Prometheus from 2.54 on, which speaks 2.0"
            ),
        ),
    ],
)
def test_a_prometheus_writes_everything_it_scrapes(
    vigil: tuple[Stack, str], tmp_path: Path, program: str, message: str
) -> None:
    stack, key = vigil
    port = free_port()
    job = f"of{message}"
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, external_labels: {region: us-east-1}}\n"
        f"scrape_configs:\n  - job_name: {job}\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        "remote_write:\n"
        f"  - url: {stack.base_url}/api/v1/ingest/prometheus\n"
        f"    authorization: {{credentials: {key}}}\n"
        "    queue_config: {batch_send_deadline: 1s}\n" + (f"    protobuf_message: {message}\n" if message else "")
    )
    command = [
        program,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *(["--enable-feature=metadata-wal-records"] if message else []),  # 2.0 sends metadata with each series
    ]
    sent = "prometheus_remote_storage_samples_total"
    with _running(*command):
        wait_until(lambda: _scraped(port).get(sent, 0) > 800, seconds=60, what="Prometheus writes to Vigil")
        told = _scraped(port)
    assert told["prometheus_remote_storage_samples_failed_total"] == 0
    assert told["prometheus_remote_storage_samples_retried_total"] == 0
    [up] = [one for one in _series(vigil, "up") if one["tags"]["job"] == job]
    assert up["last_value"] == 1
    assert up["tags"] == {"instance": f"127.0.0.1:{port}", "job": job, "region": "us-east-1"}
    assert up["target"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_opentelemetrys_own_exporter_is_understood(
    vigil: tuple[Stack, str], temporality: AggregationTemporality
) -> None:
    stack, key = vigil
    exporter = OTLPMetricExporter(
        endpoint=f"{stack.base_url}/api/v1/ingest/otlp/v1/metrics",
        headers={"Authorization": f"Bearer {key}"},
        compression=Compression.Gzip,
        preferred_temporality={Counter: temporality},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    host = f"web-{temporality.value}"
    provider = MeterProvider(metric_readers=[reader], resource=Resource({"host.name": host, "process.pid": 17}))
    meter = provider.get_meter("shop")
    meter.create_gauge("shop.queue.depth").set(7, {"queue": "orders"})
    requests_total = meter.create_counter("shop.requests")
    latency = meter.create_histogram("shop.latency")
    for seconds in (0.5, 7.0):
        requests_total.add(1, {"http.route": "/cart"})
        latency.record(seconds)
        assert provider.force_flush()
    provider.shutdown()

    of_host = {
        (one["name"], one["tags"].get("le")): one["last_value"]
        for name in (
            "shop.queue.depth",
            "shop.requests",
            "shop.requests_delta",
            "shop.latency_count",
            "shop.latency_bucket",
        )
        for one in _series(vigil, name)
        if one["target"] == host
    }
    total = ("shop.requests", 2) if temporality is AggregationTemporality.CUMULATIVE else ("shop.requests_delta", 1)
    assert of_host[total[0], None] == total[1]
    assert (of_host["shop.queue.depth", None], of_host["shop.latency_count", None]) == (7, 2)
    assert (of_host["shop.latency_bucket", "5"], of_host["shop.latency_bucket", "+Inf"]) == (1, 2)


@_needs("prometheus-alertmanager", package="prometheus-alertmanager")
def test_an_alertmanagers_alert_opens_an_incident_and_its_end_resolves_it(
    vigil: tuple[Stack, str], tmp_path: Path
) -> None:
    stack, key = vigil
    (tmp_path / "alertmanager.yml").write_text(
        "route: {receiver: vigil, group_wait: 0s, group_interval: 1s}\n"
        "receivers:\n  - name: vigil\n    webhook_configs:\n"
        f"      - url: {stack.base_url}/api/v1/ingest/alertmanager\n"
        f"        http_config: {{authorization: {{credentials: {key}}}}}\n"
    )
    session = stack.session(key)
    policy = {"name": "slow", "condition": 'alert_firing{alertname="Slow"} > 0', "action": "restart", "mode": "observe"}
    created = session.post(f"{stack.base_url}/api/v1/policies", json=policy | {"target": "web-*"}, timeout=10)
    assert created.status_code == 201, created.text
    port = free_port()
    command = [
        "prometheus-alertmanager",
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]

    def tell(**more: str) -> bool:
        alert = {"labels": {"alertname": "Slow", "host": "web-07", "severity": "page"}, **more}
        try:
            return requests.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=[alert], timeout=5).ok
        except requests.ConnectionError:
            return False

    def statuses() -> list[str]:
        answer = session.get(f"{stack.base_url}/api/v1/incidents", params={"policy": "slow"}, timeout=10)
        return [incident["status"] for incident in answer.json()["incidents"]]

    with _running(*command):
        wait_until(tell, seconds=30, what="Alertmanager takes an alert")
        wait_until(lambda: statuses() == ["open"], seconds=30, what="the alert opens an incident")
        assert tell(endsAt=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())  # noqa: TID251
        wait_until(lambda: statuses() == ["resolved"], seconds=30, what="its end resolves the incident")
    (series,) = _series(vigil, "alert_firing")
    assert (series["target"], series["last_value"]) == ("web-07", 0)


@_needs("collectd", package="collectd-core")
def test_collectds_values_arrive(vigil: tuple[Stack, str], tmp_path: Path) -> None:
    stack, key = vigil
    (tmp_path / "collectd.conf").write_text(
        f'BaseDir "{tmp_path}"\nPIDFile "{tmp_path / "collectd.pid"}"\nHostname "web-08"\nInterval 1\n'
        "LoadPlugin load\nLoadPlugin memory\nLoadPlugin write_http\n"
        f'<Plugin write_http>\n  <Node "vigil">\n    URL "{stack.base_url}/api/v1/ingest/collectd"\n'
        f'    Format "JSON"\n    BufferSize 4096\n    Header "Authorization: Bearer {key}"\n  </Node>\n</Plugin>\n'
    )
    with _running("collectd", "-f", "-C", str(tmp_path / "collectd.conf")):
        wait_until(lambda: len(_series(vigil, "memory")) > 1, seconds=60, what="collectd's values arrive")
    (load,) = _series(vigil, "load_shortterm")
    assert (load["target"], load["tags"]) == ("web-08", {"host": "web-08"})
    memory = {one["tags"]["type_instance"]: one["last_value"] for one in _series(vigil, "memory")}
    assert memory["used"] > 0


@_needs("nagios4", package="nagios4-core")
def test_a_nagioses_results_arrive_by_the_command_of_the_documentation(
    vigil: tuple[Stack, str], tmp_path: Path
) -> None:
    stack, key = vigil
    (tmp_path / "vigil.header").write_text(f"Authorization: Bearer {key}\n")
    (tmp_path / "disk").write_text("#!/bin/sh\necho 'DISK CRITICAL | /=95%'\nexit 2\n")
    (tmp_path / "disk").chmod(0o700)
    (command,) = re.findall(r"define command {.*?\n}", (ROOT / "docs/ingest/checks.md").read_text(), flags=re.DOTALL)
    command = command.replace("/etc/nagios4", str(tmp_path)).replace("https://vigil.example.org", stack.base_url)
    days = "".join(f" {name.lower()} 00:00-24:00\n" for name in calendar.day_name)
    rest = "max_check_attempts 1\n check_period always\n notification_period always\n contacts nobody\n}\n"
    (tmp_path / "objects.cfg").write_text(
        f"{command}\n"
        f"define command {{\n command_name disk\n command_line {tmp_path}/disk\n}}\n"
        f"define timeperiod {{\n timeperiod_name always\n alias always\n{days}}}\n"
        "define contact {\n contact_name nobody\n host_notifications_enabled 0\n service_notifications_enabled 0\n"
        " host_notification_period always\n service_notification_period always\n"
        " host_notification_commands disk\n service_notification_commands disk\n}\n"
        f"define host {{\n host_name web-11\n address 127.0.0.1\n {rest}"
        "define service {\n host_name web-11\n service_description disk\n check_command disk\n"
        f" check_interval 2\n retry_interval 2\n {rest}"
    )
    (tmp_path / "results").mkdir()
    files = {
        name: tmp_path / name for name in ("log_file", "object_cache_file", "status_file", "lock_file", "temp_file")
    }
    user = getpass.getuser()
    (tmp_path / "nagios.cfg").write_text(
        "".join(f"{name}={path}\n" for name, path in files.items())
        + f"cfg_file={tmp_path}/objects.cfg\nquery_socket={tmp_path}/qh\nstate_retention_file={tmp_path}/kept\n"
        f"temp_path={tmp_path}\ncheck_result_path={tmp_path}/results\ncommand_file={tmp_path}/cmd\n"
        f"nagios_user={user}\nnagios_group={user}\ncheck_external_commands=0\nuse_syslog=0\ninterval_length=1\n"
        "obsess_over_services=1\nocsp_command=to_vigil\n"
    )
    with _running("nagios4", str(tmp_path / "nagios.cfg")):
        wait_until(lambda: bool(_series(vigil, "check_perf")), seconds=60, what="a check's result arrives")
    (state,), (free,) = _series(vigil, "check_state"), _series(vigil, "check_perf")
    assert (state["target"], state["tags"]["check"], state["last_value"]) == ("web-11", "disk", 2)
    assert (free["tags"]["label"], free["tags"]["unit"], free["last_value"]) == ("/", "%", 95)


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_points_that_influxdbs_own_client_writes_arrive(vigil: tuple[Stack, str], gzip: bool) -> None:
    stack, key = vigil
    host = f"web 09,{gzip}=b"
    url = f"{stack.base_url}/api/v1/ingest/influx"
    fields = {"degrees": 21.5, "people": 8, "lit": True, "by": "x"}
    point = {"measurement": "room", "tags": {"host": host}, "fields": fields}
    with InfluxDBClient(url=url, token=key, org="any", enable_gzip=gzip) as client:
        client.write_api(write_options=SYNCHRONOUS).write(bucket="any", record=[point, point])
    stored = {
        name: one["last_value"]
        for name in ("room_degrees", "room_people", "room_lit", "room_by")
        for one in _series(vigil, name)
        if one["target"] == host
    }
    assert stored == {"room_degrees": 21.5, "room_people": 8, "room_lit": 1}


def test_influxdbs_own_client_is_told_what_was_dropped(vigil: tuple[Stack, str]) -> None:
    stack, key = vigil
    lines = ["mill,host=web-09 speed=3", "mill,host=web-09 speed=4 1"]
    with (
        InfluxDBClient(url=f"{stack.base_url}/api/v1/ingest/influx", token=key, org="any") as client,
        pytest.raises(ApiException) as refused,
    ):
        client.write_api(write_options=SYNCHRONOUS).write(bucket="any", record=lines)
    assert (refused.value.status, "dropped=1" in str(refused.value.message)) == (400, True)
    assert [one["last_value"] for one in _series(vigil, "mill_speed")] == [3]


@pytest.mark.parametrize(
    "pack", [over_http.to_binary_event, over_http.to_structured_event], ids=["binary", "structured"]
)
def test_events_of_the_cloudevents_sdk_arrive_once(
    vigil: tuple[Stack, str], pack: Callable[[CloudEvent], over_http.HTTPMessage]
) -> None:
    stack, key = vigil
    kind = f"deploy.{pack.__name__}"
    attributes = {"type": kind, "source": "/ci/a shop", "target": "web-10", "severity": "critical"}
    message = pack(CloudEvent(attributes=attributes, data={"commit": "ab12"}))
    answers = [
        stack.session(key).post(
            f"{stack.base_url}/api/v1/ingest/cloudevents", message.body, headers=dict(message.headers), timeout=10
        )
        for _ in range(2)
    ]
    assert [(one.status_code, one.json()["stored"], one.json()["repeated"]) for one in answers] == [
        (201, 1, 0),
        (201, 0, 1),
    ]
    ask = "from metrics.models import Event; print(*Event.objects.filter(name={!r}).values_list('target', 'severity'))"
    assert stack.manage("shell", "-v", "0", "-c", ask.format(kind)).stdout.strip() == "('web-10', 'critical')"
