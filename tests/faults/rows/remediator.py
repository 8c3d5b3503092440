"""What a remediator does to Vigil."""

import math
import random
import time
from collections import Counter

from tests.faults.caller import Caller
from tests.faults.history import Fault
from tests.faults.rows.table import KINDS, SETTLED_WITHIN, Plan, Result, campaign, finish, nothing, row
from tests.faults.scene import Scene, now, scene
from tests.servers import hostile

LONGEST_CALL = 15.5
REST = 10.0
"""How long an open circuit rests in F10; 30 s by default."""
LASTS = 25.0
UNDER_WAY = 1.0
"""A call may have been let through just before the circuit opened, and arrive after."""

ENDLESS_AFTER = 30
"""Seconds after which a person is asked about what was accepted and never ends; 300 by default."""

PATIENCE = 300.0
"""What is respected of a Retry-After at the most."""


@row("F11", "the connection is reset after the remediator acted, three times in ten", full=(300, 0), quick=(80, 0))
def reset_after_acting(plan: Plan) -> Result:
    """What may be sent once is settled by asking; what may be repeated is."""
    chance = random.Random(plan.seed)

    def mode_of(target: str, nth: int) -> str:
        return "reset" if chance.random() < 0.3 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        result = campaign(running, plan, nothing)
        return result | {"keys asked about": len(running.ledger.asked)}


@row("F10", "the remediator fails one time in four, then always for 25 s, then lets nobody in for 15 s", full=(200, 2))
def failing_remediator(plan: Plan) -> Result:
    """500, 503, hangs up, hangs, a byte a second. Its circuit opens, and no call is without an end."""
    chance = random.Random(plan.seed)
    is_down: list[float] = []
    closed: list[dict[str, int]] = []

    def mode_of(target: str, nth: int) -> str:
        if len(is_down) % 2:
            return "error"
        return chance.choice(("error", "busy", "reset", "hang", "R02")) if chance.random() < 0.25 else "good"

    settings = {"VIGIL_BREAKER_REST_SECONDS": f"{REST:.0f}"}
    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of, settings=settings) as running:

        def strike(number: int) -> None:
            began = now()
            if number % 2:
                with running.fault("remediator lets nobody in"):
                    running.ledger.shut()
                    running.wait(15)
                    running.ledger.open()
                return
            is_down.append(began)
            running.wait(LASTS)
            is_down.append(now())
            running.faults.append(Fault(what="remediator down", at=began, ended=now()))
            closed.append(_circuit(running, since=began, until=is_down[-1]))

        result = campaign(running, plan, strike, targets=200)
        spans = [effect.ended - effect.began for effect in running.ledger.effects]
        beyond = "SELECT count(*) FROM actions_action WHERE attempt_no > max_attempts"
        totals: Counter[str] = Counter()
        for one in closed:
            totals.update(one)
        return result | {
            **totals,
            "longest call s": round(max(spans), 1),
            "calls longer than 15.5 s": sum(span > LONGEST_CALL for span in spans),
            "attempts beyond the limit": int(running.ask(beyond)[0][0]),
        }


def _circuit(running: Scene, *, since: float, until: float) -> dict[str, int]:
    """Whether the circuit opened while every call failed, and how many calls went past it; a probe per rest may."""
    openings = running.moments("SELECT at FROM audit_entry WHERE kind = 'circuit.opened'")
    opened = min((at for at in openings if at >= since), default=math.inf)
    arrived = [effect.began for effect in running.arrivals() if since <= effect.began < until]
    past = sum(began > opened + UNDER_WAY for began in arrived)
    probes = int(max(0.0, until - opened) // REST) if opened < math.inf else 0
    return {
        "circuits that stayed closed": int(opened == math.inf),
        "calls until it opened": sum(began <= opened for began in arrived),
        "probes": past,
        "calls past an open circuit": max(0, past - probes),
    }


@row("F12", "hostile answers, each of them", full=(5 * (len(hostile.ANSWERS) + 1), 0))
def hostile_answers(plan: Plan) -> Result:
    """The answer is never taken for a success, the worker stays alive, and what became of it is asked by key.

    The circuit would open and let one call through in half a minute; a rest of 1 s keeps the row short.
    """
    names = sorted([*hostile.ANSWERS, "R16"])

    def target_of(number: int) -> str:
        return f"{names[number % len(names)]}-{number}"

    def mode_of(target: str, nth: int) -> str:
        return target.partition("-")[0] if nth == 1 else "good"

    settings = {"VIGIL_BREAKER_REST_SECONDS": "1"}
    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of, settings=settings) as running:
        running.write(f"UPDATE actions_actiontype SET max_seconds = {ENDLESS_AFTER}")  # noqa: S608
        before = set(running.children("worker"))
        began = time.monotonic()
        caller = Caller(running, actions=plan.actions, kinds=KINDS, targets=1, target_of=target_of)
        longest = [0.0]

        def watch() -> bool:
            longest[0] = max(longest[0], _patience(running))
            _hurry(running)
            return caller.done and running.unsettled() == 0

        while not watch() and time.monotonic() < began + 2 * SETTLED_WITHIN:
            running.wait(2)
        caller.stop()
        result = finish(running, caller, began=began)
        endless = "SELECT count(*) FROM actions_action WHERE target LIKE 'R16-%' AND state <> 'needs_human'"
        widest = int(running.ask("SELECT max(length(excerpt)) FROM actions_attempt")[0][0])
        return result | {
            "called a success unasked": _unasked(running),
            "called over that never ends": int(running.ask(endless)[0][0]),
            "worker processes lost": len(before - set(running.children("worker"))),
            "longest excerpt": widest,
            "excerpts longer than 4 KiB": int(widest > 4096),
            "longest wait asked for s": round(longest[0]),
            "waits of more than five minutes": int(longest[0] > PATIENCE + 1),
        }


def _unasked(running: Scene) -> int:
    """Successes for which there was neither a good answer nor a question."""
    said = {str(key) for (key,) in running.ask("SELECT uid FROM actions_action WHERE state = 'succeeded'")}
    times = Counter(effect.key for effect in running.ledger.effects)
    sure = set(running.ledger.asked) | {key for key, count in times.items() if count > 1}
    return len({key.replace("-", "") for key in said} - {key.replace("-", "") for key in sure})


def _patience(running: Scene) -> float:
    """How long the longest wait for a next attempt still is."""
    waits = running.moments("SELECT run_after FROM actions_action WHERE state = 'retry_wait'")
    return max((at - now() for at in waits), default=0.0)


def _hurry(running: Scene) -> None:
    """What was told to wait for ever, or runs for ever, is due now: how long that is was noted."""
    running.write(
        "UPDATE actions_action SET run_after = {past} WHERE state IN ('retry_wait', 'accepted', 'unknown')"
        " AND (target LIKE 'R15-%' OR target LIKE 'R16-%')"
    )
