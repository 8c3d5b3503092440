from itertools import islice

import pytest

from simulator import fleet, scenarios
from simulator.physics import Fault
from simulator.scenarios import PlannedStrike

NAMES = fleet.build(targets=24, seed=1).names()


def first_strikes(name: str, count: int = 40, *, names: tuple[str, ...] = NAMES, seed: int = 1) -> list[PlannedStrike]:
    return list(islice(scenarios.plan(scenarios.find(name), names=names, seed=seed), count))


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_the_same_seed_tells_the_same_story(name: str) -> None:
    assert first_strikes(name, seed=3) == first_strikes(name, seed=3)


def test_another_seed_tells_another_story() -> None:
    assert first_strikes("cpu-spike", seed=3) != first_strikes("cpu-spike", seed=4)


@pytest.mark.parametrize(
    ("name", "fault", "role"),
    [
        ("cpu-spike", Fault.LOAD, "web"),
        ("disk-filling", Fault.DISK_FILLING, "db"),
        ("remedy-that-does-not-help", Fault.SLOW_DEPENDENCY, "search"),
    ],
)
def test_a_story_strikes_the_services_it_is_about(name: str, fault: Fault, role: str) -> None:
    strikes = first_strikes(name)
    assert {strike.fault for strike in strikes} == {fault}
    assert {strike.target.rpartition("-")[0] for strike in strikes} == {role}


def test_mixed_begins_at_once_and_shows_every_fault() -> None:
    strikes = first_strikes("mixed")
    assert strikes[0].after == 0
    assert strikes[0].fault is Fault.LOAD
    assert {strike.fault for strike in strikes} == set(Fault)


def test_mixed_never_touches_web_01() -> None:
    assert "web-01" not in {strike.target for strike in first_strikes("mixed", 500)}


def test_mixed_leaves_a_struck_service_in_peace_for_a_while() -> None:
    last: dict[str, float] = {}
    for strike in first_strikes("mixed", 200):
        assert strike.after - last.get(strike.target, -1000) >= 40, strike
        last[strike.target] = strike.after


def test_quiet_breaks_nothing() -> None:
    assert first_strikes("quiet") == []


@pytest.mark.parametrize("name", [name for name in scenarios.SCENARIOS if name != "quiet"])
def test_a_fleet_of_one_has_its_story_too(name: str) -> None:
    assert {strike.target for strike in first_strikes(name, names=("web-01",))} == {"web-01"}


def test_strikes_come_in_the_order_of_time() -> None:
    times = [strike.after for strike in first_strikes("mixed")]
    assert times == sorted(times)


def test_an_unknown_scenario_is_answered_with_the_nearest() -> None:
    with pytest.raises(scenarios.UnknownScenario, match="Did you mean 'cpu-spike'"):
        scenarios.find("cpu-spkie")
