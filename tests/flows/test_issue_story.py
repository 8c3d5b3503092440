"""The README's story on a plain `manage.py up`: a reading in, a remediator called, healed, and all of it on record."""

import json
import re
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tests.servers.processes import wait_until
from tests.servers.stack import Stack

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

POLICY = {
    "name": "high-cpu-alert",
    "description": "Scale up when CPU exceeds 90%",
    "severity": "warning",
    "target": "web-*",
    "enabled": True,
    "auto_remediate": True,
    "condition": {"type": "metric_exceeds", "metric": "cpu_usage", "threshold": 90},
    "action": "scale-up",
    "params": {"replicas": 2},
}


class Desk:
    """A remediator that writes down what it was asked, and when."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, dict[str, str], dict[str, Any]]] = []
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                desk.calls.append((time.monotonic(), dict(self.headers), body))
                answer = json.dumps({"status": "success", "message": "scaled", "action_id": body["action_id"]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    yield found
    found.server.shutdown()
    found.server.server_close()


def _post(vigil: requests.Session, stack: Stack, value: float, **headers: str) -> requests.Response:
    return vigil.post(
        f"{stack.base_url}/api/v1/ingest",
        json={"name": "cpu_usage", "value": value, "tags": {"host": "web-01"}},
        headers=headers,
        timeout=10,
    )


def _log_lines(data_dir: Path) -> list[dict[str, Any]]:
    lines = [line for path in (data_dir / "logs").glob("*.log") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_reading_heals_a_service_and_leaves_one_story(live_stack: Callable[..., Stack], desk: Desk) -> None:
    stack = live_stack(REMEDIATOR_URL=desk.url, VIGIL_SETTLE_SECONDS="1")
    vigil = stack.session(stack.create_key("story"))
    created = vigil.post(f"{stack.base_url}/api/v1/policies", json=POLICY, timeout=10)
    assert created.status_code == 201, created.text
    time.sleep(1.1)  # an edited policy is in force everywhere within one second

    sent_at = time.monotonic()
    answer = _post(vigil, stack, 92, **{"X-Request-ID": "story-1"})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["violations"][0]["policy_name"] == "high-cpu-alert"
    assert body["violations"][0]["reason"] == "cpu_usage 92 > 90"
    action = body["actions"][0]
    assert (action["action"], action["target"]) == ("scale-up", "web-01")

    wait_until(lambda: bool(desk.calls), seconds=10, what="the remediator is called")
    called_at, headers, call = desk.calls[0]
    assert called_at - sent_at < 1.0
    assert call["action_id"] == action["action_id"]
    assert call["params"] == {"replicas": 2}
    assert headers["X-Request-ID"] == "story-1"

    def of_action() -> dict[str, Any]:
        found: dict[str, Any] = vigil.get(f"{stack.base_url}/api/v1/actions/{action['action_id']}", timeout=10).json()
        return found

    wait_until(lambda: of_action()["status"] == "completed", seconds=10, what="the action is completed")
    time.sleep(1.2)
    assert _post(vigil, stack, 40).status_code == 201
    wait_until(lambda: of_action()["verification"] == "effective", seconds=20, what="the action is effective")
    incident = vigil.get(f"{stack.base_url}/api/v1/incidents/{body['violations'][0]['incident_id']}", timeout=10).json()
    assert incident["status"] == "resolved"
    assert incident["time_to_heal_seconds"] > 0
    assert len(desk.calls) == 1

    exposition = vigil.get(f"{stack.base_url}/metrics", timeout=10).text
    counted = re.search(r'vigil_policy_violations_total\{policy_name="high-cpu-alert"\} ([0-9.]+)', exposition)
    assert counted is not None
    assert float(counted.group(1)) >= 1

    entries = vigil.get(f"{stack.base_url}/api/v1/audit", params={"request_id": "story-1"}, timeout=10).json()
    kinds = {entry["kind"] for entry in entries["entries"]}
    assert any(kind.startswith("incident.") for kind in kinds)
    assert any(kind.startswith("action.") for kind in kinds)
    events = {line["event"] for line in _log_lines(stack.data_dir) if line.get("request_id") == "story-1"}
    assert "http.request.answered" in events
    assert any(event.startswith("policies.") for event in events)
    assert any(event.startswith("actions.") for event in events)
    ran = [
        line["request_id"]
        for line in _log_lines(stack.data_dir)
        if "run_action" in json.dumps(line) and line.get("action_id") in (None, action["action_id"])
    ]
    assert set(ran) == {"story-1"}, "the task is part of the story, whoever told it"
    assert len(ran) == 1, "one line for each task"
