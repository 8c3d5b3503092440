"""Targets that are not the series' own: groups of a `by`, and what a Prometheus answers about; events by pattern."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.conf import LazySettings

from policies import sweep
from policies.models import Incident
from tests.integration.policies import cast

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
BY_ZONE = {"type": "metric_exceeds", "metric": "error_rate", "across": "sum", "by": ["zone"], "threshold": 5}
DOWN = {"type": "promql", "source": "main", "query": "up == 0"}


class Source:
    """A Prometheus that answers with what it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.down: list[str] = []
        self.broken = False
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                source.asked += 1
                result = [{"metric": {"instance": host}, "value": [1.0, "0"]} for host in source.down]
                body = {"status": "success", "data": {"resultType": "vector", "result": result}}
                content = b"<html>" if source.broken else json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def source(settings: LazySettings) -> Iterator[Source]:
    found = Source()
    settings.VIGIL_PROMETHEUS = {"main": f"http://127.0.0.1:{found.server.server_port}"}
    yield found
    found.server.shutdown()
    found.server.server_close()


def _open() -> list[str]:
    return sorted(Incident.objects.filter(status="open").values_list("target", flat=True))


def test_a_group_over_several_targets_is_a_target(at: datetime) -> None:
    cast.policy(name="zones", target="*", condition=BY_ZONE, auto_remediate=False)
    cast.post(3, at=at, name="error_rate", host="web-01", zone="eu")
    assert _open() == []
    cast.post(4, at=at + SECOND, name="error_rate", host="web-02", zone="eu")
    cast.post(4, at=at + SECOND, name="error_rate", host="web-03", zone="us")
    sweep.run(at=at + 2 * SECOND)
    assert _open() == ["zone=eu"]


def test_the_group_heals_when_its_members_do(at: datetime) -> None:
    cast.policy(name="zones", target="*", condition=BY_ZONE, auto_remediate=False)
    for host in ("web-01", "web-02"):
        cast.post(4, at=at, name="error_rate", host=host, zone="eu")
    assert _open() == ["zone=eu"]
    cast.post(0, at=at + SECOND, name="error_rate", host="web-02", zone="eu")
    assert _open() == []


def test_a_series_without_the_tag_belongs_to_no_group(at: datetime) -> None:
    cast.policy(name="zones", target="*", condition=BY_ZONE, auto_remediate=False)
    cast.post(40, at=at, name="error_rate", host="web-01")
    sweep.run(at=at + SECOND)
    assert _open() == []


def test_what_a_prometheus_answers_opens_and_its_silence_resolves(at: datetime, source: Source) -> None:
    cast.policy(name="down", target="web-*", condition=DOWN, auto_remediate=False)
    source.down = ["web-07", "db-01"]
    sweep.run(at=at)
    assert _open() == ["web-07"]
    source.down = []
    sweep.run(at=at + 15 * SECOND)
    assert _open() == []


def test_a_prometheus_that_fails_says_nothing(at: datetime, source: Source) -> None:
    cast.policy(name="down", target="web-*", condition=DOWN, auto_remediate=False)
    source.down = ["web-07"]
    sweep.run(at=at)
    source.broken = True
    sweep.run(at=at + 15 * SECOND)
    assert _open() == ["web-07"]


def test_one_query_is_asked_once_for_all_policies(at: datetime, source: Source) -> None:
    for number in range(3):
        cast.policy(name=f"down-{number}", target="web-*", condition=DOWN, auto_remediate=False)
    sweep.run(at=at)
    assert source.asked == 1


def test_no_reading_waits_for_a_prometheus(at: datetime, source: Source) -> None:
    both = {"type": "all", "conditions": [{"type": "metric_exceeds", "metric": "cpu_usage", "threshold": 90}, DOWN]}
    cast.policy(name="both", target="web-*", condition=both, auto_remediate=False)
    source.down = ["web-01"]
    cast.post(99, at=at)
    assert source.asked == 0
    sweep.run(at=at + SECOND)
    assert _open() == ["web-01"]


def test_an_event_is_found_by_a_pattern_of_names(at: datetime) -> None:
    pattern = {"type": "event_matches", "event": "deploy_*", "window": "5m"}
    cast.policy(name="deploys", target="web-*", condition=pattern, auto_remediate=False)
    cast.happen("restart_failed", at=at)
    assert _open() == []
    cast.happen("deploy_failed", at=at + SECOND)
    assert _open() == ["web-01"]
