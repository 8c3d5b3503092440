"""The simulator's endpoints, with a real process behind them."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import RequestFactory
from rest_framework.test import APIClient

from simulator import runs
from simulator.api import views
from simulator.configuration import Configuration
from simulator.models import SimulatorRun
from tests.integration.simulator.cast import caller
from tests.unit.simulator import fake_vigil
from vigil.access.models import ApiKey
from vigil.audit.models import Entry
from vigil.kernel import clock

START, STOP, STATUS = (f"/api/v1/ui/simulator/{verb}" for verb in ("start", "stop", "status"))
WANTED = {
    "rate": 500,
    "mode": "steady",
    "scenario": "cpu-spike",
    "targets": 20,
    "seed": 1,
    "failure_percent": 5,
    "timeout_percent": 2,
    "malformed_percent": 1,
}


def wait_until(true: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"did not come true within {seconds} s"
        time.sleep(0.1)


def test_a_simulation_from_start_to_summary(
    real_child: None, allowed: LazySettings, vigil_server: fake_vigil.Server
) -> None:
    client = caller("simulator", "read")
    started = client.post(START, WANTED, format="json")
    assert started.status_code == 200, started.content
    body = started.json()
    assert (body["ok"], body["running"]) == (True, True)
    assert WANTED.items() <= body["configuration"].items()
    wait_until(lambda: client.get(STATUS).json()["events_succeeded"] > 0)
    status = client.get(STATUS).json()
    assert (status["running"], status["scenario"], status["rate"], status["mode"]) == (
        *(True, "cpu-spike", 500, "steady"),
    )
    assert status["uptime_seconds"] > 0
    assert status["last_event_at"]
    stopped = client.post(STOP).json()
    assert (stopped["ok"], stopped["running"]) == (True, False)
    assert stopped["summary"]["events_generated"] >= status["events_generated"]
    assert client.get(STATUS).json()["running"] is False
    assert {str(one["tags"])[10:13] for one in vigil_server.memory.readings} >= {"web", "api"}
    run = SimulatorRun.objects.get()
    assert run.key is not None
    assert run.key.revoked_at is not None
    told = Entry.objects.filter(subject=f"simulator:{run.pk}").order_by("seq").values_list("kind", "actor")
    who = run.started_by
    assert list(told) == [
        *(("simulator.started", who), ("simulator.stop_requested", who), ("simulator.ended", "simulator")),
    ]


def test_only_one_runs_whoever_asks(real_child: None, allowed: LazySettings) -> None:
    client = caller("simulator")
    assert client.post(START, {"scenario": "quiet"}, format="json").status_code == 200
    second = client.post(START, {}, format="json")
    assert second.status_code == 409
    assert "quiet" in second.json()["detail"]
    assert SimulatorRun.objects.count() == 1
    assert ApiKey.objects.filter(name__startswith="simulator run").count() == 1
    client.post(STOP)


def test_a_killed_process_is_noticed_and_another_can_start(real_child: None, allowed: LazySettings) -> None:
    client = caller("simulator", "read")
    client.post(START, {"scenario": "quiet"}, format="json")
    wait_until(lambda: SimulatorRun.objects.get().pid is not None)
    first = SimulatorRun.objects.get()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    assert runs.status(at=clock.now() + runs.STALE_AFTER + timedelta(seconds=1)).running is False
    SimulatorRun.objects.update(beat_at=clock.now() - timedelta(minutes=1))
    assert client.get(STATUS).json()["running"] is False
    assert client.post(START, {"scenario": "quiet"}, format="json").status_code == 200
    first.refresh_from_db()
    assert (first.live, first.end_reason) == (False, "Its process had died.")
    assert first.key is not None
    assert first.key.revoked_at is not None
    client.post(STOP)


@pytest.mark.django_db
def test_stopping_what_died_answers_its_last_report(allowed: LazySettings) -> None:
    long_ago = clock.now() - timedelta(hours=1)
    SimulatorRun.objects.create(
        configuration=Configuration(scenario="crash").as_json(),
        started_at=long_ago,
        beat_at=long_ago,
        report={"healed": 3},
    )
    stopped = caller("simulator").post(STOP).json()
    assert (stopped["running"], stopped["summary"]["healed"]) == (False, 3)
    assert "died" in stopped["message"]
    assert SimulatorRun.objects.get().live is False


@pytest.mark.django_db
def test_before_the_first_run_there_is_nothing_to_report(allowed: LazySettings) -> None:
    client = caller("simulator", "read")
    status = client.get(STATUS).json()
    assert {"running", "rate", "mode", "scenario", "events_generated", "events_succeeded", "events_failed"} <= set(
        status
    )
    assert {"events_rate_limited", "events_timeout", "events_malformed", "incidents_opened", "healed"} <= set(status)
    assert {"mean_time_to_heal_seconds", "started_at", "last_event_at", "uptime_seconds"} <= set(status)
    assert (status["running"], status["events_generated"]) == (False, 0)
    stopped = client.post(STOP)
    assert (stopped.status_code, stopped.json()["message"]) == (200, "No simulation was running.")


@pytest.mark.django_db
@pytest.mark.parametrize("path", [START, STOP, "/api/v1/simulator/start", "/api/v1/simulator/stop/"])
def test_where_it_is_switched_off_a_sentence_says_how_to_switch_it_on(settings: LazySettings, path: str) -> None:
    settings.VIGIL_SIMULATOR_ENABLED = False
    answer = caller("simulator").post(path, {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "simulator_disabled")
    assert "VIGIL_SIMULATOR_ENABLED=1" in answer.json()["detail"]
    assert not SimulatorRun.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "post", START, 403),
        ("ingest", "post", STOP, 403),
        ("ingest", "get", STATUS, 403),
        ("read", "get", STATUS, 200),
        ("read", "get", "/api/v1/simulator/status/", 200),
        ("read", "delete", STATUS, 405),
    ],
)
def test_each_verb_needs_its_scope(allowed: LazySettings, scope: str, method: str, path: str, status: int) -> None:
    assert getattr(caller(scope), method)(path).status_code == status
    assert not SimulatorRun.objects.exists()


@pytest.mark.django_db
def test_strangers_are_not_let_in(allowed: LazySettings) -> None:
    assert APIClient().post(START, {}, format="json").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": 5001}, "rate"),
        ({"rate": "500"}, "rate"),
        ({"rate": 1.5}, "rate"),
        ({"rate": True}, "rate"),
        ({"mode": "wild"}, "mode"),
        ({"scenario": "cpu-spkie"}, "scenario"),
        ({"scenario": 3}, "scenario"),
        ({"targets": 0}, "targets"),
        ({"targets": 1001}, "targets"),
        ({"seed": -1}, "seed"),
        ({"failure_percent": 101}, "failure_percent"),
        ({"timeout_percent": -1}, "timeout_percent"),
        ({"malformed_percent": "5"}, "malformed_percent"),
        ({"failure_percent": 60, "timeout_percent": 60}, "failure_percent"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(allowed: LazySettings, body: dict[str, Any], path: str) -> None:
    answer = caller("simulator").post(START, body, format="json")
    assert answer.status_code == 422, answer.content
    assert path in [error["path"] for error in answer.json()["errors"]]
    assert not SimulatorRun.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"rate": NaN}', b'{"colour": "red"}'])
def test_what_is_no_start_is_refused(allowed: LazySettings, body: bytes) -> None:
    answer = caller("simulator").generic("POST", START, body.decode(), content_type="application/json")
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
    assert not SimulatorRun.objects.exists()


@pytest.mark.django_db
def test_an_unknown_scenario_is_answered_with_the_nearest(allowed: LazySettings) -> None:
    answer = caller("simulator").post(START, {"scenario": "memroy-leak"}, format="json")
    assert "Did you mean 'memory-leak'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "port", "address"),
    [
        ("0.0.0.0", "8000", "http://127.0.0.1:8000"),  # noqa: S104  only an example
        ("::", "8000", "http://127.0.0.1:8000"),
        ("10.0.0.7", "80", "http://10.0.0.7:80"),
        ("fd00::7", "80", "http://[fd00::7]:80"),
    ],
)
def test_the_simulation_posts_to_the_servers_own_socket(name: str, port: str, address: str) -> None:
    request = RequestFactory().get("/", headers={"host": "elsewhere:1"}, SERVER_NAME=name, SERVER_PORT=port)
    assert views.own_address(request) == address
