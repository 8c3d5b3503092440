"""The checker finds what is wrong with a run; each of these plants one fault in a run that is right."""

import json
import math
from dataclasses import replace

import pytest

from tests.faults import history
from tests.faults.history import Closed, Effect, Fault, History, Step, Stored, Told

PATH = ("ready", "leased", "executing", "succeeded")


def _steps(*goals: str, at: float = 10.0) -> tuple[Step, ...]:
    origins = ("", *goals)
    return tuple(
        Step(seq=number, origin=origins[number - 1], goal=goal, at=at + number, numbers={})
        for number, goal in enumerate(goals, start=1)
    )


def _row(number: int, *, target: str = "web-01", state: str = "succeeded", once: bool = True) -> Stored:
    return Stored(
        action_id=number,
        key=f"k{number}",
        kind="restart",
        target=target,
        state=state,
        state_seq=len(PATH),
        at_most_once=once,
        deadline=1_000.0,
        attempts=1,
        steps=_steps(*PATH),
    )


def _effect(number: int, *, began: float, fence: int, target: str = "web-01") -> Effect:
    return Effect(key=f"k{number}", target=target, fence=fence, began=began, ended=began + 1)


def _told(number: int, *, target: str = "web-01") -> Told:
    return Told(action_id=number, kind="restart", target=target, at=1.0)


GOOD = History(
    attempted=2,
    told=(_told(1), _told(2)),
    effects=(_effect(1, began=20, fence=1), _effect(2, began=30, fence=2)),
    stored=(_row(1), _row(2)),
)


def _found(run: History) -> list[str]:
    return sorted({violation.what for violation in history.check(run).violations})


def test_a_run_that_is_right_passes() -> None:
    verdict = history.check(GOOD)
    assert verdict.holds
    assert (verdict.figures["acknowledged"], verdict.figures["executed"], verdict.figures["succeeded"]) == (2, 2, 2)


@pytest.mark.parametrize(
    ("name", "run", "found"),
    [
        ("an acknowledged action is gone", replace(GOOD, stored=(_row(1),)), ["lost", "unexpected"]),
        ("one never ends", replace(GOOD, stored=(_row(1), replace(_row(2), state="unknown"))), ["audit gap", "lost"]),
        ("a success that nobody saw", replace(GOOD, effects=GOOD.effects[:1]), ["lost"]),
        ("another order in its place", replace(GOOD, stored=(_row(1), _row(2, target="web-09"))), ["lost"]),
        (
            "sent twice",
            replace(
                GOOD,
                effects=(*GOOD.effects, _effect(2, began=40, fence=3)),
                stored=(_row(1), replace(_row(2), attempts=2)),
            ),
            ["duplicated"],
        ),
        ("a key that nobody stored", replace(GOOD, effects=(*GOOD.effects, _effect(9, began=40, fence=3))), None),
        (
            "an effect without an attempt",
            replace(GOOD, stored=(_row(1), replace(_row(2), attempts=0))),
            ["unexpected"],
        ),
        ("after its deadline", replace(GOOD, stored=(_row(1), replace(_row(2), deadline=29.0))), ["out of window"]),
        ("while paused", replace(GOOD, closed=(Closed(why="paused", after=25, until=35),)), ["out of window"]),
        (
            "two at once on a target",
            replace(GOOD, effects=(_effect(1, began=20, fence=1), _effect(2, began=20.5, fence=2))),
            ["overlapping"],
        ),
        (
            "a long one outlasts a short one",
            replace(
                GOOD,
                effects=(
                    replace(_effect(1, began=20, fence=1), ended=50.0),
                    replace(_effect(2, began=51, fence=2), ended=52.0),
                    replace(_effect(2, began=49, fence=2), ended=49.5),
                ),
                stored=(_row(1), replace(_row(2, once=False), attempts=2)),
            ),
            ["fence regression", "overlapping"],
        ),
        (
            "a lower fence is let in",
            replace(GOOD, effects=(_effect(1, began=20, fence=2), _effect(2, began=30, fence=1))),
            ["fence regression"],
        ),
        (
            "a step is missing in the audit",
            replace(GOOD, stored=(_row(1), replace(_row(2), steps=_row(2).steps[:2] + _row(2).steps[3:]))),
            ["audit gap"],
        ),
        (
            "the audit ends elsewhere",
            replace(GOOD, stored=(_row(1), replace(_row(2), steps=_steps("ready", "leased", "executing", "failed")))),
            ["audit gap"],
        ),
        (
            "a step begins elsewhere",
            replace(
                GOOD,
                stored=(
                    _row(1),
                    replace(_row(2), steps=(*_row(2).steps[:3], replace(_row(2).steps[3], origin="ready"))),
                ),
            ),
            ["audit gap"],
        ),
        ("fsck finds something", replace(GOOD, broken=("I5 ...",)), ["invariant"]),
    ],
)
def test_each_planted_fault_is_found(name: str, run: History, found: list[str] | None) -> None:
    assert _found(run) == (found or ["unexpected"]), name


