"""A whole simulation against a small server that answers as Vigil does."""

import json

import pytest
import requests

from simulator import runner
from simulator.configuration import Configuration
from simulator.pace import Mode
from simulator.runner import Place, Simulation
from tests.unit.simulator import fake_vigil
from tests.unit.simulator.test_desk import SECRET, signed

CONFIGURATION = Configuration(scenario="cpu-spike", rate=400, targets=8, seed=1)


def make_simulation(server: fake_vigil.Server, *, configuration: Configuration = CONFIGURATION) -> Simulation:
    place = Place(url=server.url, key=fake_vigil.KEY, remediator_port=0, remediator_secret=SECRET)
    return Simulation(configuration=configuration, place=place)


def test_a_simulation_sends_breaks_and_reports(vigil_server: fake_vigil.Server) -> None:
    simulation = make_simulation(vigil_server)
    simulation.start()
    vigil_server.memory.wait_for(lambda memory: any(_is_hot(one) for one in memory.readings))
    report = simulation.stop().as_json()
    assert report["events_generated"] == report["events_succeeded"] == len(vigil_server.memory.readings) > 0
    assert list(report["broken_now"].values()) == ["load"]  # type: ignore[attr-defined]
    assert (report["scenario"], report["mode"], report["rate"]) == ("cpu-spike", "steady", 400)
    assert report["last_event_at"] is not None
    json.dumps(report)


def test_its_remediator_heals_its_own_fleet(vigil_server: fake_vigil.Server) -> None:
    simulation = make_simulation(vigil_server)
    simulation.start()
    vigil_server.memory.wait_for(lambda memory: any(_is_hot(one) for one in memory.readings))
    (target,) = simulation.world.faults()
    body = json.dumps({"action_id": 1, "action": "scale-up", "target": target, "params": {"replicas": 2}}).encode()
    assert simulation.server is not None
    requests.post(simulation.server.url, data=body, headers=signed(body), timeout=5)
    assert simulation.stop().broken_now == {}


def test_a_slow_action_is_finished_without_being_asked(vigil_server: fake_vigil.Server) -> None:
    simulation = make_simulation(vigil_server, configuration=Configuration(scenario="quiet", targets=1))
    simulation.start()
    body = json.dumps({"action_id": 1, "action": "snapshot", "target": "web-01"}).encode()
    assert simulation.server is not None
    assert requests.post(simulation.server.url, data=body, headers=signed(body), timeout=5).status_code == 202
    vigil_server.memory.wait_for(lambda _: len(simulation.world.happenings()) == 1)
    simulation.stop()


def test_chaos_sends_malformed_bodies_and_none_is_stored(vigil_server: fake_vigil.Server) -> None:
    chaos = Configuration(
        scenario="quiet", mode=Mode.CHAOS, malformed_percent=100, failure_percent=0, timeout_percent=0
    )
    simulation = make_simulation(vigil_server, configuration=chaos)
    simulation.start()
    vigil_server.memory.wait_for(lambda memory: len(memory.requests) > 3)
    report = simulation.stop()
    assert report.count.malformed > 0
    assert (report.count.malformed_accepted, vigil_server.memory.readings) == (0, [])


def test_nothing_is_sent_after_the_stop(vigil_server: fake_vigil.Server) -> None:
    simulation = make_simulation(vigil_server)
    simulation.start()
    vigil_server.memory.wait_for(lambda memory: bool(memory.readings))
    sent = simulation.stop().count.generated
    assert simulation.report().count.generated == sent == len(vigil_server.memory.readings)


def test_a_second_simulation_on_this_machine_shares_the_first_ones_address(vigil_server: fake_vigil.Server) -> None:
    first = make_simulation(vigil_server)
    first.start()
    assert first.server is not None
    second = runner.beside(
        configuration=Configuration(scenario="quiet", targets=1, first=101),
        url=vigil_server.url,
        key=fake_vigil.KEY,
        remediator_url=first.server.url,
        remediator_secret=SECRET,
    )
    second.start()
    body = json.dumps({"action_id": 1, "action": "restart", "target": "web-101"}).encode()
    answer = requests.post(first.server.url, data=body, headers=signed(body), timeout=5)
    assert answer.json()["status"] == "success"
    assert [one.target for one in second.world.happenings()] == ["web-101"]
    second.stop()
    assert first.server.peers.urls() == []
    first.stop()


@pytest.mark.parametrize("url", ["", "https://remediator.example/hook", "http://10.0.0.7:9000/"])
def test_without_a_remediator_on_this_machine_it_serves_none(vigil_server: fake_vigil.Server, url: str) -> None:
    simulation = runner.beside(
        configuration=CONFIGURATION,
        url=vigil_server.url,
        key=fake_vigil.KEY,
        remediator_url=url,
        remediator_secret=SECRET,
    )
    assert simulation.server is None


def _is_hot(reading: dict[str, object]) -> bool:
    return reading["name"] == "cpu_usage" and float(str(reading["value"])) > 80
