from datetime import UTC, datetime, timedelta

from simulator import scenarios
from simulator.physics import Fault
from simulator.world import World

START = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)


def world(name: str = "cpu-spike", *, targets: int = 8) -> World:
    return World(scenario=scenarios.find(name), targets=targets, seed=1, at=START)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_story_strikes_when_its_time_has_come() -> None:
    made = world()
    made.readings(targets=["web-01"], at=later(0.5))
    assert made.faults() == {}
    made.readings(targets=["web-01"], at=later(1))
    assert list(made.faults().values()) == [Fault.LOAD]


def test_what_happened_is_remembered_in_order_and_told_once() -> None:
    made = world()
    made.readings(targets=[], at=later(1))
    target = next(iter(made.faults()))
    made.apply(action="scale-up", target=target, params={"replicas": 2}, at=later(3))
    told = made.happenings()
    assert [(one.kind, one.target, one.number) for one in told] == [("broke", target, 1), ("remedied", target, 2)]
    assert [one.at for one in told] == [later(1), later(3)]
    assert made.happenings(after=2) == []


def test_a_remedy_heals_the_readings() -> None:
    made = world(targets=1)
    hot = made.readings(targets=["web-01"], at=later(1))
    made.apply(action="scale-up", target="web-01", params={}, at=later(2))
    calm = made.readings(targets=["web-01"], at=later(3))
    assert _value(hot, "cpu_usage") > 80 > _value(calm, "cpu_usage")


def test_a_refused_remedy_is_remembered_as_refused() -> None:
    made = world("quiet")
    effect = made.apply(action="restart", target="nobody", params={}, at=later(1))
    assert not effect.ok
    assert [one.kind for one in made.happenings()] == ["refused"]


def test_a_broken_service_keeps_its_fault_until_it_is_cured() -> None:
    made = world("crash", targets=1)
    made.readings(targets=[], at=later(300))
    assert [one.kind for one in made.happenings()] == ["broke"]


def test_two_worlds_with_one_seed_live_the_same_life() -> None:
    one, other = world("mixed", targets=24), world("mixed", targets=24)
    for second in range(120):
        at = later(second)
        assert one.readings(targets=one.names(), at=at) == other.readings(targets=other.names(), at=at)
    assert one.happenings() == other.happenings()


def test_a_clock_that_steps_back_does_no_harm() -> None:
    made = world()
    made.readings(targets=[], at=later(5))
    made.readings(targets=[], at=later(2))
    assert len(made.happenings()) == 1


def _value(readings: list[dict[str, object]], name: str) -> float:
    return next(float(str(one["value"])) for one in readings if one["name"] == name)
