"""Each guard answers with its reason and its numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actions import guards
from actions.guards import Allow, Answer, Facts, Hold, Occupant, Switch, Usage

AT = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUIET = Facts(switch=Switch(mode="active"), target="web-01", cooldown=5 * MINUTE)


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
        (replace(QUIET, quarantined_until=AT + MINUTE), "quarantine", "12:01:00"),
        (replace(QUIET, last_effect_at=AT - MINUTE), "cooldown", "until 2026-01-19 12:04:00 UTC"),
        (replace(QUIET, cooldown_until=AT + 2 * MINUTE), "cooldown", "12:02:00"),
        (replace(QUIET, rate=Usage(name="policy a", used=5, cap=5)), "rate", "5 of 5 actions in 600 s"),
        (replace(QUIET, concurrency=(Usage(name="group web", used=1, cap=1),)), "concurrency", "group web"),
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
        replace(QUIET, quarantined_until=AT),
        replace(QUIET, last_effect_at=AT - 5 * MINUTE),
        replace(QUIET, last_effect_at=AT, cooldown=timedelta(0)),
        replace(QUIET, cooldown_until=AT),
        replace(QUIET, rate=Usage(name="policy a", used=4, cap=5)),
        replace(QUIET, concurrency=(Usage(name="group web", used=0, cap=1),)),
    ],
    ids=["quarantine over", "cooldown over", "no cooldown", "cooldown just over", "rate left", "room left"],
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
