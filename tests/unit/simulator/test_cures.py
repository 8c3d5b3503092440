"""Which remedy cures which fault, and which does not."""

import pytest

from simulator import cures, physics
from simulator.physics import Fault, Service

CURED_BY = {
    Fault.LOAD: {"scale-up", "rebalance"},
    Fault.MEMORY_LEAK: {"restart", "restart-service", "drain-pod"},
    Fault.CRASH: {"restart", "restart-service", "drain-pod"},
    Fault.DISK_FILLING: {"snapshot"},
    Fault.DEAD_AGENT: {"restart", "restart-service"},
    Fault.SLOW_DEPENDENCY: set[str](),
}


def struck(fault: Fault) -> Service:
    calm = Service(name="web-01", role="web", region="us-east-1")
    return physics.advance(physics.strike(calm, fault=fault), dt=20)


@pytest.mark.parametrize("action", sorted(cures.CURES))
@pytest.mark.parametrize("fault", list(Fault))
def test_every_remedy_against_every_fault(fault: Fault, action: str) -> None:
    after, effect = cures.apply(struck(fault), action=action, params={})
    assert effect.ok
    assert effect.cured is (fault if action in CURED_BY[fault] else None)
    assert (after.fault is None) == (action in CURED_BY[fault])


@pytest.mark.parametrize(
    ("fault", "action", "metric", "below"),
    [
        (Fault.LOAD, "scale-up", "cpu_usage", 60),
        (Fault.LOAD, "rebalance", "cpu_usage", 75),
        (Fault.MEMORY_LEAK, "restart", "memory_percent", 50),
        (Fault.CRASH, "restart-service", "error_rate", 5),
        (Fault.DISK_FILLING, "snapshot", "disk_percent", 50),
    ],
)
def test_a_cure_shows_in_the_next_reading(fault: Fault, action: str, metric: str, below: float) -> None:
    after, _ = cures.apply(struck(fault), action=action, params={})
    assert physics.readings(after)[metric] < below


def test_a_restarted_agent_reports_again() -> None:
    after, _ = cures.apply(struck(Fault.DEAD_AGENT), action="restart-service", params={})
    assert physics.readings(after)["heartbeat"] == 1


def test_scaling_to_the_same_number_again_is_harmless() -> None:
    once, _ = cures.apply(struck(Fault.LOAD), action="scale-up", params={"replicas": 3})
    twice, effect = cures.apply(once, action="scale-up", params={"replicas": 3})
    assert once.replicas == 3
    assert twice == once
    assert "already" in effect.message


def test_the_extra_replicas_go_when_the_surge_has_ebbed() -> None:
    scaled, _ = cures.apply(struck(Fault.LOAD), action="scale-up", params={})
    later = physics.advance(scaled, dt=physics.SURGE_AFTER_SCALING_SECONDS)
    assert (later.replicas, later.surge) == (1, 1.0)


def test_scaling_down_never_goes_below_one() -> None:
    scaled, _ = cures.apply(struck(Fault.LOAD), action="scale-up", params={"replicas": 4})
    down, _ = cures.apply(scaled, action="scale-down", params={"replicas": 0})
    assert down.replicas == 1


def test_an_unknown_action_changes_nothing_and_says_what_is_known() -> None:
    before = struck(Fault.CRASH)
    after, effect = cures.apply(before, action="pray", params={})
    assert after == before
    assert not effect.ok
    assert "restart-service" in effect.message
