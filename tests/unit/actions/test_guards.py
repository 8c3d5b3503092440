"""Each guard answers with its reason and its numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actions import guards
from actions.breaker import Circuit, Position
from actions.guards import (
    Allow,
    Answer,
    Facts,
    Fleet,
    Hold,
    Occupant,
    Quarantine,
    Repairs,
    Shares,
    Storm,
    Switch,
    Usage,
)

AT = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUIET = Facts(switch=Switch(mode="active"), target="web-01", cooldown=5 * MINUTE)


TEN = frozenset(f"web-{number:02}" for number in range(10))


def some(count: int, *, first: int = 0) -> frozenset[str]:
    return frozenset(f"web-{number:02}" for number in range(first, first + count))


def repairs(
    *, live: int = 0, repaired: int = 0, bad: int = 0, members: frozenset[str] = TEN, shares: Shares | None = None
) -> Repairs:
    """Of ten targets the last ones are being or were repaired, the first ones are bad."""
    fleet = Fleet(name="web-*", members=members, unhealthy=some(bad) & members, shares=shares or Shares())
    return Repairs(fleet=fleet, live=some(live, first=10 - live), repaired=some(repaired, first=10 - repaired))


def held(answer: Answer) -> Hold:
    assert isinstance(answer, Hold)
    return answer


def test_nothing_in_the_way_is_allowed() -> None:
    assert isinstance(guards.check(QUIET, at=AT), Allow)


@pytest.mark.parametrize(
    ("facts", "guard", "says"),
    [
        (
            replace(QUIET, switch=Switch(mode="paused", by="user:ana", reason="deploy")),
            "kill_switch",
            "user:ana: deploy",
        ),
        (replace(QUIET, switch=Switch(mode="observe", by="user:ana")), "kill_switch", "only observes"),
        (
            replace(QUIET, occupant=Occupant(action_id=7, kind="restart", status="running")),
            "target_busy",
            "action 7 (restart) on web-01 is running",
        ),
        (
            replace(QUIET, occupant=Occupant(action_id=7, kind="restart", status="running", needs_human=True)),
            "target_busy",
            "waits for a person",
        ),
        (replace(QUIET, quarantine=Quarantine(until=AT + MINUTE)), "quarantine", "12:01:00"),
        (replace(QUIET, last_effect_at=AT - MINUTE), "cooldown", "until 2026-01-19 12:04:00 UTC"),
        (replace(QUIET, cooldown_until=AT + 2 * MINUTE), "cooldown", "12:02:00"),
        (replace(QUIET, rate=Usage(name="policy a", used=5, cap=5)), "rate", "5 of 5 actions in 600 s"),
        (replace(QUIET, concurrency=(Usage(name="group web", used=1, cap=1),)), "concurrency", "group web"),
        (replace(QUIET, global_rate=Usage(name="Vigil", used=60, cap=60)), "global_rate", "Vigil has used 60 of 60"),
        (
            replace(QUIET, storms=(Storm(scope="policy:a", since=AT, reason="policy a proposed 21 actions"),)),
            "storm",
            "21 actions; everything of policy a is held until a person resets it",
        ),
        (replace(QUIET, quarantine=Quarantine(until=AT + MINUTE, reason="3 repairs")), "quarantine", "(3 repairs)"),
        (
            replace(QUIET, circuit=Circuit(position=Position.OPEN, opened_at=AT, failures=5, reason="5 in a row")),
            "circuit",
            "12:00:30",
        ),
        (replace(QUIET, repairs=repairs(repaired=3)), "blast_radius", "3 of 10 targets of fleet web-*"),
        (replace(QUIET, repairs=repairs(bad=5)), "healthy_floor", "only 5 of 10"),
        (replace(QUIET, repairs=repairs(bad=3, live=2)), "healthy_floor", "only 5 of 10"),
    ],
)
def test_a_guard_holds_and_says_why(facts: Facts, guard: str, says: str) -> None:
    answer = held(guards.check(facts, at=AT))
    assert answer.guard == guard
    assert says in answer.reason
    assert answer.numbers


@pytest.mark.parametrize(
    "facts",
    [
        replace(QUIET, quarantine=Quarantine(until=AT)),
        replace(QUIET, last_effect_at=AT - 5 * MINUTE),
        replace(QUIET, last_effect_at=AT, cooldown=timedelta(0)),
        replace(QUIET, cooldown_until=AT),
        replace(QUIET, rate=Usage(name="policy a", used=4, cap=5)),
        replace(QUIET, concurrency=(Usage(name="group web", used=0, cap=1),)),
        replace(QUIET, global_rate=Usage(name="Vigil", used=59, cap=60)),
        replace(QUIET, circuit=Circuit(position=Position.OPEN, opened_at=AT - MINUTE / 2, failures=5)),
        replace(QUIET, repairs=repairs(repaired=2)),
        replace(QUIET, repairs=repairs(bad=4)),
        replace(QUIET, repairs=repairs(bad=10, live=4, repaired=9, members=some(4))),
        replace(QUIET, repairs=repairs(bad=9, shares=Shares(min_healthy=0))),
        replace(QUIET, target="web-07", repairs=repairs(repaired=3)),
    ],
    ids=[
        "quarantine over",
        "cooldown over",
        "no cooldown",
        "cooldown just over",
        "rate left",
        "room left",
        "global rate left",
        "circuit has rested",
        "within the blast radius",
        "above the floor",
        "four are no fleet",
        "no floor",
        "itself among the repaired",
    ],
)
def test_at_the_edge_a_guard_lets_go(facts: Facts) -> None:
    assert isinstance(guards.check(facts, at=AT), Allow)


def test_a_cap_of_nothing_lets_nothing_through() -> None:
    assert held(guards.rate(Usage(name="policy a", used=0, cap=0), per=MINUTE)).guard == "rate"
    assert held(guards.concurrency((Usage(name="all of Vigil", used=0, cap=0),))).guard == "concurrency"


def test_the_kill_switch_is_named_before_everything_else() -> None:
    everything = replace(
        QUIET,
        switch=Switch(mode="paused"),
        occupant=Occupant(action_id=1, kind="restart", status="running"),
        last_effect_at=AT,
        rate=Usage(name="policy a", used=9, cap=5),
    )
    assert held(guards.check(everything, at=AT)).guard == "kill_switch"


@pytest.mark.parametrize("mode", ["", "ACTIVE", "on", "unknown"])
def test_a_mode_nobody_knows_is_not_active(mode: str) -> None:
    assert held(guards.kill_switch(Switch(mode=mode))).numbers["mode"] == mode


@pytest.mark.parametrize(
    ("percent", "of", "some_of"),
    [(10, 5, 1), (10, 19, 1), (10, 20, 2), (30, 5, 1), (30, 10, 3), (100, 7, 7), (1, 50, 1)],
)
def test_a_share_is_rounded_down_but_never_to_none(percent: int, of: int, some_of: int) -> None:
    assert guards.at_least_one(percent, of=of) == some_of


def test_a_target_that_its_fleet_does_not_know_yet_is_one_of_it() -> None:
    found = repairs(repaired=10, shares=Shares(repaired=100))
    assert guards.blast_radius("web-10", found) == guards.ALLOWED


@pytest.mark.parametrize(
    ("minutes", "last"), [([], None), ([0, 10], None), ([0, 10, 60], 60), ([0, 10, 61], None), ([90, 0, 80, 70], 90)]
)
def test_three_repairs_within_an_hour_are_too_many(minutes: list[int], last: int | None) -> None:
    effects = [AT + minute * MINUTE for minute in minutes]
    found = guards.repairs_too_often(effects, most=3, within=60 * MINUTE)
    assert found == (None if last is None else AT + last * MINUTE)


@pytest.mark.parametrize(("proposals", "storm"), [(0, False), (20, False), (21, True)])
def test_more_than_twenty_proposals_are_a_storm(proposals: int, storm: bool) -> None:
    assert bool(guards.storm_begins(proposals, most=20, within=MINUTE, who="policy a")) is storm


@pytest.mark.parametrize(
    ("newest_at", "holds"), [(AT, False), (AT - 2 * MINUTE, False), (AT - 2.1 * MINUTE, True), (None, True)]
)
def test_nothing_is_done_on_old_readings(newest_at: datetime | None, holds: bool) -> None:
    answer = guards.fresh(newest_at, at=AT, within=2 * MINUTE)
    assert isinstance(answer, Hold) is holds
    if newest_at is not None and holds:
        assert held(answer).numbers == {"age_seconds": 126.0, "allowed_seconds": 120}


@pytest.mark.parametrize(("fewest", "holds"), [(None, False), (2, False), (1, True)])
def test_nothing_is_done_on_a_window_of_one_reading(fewest: int | None, holds: bool) -> None:
    assert isinstance(guards.dense(fewest, least=2), Hold) is holds


@pytest.mark.parametrize(("silent", "known", "holds"), [(2, 10, False), (3, 10, True), (4, 4, False), (0, 0, False)])
def test_many_silent_targets_are_a_trouble_of_the_listener(silent: int, known: int, holds: bool) -> None:
    assert isinstance(guards.observed(silent, known, percent=30), Hold) is holds
