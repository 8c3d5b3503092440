import pytest

from simulator import fleet
from simulator.physics import Fault


def test_the_smallest_fleet_is_a_web_service() -> None:
    assert fleet.build(targets=1, seed=1).names() == ("web-01",)


@pytest.mark.parametrize("targets", [1, 20, 1000])
def test_a_fleet_has_as_many_services_as_asked_for_with_names_of_their_own(targets: int) -> None:
    assert len(fleet.build(targets=targets, seed=1).names()) == targets


def test_the_same_seed_builds_the_same_fleet() -> None:
    assert fleet.build(targets=30, seed=7) == fleet.build(targets=30, seed=7)
    assert fleet.build(targets=30, seed=7) != fleet.build(targets=30, seed=8)


def test_fleets_with_different_first_numbers_share_no_name() -> None:
    one, other = fleet.build(targets=40, seed=1), fleet.build(targets=40, seed=1, first=101)
    assert not set(one.names()) & set(other.names())
    assert other.names()[0] == "web-101"


def test_a_reading_names_its_target_by_its_host() -> None:
    made = fleet.build(targets=3, seed=1)
    assert {str(one["tags"]) for one in fleet.readings(made, targets=["web-01"])} == {
        "{'host': 'web-01', 'region': 'us-east-1'}"
    }


def test_a_remedy_touches_its_target_only() -> None:
    made = fleet.build(targets=4, seed=1)
    for name in ("web-01", "web-02"):
        made = fleet.strike(made, target=name, fault=Fault.CRASH)
    healed, effect = fleet.apply(made, action="restart-service", target="web-01", params={})
    assert effect.cured is Fault.CRASH
    assert healed.services["web-01"].fault is None
    assert healed.services["web-02"] == made.services["web-02"]


def test_a_stranger_is_refused_with_a_sentence() -> None:
    made = fleet.build(targets=1, seed=1)
    after, effect = fleet.apply(made, action="restart", target="mainframe", params={})
    assert after == made
    assert not effect.ok
    assert "mainframe" in effect.message
