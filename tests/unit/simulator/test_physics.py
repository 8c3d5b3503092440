"""What each fault does to a service, and that time alone cures only what it should."""

import pytest

from simulator import physics
from simulator.physics import Fault, Service


def service(**changes: object) -> Service:
    return Service(**{"name": "web-01", "role": "web", "region": "us-east-1", **changes})  # type: ignore[arg-type]


def struck(fault: Fault, *, seconds: float = 0.0) -> Service:
    return physics.advance(physics.strike(service(), fault=fault), dt=seconds)


def test_a_calm_service_reports_seven_healthy_metrics() -> None:
    calm = physics.readings(service())
    assert set(calm) == {
        *("cpu_usage", "memory_percent", "disk_percent", "error_rate", "latency_ms", "requests", "heartbeat")
    }
    assert calm["cpu_usage"] < 60
    assert calm["memory_percent"] < 60
    assert calm["disk_percent"] < 60
    assert calm["error_rate"] < 1
    assert calm["latency_ms"] < 100
    assert calm["heartbeat"] == 1


@pytest.mark.parametrize(
    ("fault", "seconds", "metric", "above"),
    [
        (Fault.LOAD, 0, "cpu_usage", 85),
        (Fault.LOAD, 0, "latency_ms", 150),
        (Fault.MEMORY_LEAK, 10, "memory_percent", 85),
        (Fault.MEMORY_LEAK, 20, "error_rate", 20),
        (Fault.CRASH, 0, "error_rate", 99),
        (Fault.DISK_FILLING, 13, "disk_percent", 85),
        (Fault.DISK_FILLING, 30, "error_rate", 10),
        (Fault.SLOW_DEPENDENCY, 0, "latency_ms", 1000),
    ],
)
def test_each_fault_shows_in_its_metric(fault: Fault, seconds: float, metric: str, above: float) -> None:
    assert physics.readings(struck(fault, seconds=seconds))[metric] > above


def test_a_crashed_service_gives_no_heartbeat_but_its_host_still_reports() -> None:
    crashed = physics.readings(struck(Fault.CRASH))
    assert "heartbeat" not in crashed
    assert crashed["requests"] == 0
    assert crashed["cpu_usage"] < 10


def test_a_dead_agent_reports_nothing_at_all() -> None:
    assert physics.readings(struck(Fault.DEAD_AGENT)) == {}


@pytest.mark.parametrize("fault", [Fault.MEMORY_LEAK, Fault.CRASH, Fault.DISK_FILLING, Fault.DEAD_AGENT])
def test_waiting_does_not_cure(fault: Fault) -> None:
    assert struck(fault, seconds=3600).fault is fault


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(Fault.LOAD, physics.SURGE_SECONDS), (Fault.SLOW_DEPENDENCY, physics.SLOW_SECONDS)],
)
def test_what_lies_outside_the_service_passes_in_time(fault: Fault, seconds: float) -> None:
    assert struck(fault, seconds=seconds - 1).fault is fault
    assert struck(fault, seconds=seconds).fault is None


def test_percentages_stay_percentages_whatever_happens() -> None:
    for fault in Fault:
        for metric, value in physics.readings(struck(fault, seconds=10_000)).items():
            assert value >= 0
            assert not metric.endswith("percent") or value <= 100


def test_time_does_not_run_backwards() -> None:
    assert physics.advance(service(), dt=-5) == service()


def test_noise_depends_on_seed_and_age_alone() -> None:
    assert physics.readings(service(age=3.0)) == physics.readings(service(age=3.0))
    assert physics.readings(service(age=3.0)) != physics.readings(service(age=4.0))
    assert physics.readings(service(seed=1)) != physics.readings(service(seed=2))
