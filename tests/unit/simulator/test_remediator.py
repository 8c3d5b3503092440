"""The simulated remediator over real HTTP."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from http.client import HTTPConnection

import pytest
import requests

from actions.remediators import conformance
from simulator import scenarios
from simulator.configuration import Chaos
from simulator.cures import Effect
from simulator.desk import Desk
from simulator.physics import Fault
from simulator.remediator import Server
from simulator.world import World
from tests.unit.simulator.test_desk import SECRET, signed
from vigil.kernel import clock


def make_server(*, first: int = 1, chaos: Chaos | None = None, secret: str = SECRET) -> Server:
    at = clock.now()
    world = World(scenario=scenarios.find("cpu-spike"), targets=1, seed=1, first=first, at=at - timedelta(seconds=5))
    world.readings(targets=world.names(), at=at)
    server = Server(desk=Desk(world=world, secret=secret, chaos=chaos or Chaos()), port=0, now=clock.now)
    server.start()
    return server


@pytest.fixture
def server() -> Iterator[Server]:
    made = make_server()
    yield made
    made.stop()


def body_for(target: str = "web-01", action: str = "scale-up") -> bytes:
    asked = {"action_id": 456, "action": action, "target": target, "params": {"replicas": 2}, "attempt": 1}
    return json.dumps(asked).encode()


def post(server: Server, body: bytes, *, key: str = "k1", fence: str = "web-01;1", path: str = "") -> requests.Response:
    headers = signed(body, key_id=key) | {"Vigil-Fence": fence}
    return requests.post(server.url + path, data=body, headers=headers, timeout=10)


def ask(server: Server, key: str) -> requests.Response:
    return requests.get(f"{server.url}runs/{key}", headers=signed(b"", key_id=key), timeout=10)


def test_a_signed_call_heals_the_fleet(server: Server) -> None:
    answer = post(server, body_for())
    assert (answer.status_code, answer.json()["status"]) == (200, "success")
    assert server.desk.world.faults() == {}


def test_any_path_of_the_address_will_do(server: Server) -> None:
    assert post(server, body_for(), path="hooks/vigil").status_code == 200


def test_an_unsigned_call_changes_nothing(server: Server) -> None:
    answer = requests.post(server.url, data=body_for(), headers={"Idempotency-Key": "k1"}, timeout=10)
    assert answer.status_code == 401
    assert server.desk.world.faults() == {"web-01": Fault.LOAD}


def test_a_duplicate_acts_once(server: Server) -> None:
    first, second = post(server, body_for()), post(server, body_for())
    assert first.json() == second.json()
    assert [one.kind for one in server.desk.world.happenings()] == ["broke", "remedied"]


def test_a_stale_fence_is_refused(server: Server) -> None:
    post(server, body_for(action="custom"), key="new", fence="web-01;9")
    answer = post(server, body_for(), key="old", fence="web-01;8")
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_fence")
    assert server.desk.world.faults() == {"web-01": Fault.LOAD}


def test_a_run_can_be_asked_about(server: Server) -> None:
    post(server, body_for())
    assert ask(server, "k1").json()["status"] == "done"
    assert ask(server, "k2").status_code == 404


def test_a_question_that_is_not_signed_or_for_another_key_is_not_answered(server: Server) -> None:
    post(server, body_for())
    assert requests.get(f"{server.url}runs/k1", timeout=10).status_code == 401
    assert requests.get(f"{server.url}runs/k1", headers=signed(b"", key_id="k2"), timeout=10).status_code == 401


def test_one_connection_serves_many_calls(server: Server) -> None:
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{server.url}health", timeout=10).json()["status"] == "healthy"


def test_a_body_without_a_length_or_too_long_is_refused(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", "99999999")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_silence_ends_when_the_server_stops() -> None:
    server = make_server(chaos=Chaos(timeout=100))
    with pytest.raises(requests.Timeout):
        requests.post(server.url, data=body_for(), headers=signed(body_for()), timeout=0.5)
    assert server.desk.world.faults() == {}
    server.stop()


def test_what_happened_can_be_read_from_any_point(server: Server) -> None:
    post(server, body_for())
    told = requests.get(f"{server.url}happenings", timeout=10).json()["happenings"]
    assert [one["kind"] for one in told] == ["broke", "remedied"]
    later = requests.get(f"{server.url}happenings", params={"after": told[0]["number"]}, timeout=10).json()
    assert later["happenings"] == told[1:]


def test_a_taken_port_is_an_error(server: Server) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(desk=server.desk, port=server.server_address[1], now=clock.now)


class Obliging(World):
    """Has every target, for the checks make their own up."""

    def apply(self, *, action: str, target: str, params: Mapping[str, object], at: datetime) -> Effect:
        return Effect(ok=True, message=f"{action} done")


@pytest.mark.parametrize("action", ["restart", "snapshot"], ids=["at once", "in the background"])
def test_it_keeps_the_strict_contract_to_the_letter(action: str) -> None:
    world = Obliging(scenario=scenarios.find("quiet"), targets=1, seed=1, at=clock.now())
    slow = {"snapshot": timedelta(milliseconds=50)}
    server = Server(desk=Desk(world=world, secret=SECRET, slow_actions=slow), port=0, now=clock.now)
    server.start()
    checks = conformance.check(conformance.Subject(url=server.url, secret=SECRET, action=action), at=clock.now())
    server.stop()
    assert [f"{one.name}: {one.sentence}" for one in checks if not one.passed] == []


@pytest.fixture
def neighbour(server: Server) -> Iterator[Server]:
    """A second simulation that shares the first one's address."""
    made = make_server(first=101)
    assert register(server, made.url, ["web-101"]).status_code == 200
    yield made
    made.stop()


def register(server: Server, url: str, targets: list[str]) -> requests.Response:
    body = json.dumps({"url": url, "targets": targets}).encode()
    return requests.post(f"{server.url}peers", data=body, headers=signed(body), timeout=10)


def test_a_call_for_another_simulations_target_is_handed_on(server: Server, neighbour: Server) -> None:
    assert post(server, body_for("web-101"), fence="web-101;1").json()["status"] == "success"
    assert neighbour.desk.world.faults() == {}
    assert server.desk.world.faults() == {"web-01": Fault.LOAD}
    assert ask(server, "k1").json()["status"] == "done"


def test_a_simulation_that_has_gone_is_a_temporary_failure(server: Server, neighbour: Server) -> None:
    neighbour.stop()
    assert post(server, body_for("web-101"), fence="web-101;1").status_code == 503


def test_a_simulation_that_signed_off_owns_nothing(server: Server, neighbour: Server) -> None:
    register(server, neighbour.url, [])
    assert post(server, body_for("web-101"), fence="web-101;1").json()["status"] == "failed"
    assert neighbour.desk.world.faults() == {"web-101": Fault.LOAD}


def test_a_stranger_cannot_register(server: Server) -> None:
    body = json.dumps({"url": "http://127.0.0.1:1/", "targets": ["web-01"]})
    assert requests.post(f"{server.url}peers", data=body, timeout=10).status_code == 401
    assert post(server, body_for()).json()["status"] == "success"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"url": "x"}', b"3"])
def test_a_registration_that_makes_no_sense_is_refused(server: Server, body: bytes) -> None:
    assert requests.post(f"{server.url}peers", data=body, headers=signed(body), timeout=10).status_code == 422
