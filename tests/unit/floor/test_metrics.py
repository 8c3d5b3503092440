"""However many policies come and go, their counts stay few."""

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from vigil.telemetry import metrics


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter, CollectorRegistry]:
    monkeypatch.setattr(metrics, "_told_apart", set())
    monkeypatch.setattr(metrics, "POLICIES_MOST", 3)
    registry = CollectorRegistry()
    return Counter("violations", "Of policies.", ["policy_name"], registry=registry), registry


def test_policies_beyond_the_limit_share_one_count(counted: tuple[Counter, CollectorRegistry]) -> None:
    counter, registry = counted
    for number in range(100):
        metrics.of_policy(counter, f"p-{number}").inc()
    told = generate_latest(registry).decode()
    assert 'violations_total{policy_name="p-2"} 1.0' in told
    assert 'violations_total{policy_name="(others)"} 97.0' in told
    assert told.count("violations_total{") == 4


def test_who_has_a_count_keeps_it(counted: tuple[Counter, CollectorRegistry]) -> None:
    counter, registry = counted
    for name in ("a", "b", "c", "d", "a"):
        metrics.of_policy(counter, name).inc()
    assert registry.get_sample_value("violations_total", {"policy_name": "a"}) == 2