def test_a_repeatable_action_may_come_twice_under_its_key() -> None:
    repeated = replace(
        GOOD,
        effects=(*GOOD.effects, _effect(2, began=40, fence=3)),
        stored=(_row(1), replace(_row(2, once=False), attempts=2)),
    )
    verdict = history.check(repeated)
    assert verdict.holds
    assert verdict.figures["repeated under its key"] == 1


def test_it_may_come_again_before_the_remediator_noticed_that_its_caller_hung_up() -> None:
    effects = (
        GOOD.effects[0],
        replace(GOOD.effects[1], ended=42.0),
        replace(_effect(2, began=41, fence=3), ended=41.5),
    )
    repeated = replace(GOOD, effects=effects, stored=(_row(1), replace(_row(2, once=False), attempts=2)))
    assert history.check(repeated).holds


def test_asking_a_person_is_an_end() -> None:
    steps = _steps("ready", "leased", "executing", "needs_human")
    asked = replace(
        GOOD, effects=GOOD.effects[:1], stored=(_row(1), replace(_row(2), state="needs_human", steps=steps))
    )
    assert history.check(asked).holds
    assert history.check(asked).figures["asked a person"] == 1


def test_recovery_is_the_wait_for_the_first_effect_after_the_fault() -> None:
    run = replace(GOOD, faults=(Fault(what="kill", at=15, ended=16), Fault(what="kill", at=25, ended=29)))
    assert history.recoveries(run) == [4, 1]


def test_nothing_after_a_fault_counts_as_never_when_work_was_left() -> None:
    late = replace(_row(2), steps=_steps(*PATH, at=90.0))
    run = replace(GOOD, stored=(_row(1), late), faults=(Fault(what="kill", at=50, ended=50),))
    assert history.recoveries(run) == [math.inf]
    assert history.recoveries(replace(run, stored=GOOD.stored)) == []


def test_what_was_sent_before_a_fault_needs_no_effect_after_it() -> None:
    asked = replace(_row(2), steps=_steps("ready", "leased", "unknown", "succeeded", at=47.0))
    run = replace(GOOD, stored=(_row(1), asked), faults=(Fault(what="kill", at=50, ended=50.5),))
    assert history.recoveries(run) == []


def test_a_lost_lease_is_timed_from_the_kill_of_its_holder() -> None:
    steps = _steps("ready", "leased", "executing", "unknown", "succeeded")
    steps = (*steps[:3], replace(steps[3], at=39.0, numbers={"lease_losses": 1}), replace(steps[4], at=41.0))
    row = replace(_row(2), state_seq=5, steps=steps)
    kills = (
        Fault(what="kill", at=2, ended=2),
        Fault(what="kill", at=14, ended=14),
        Fault(what="kill", at=35, ended=35),
    )
    assert history.freed(replace(GOOD, stored=(_row(1), row), faults=kills)) == [25.0]


def test_percentiles_are_values_that_were_measured() -> None:
    assert history.spread([]) == history.Spread(count=0, p50=None, p95=None, most=None)
    assert history.spread(range(1, 101)) == history.Spread(count=100, p50=50, p95=95, most=100)


def test_the_table_and_the_json_tell_the_figures() -> None:
    verdict = history.check(GOOD)
    assert "fence regression" in history.table([("F1 sqlite seed 1", verdict)])
    assert json.loads(history.dumped([("F1", verdict)]))["F1"]["figures"]["lost"] == 0


def test_what_waits_behind_an_action_that_asks_a_person_is_not_lost() -> None:
    asking = replace(_row(1), state="needs_human", steps=_steps("ready", "leased", "executing", "needs_human"))
    waiting = replace(_row(2), state="ready", attempts=0, state_seq=1, steps=_steps("ready"))
    run = replace(GOOD, effects=(_effect(1, began=20, fence=1),), stored=(asking, waiting))
    verdict = history.check(run)
    assert verdict.holds
    assert verdict.figures["held for that person"] == 1


def test_what_waits_beside_it_is() -> None:
    asking = replace(_row(1), state="needs_human", steps=_steps("ready", "leased", "executing", "needs_human"))
    elsewhere = replace(_row(2), target="web-02", state="ready", attempts=0, state_seq=1, steps=_steps("ready"))
    run = replace(GOOD, told=(_told(1), _told(2, target="web-02")), stored=(asking, elsewhere), effects=())
    assert "lost" in _found(run)
