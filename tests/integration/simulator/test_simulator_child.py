"""The life of a simulation's process: when it ends, and what it leaves behind."""

import os
import threading

import pytest

from simulator.child import Life, read_configuration
from simulator.configuration import Configuration
from simulator.launch import Instructions
from simulator.models import SimulatorRun
from simulator.pace import Mode
from tests.unit.simulator import fake_vigil
from vigil.access import keys
from vigil.kernel import clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> SimulatorRun:
    at = clock.now()
    key, _ = keys.create(name="simulator run", scopes=["ingest", "read"], actor="test", at=at)
    wanted = Configuration(scenario="quiet", targets=2, rate=200)
    return SimulatorRun.objects.create(
        configuration=wanted.as_json(), started_at=at, beat_at=at, started_by="test", key=key
    )


def life(run: SimulatorRun, url: str, *, parent_pid: int | None = None) -> Life:
    return Life(
        run_id=run.pk,
        instructions=Instructions(
            url=url,
            key="vgl_any",
            remediator_url="",
            remediator_secret="",
            parent_pid=os.getppid() if parent_pid is None else parent_pid,
        ),
    )


def test_it_ends_when_the_row_says_so(run: SimulatorRun, vigil_server: fake_vigil.Server) -> None:
    SimulatorRun.objects.update(stop_requested=True)
    life(run, vigil_server.url).live()
    run.refresh_from_db()
    assert (run.live, run.end_reason) == (False, "Stopped on request.")
    assert run.pid == os.getpid()
    assert run.report["scenario"] == "quiet"


def test_it_ends_when_told_by_a_signal(run: SimulatorRun, vigil_server: fake_vigil.Server) -> None:
    living = life(run, vigil_server.url)
    threading.Timer(1.0, living.stop.set).start()
    living.live()
    run.refresh_from_db()
    assert run.end_reason == "Its process was told to end."
    assert run.report["events_succeeded"] > 0
    assert run.report["events_succeeded"] == len(vigil_server.memory.readings)


def test_an_orphan_ends_when_vigil_has_gone(run: SimulatorRun) -> None:
    life(run, "http://127.0.0.1:9", parent_pid=1).live()
    run.refresh_from_db()
    assert run.end_reason == "Vigil has gone."


def test_an_orphan_goes_on_while_vigil_answers(run: SimulatorRun, vigil_server: fake_vigil.Server) -> None:
    living = life(run, vigil_server.url, parent_pid=1)
    threading.Timer(1.5, living.stop.set).start()
    living.live()
    run.refresh_from_db()
    assert run.end_reason == "Its process was told to end."


def test_one_that_was_declared_dead_ends_and_leaves_its_successor_alone(
    run: SimulatorRun, vigil_server: fake_vigil.Server
) -> None:
    at = clock.now()
    SimulatorRun.objects.update(live=False, ended_at=at, end_reason="Its process had died.")
    successor = SimulatorRun.objects.create(configuration=run.configuration, started_at=at, beat_at=at)
    life(run, vigil_server.url).live()
    run.refresh_from_db()
    successor.refresh_from_db()
    assert run.end_reason == "Its process had died."
    assert successor.live


def test_its_key_opens_nothing_afterwards(run: SimulatorRun, vigil_server: fake_vigil.Server) -> None:
    SimulatorRun.objects.update(stop_requested=True)
    life(run, vigil_server.url).live()
    assert run.key is not None
    run.key.refresh_from_db()
    assert run.key.revoked_at is not None


def test_a_configuration_comes_back_from_its_row_as_it_was() -> None:
    wanted = Configuration(scenario="crash", mode=Mode.CHAOS, rate=7, targets=3, seed=9, first=101, timeout_percent=1.5)
    kept = read_configuration(wanted.as_json())
    assert kept.as_json() == wanted.as_json()
    assert kept.chaos() == wanted.chaos()
