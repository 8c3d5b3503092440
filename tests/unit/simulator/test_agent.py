"""An agent against a small server that answers as Vigil does."""

import threading
from datetime import datetime

import pytest

from simulator import scenarios
from simulator.agent import READINGS_OF_A_SERVICE, Agent, Orders, share_out
from simulator.client import Vigil
from simulator.configuration import Chaos
from simulator.counters import Counters
from simulator.pace import Mode
from simulator.world import World
from tests.unit.simulator import fake_vigil
from vigil.kernel import clock


def make_agent(
    server: fake_vigil.Server,
    *,
    chaos: Chaos | None = None,
    targets: int = 4,
    rate: float = 70,
    key: str = fake_vigil.KEY,
) -> tuple[Agent, Counters]:
    counters = Counters()
    world = World(scenario=scenarios.find("quiet"), targets=targets, seed=1, at=clock.now())
    orders = Orders(targets=world.names(), rate=rate, mode=Mode.STEADY, chaos=chaos or Chaos(), seed=1)
    agent = Agent(
        orders=orders,
        world=world,
        vigil=Vigil(url=server.url, key=key),
        counters=counters,
        stop=threading.Event(),
        now=clock.now,
    )
    return agent, counters


def send_rounds(agent: Agent, rounds: int = 1) -> None:
    for _ in range(rounds):
        agent.save_up(seconds=1, elapsed=0)
        for batch in agent.due():
            agent.deliver(batch)


def test_readings_arrive_with_a_key_a_time_and_their_tags(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server)
    send_rounds(agent)
    stored = vigil_server.memory.readings
    assert {str(one["tags"]) for one in stored} >= {"{'host': 'web-01', 'region': 'us-east-1'}"}
    assert all(datetime.fromisoformat(str(one["timestamp"])).tzinfo for one in stored)
    assert counters.read().succeeded == counters.read().generated == len(stored) == 70


def test_the_rate_decides_how_much_is_sent(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server, rate=100)
    send_rounds(agent, 7)
    assert counters.read().generated == 700


def test_services_report_in_turn(vigil_server: fake_vigil.Server) -> None:
    agent, _ = make_agent(vigil_server, rate=READINGS_OF_A_SERVICE)
    send_rounds(agent, 4)
    hosts = [dict(one["tags"])["host"] for one in vigil_server.memory.readings]  # type: ignore[call-overload]
    assert [hosts[index] for index in range(0, 28, 7)] == ["web-01", "api-01", "db-01", "web-02"]


def test_a_stall_is_not_made_up_for_without_bound(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server, rate=70)
    agent.save_up(seconds=3600, elapsed=0)
    agent.due()
    assert counters.read().generated == 140


def test_a_refusal_is_counted_and_not_repeated(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server, key="wrong")
    send_rounds(agent)
    count = counters.read()
    assert (count.failed, count.succeeded, count.resent) == (70, 0, 0)
    assert count.answers == {"401": 1}


@pytest.mark.parametrize(
    ("status", "counted"), [(429, "rate_limited"), (503, "failed"), (500, "failed"), (409, "failed")]
)
def test_what_may_pass_is_sent_again_under_the_same_key(
    vigil_server: fake_vigil.Server, status: int, counted: str
) -> None:
    vigil_server.memory.answers = [(status, {})]
    agent, counters = make_agent(vigil_server)
    send_rounds(agent)
    count = counters.read()
    assert getattr(count, counted) == 70
    assert (count.resent, count.succeeded) == (70, 70)
    assert len(vigil_server.memory.keys) == 1


def test_it_gives_up_after_three_tries(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.answers = [(503, {})] * 3
    agent, counters = make_agent(vigil_server)
    send_rounds(agent)
    assert counters.read().answers == {"503": 3}
    assert counters.read().succeeded == 0


def test_rejected_readings_of_a_stored_batch_count_as_failed(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.answers = [(201, {"stored": 68, "rejected": [{"index": 0}, {"index": 5}]})]
    agent, counters = make_agent(vigil_server)
    send_rounds(agent)
    assert (counters.read().succeeded, counters.read().failed) == (68, 2)


def test_nobody_listening_is_a_failure_and_not_a_crash(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server)
    vigil_server.shutdown()
    vigil_server.server_close()
    send_rounds(agent)
    assert counters.read().failed == 3 * 70
    assert counters.read().answers == {"failed": 3}


def test_malformed_bodies_are_refused_and_counted_as_such(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server, chaos=Chaos(malformed=100))
    send_rounds(agent, 20)
    count = counters.read()
    assert count.malformed == 20 * 70
    assert (count.malformed_accepted, count.succeeded) == (0, 0)
    assert vigil_server.memory.readings == []


def test_a_malformed_body_that_is_accepted_is_a_finding(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.answers = [(201, {})]
    agent, counters = make_agent(vigil_server, chaos=Chaos(malformed=100))
    send_rounds(agent)
    assert counters.read().malformed_accepted == 70


def test_a_broken_connection_loses_nothing(vigil_server: fake_vigil.Server) -> None:
    agent, counters = make_agent(vigil_server, chaos=Chaos(failure=100))
    send_rounds(agent, 3)
    count = counters.read()
    assert (count.failed, count.resent, count.succeeded) == (210, 210, 210)
    assert len(vigil_server.memory.readings) == 210
    assert count.answers["broken off"] == 3


def test_an_impatient_client_stores_nothing_twice(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.slow_seconds = 0.05
    agent, counters = make_agent(vigil_server, chaos=Chaos(timeout=100))
    send_rounds(agent, 3)
    count = counters.read()
    assert (count.timeout, count.resent, count.succeeded) == (210, 210, 210)
    assert len(vigil_server.memory.readings) == 210


@pytest.mark.parametrize(
    ("rate", "targets", "agents"), [(1, 1, 1), (1000, 20, 1), (1001, 20, 2), (5000, 20, 4), (5000, 2, 2)]
)
def test_a_high_rate_is_shared_by_several_agents(rate: float, targets: int, agents: int) -> None:
    names = [f"web-{number}" for number in range(targets)]
    shares = share_out(targets=names, rate=rate)
    assert len(shares) == agents
    assert sorted(name for part, _ in shares for name in part) == sorted(names)
    assert sum(share for _, share in shares) == pytest.approx(rate)
