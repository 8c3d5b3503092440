"""What a remediator does to Vigil."""

import random
from collections import Counter

from tests.faults.rows.table import Plan, Result, campaign, nothing, row
from tests.faults.scene import Scene, scene
from tests.servers import hostile


@row("F11", "the connection is reset after the remediator acted, three times in ten", full=(300, 0), quick=(80, 0))
def reset_after_acting(plan: Plan) -> Result:
    """What may be sent once is settled by asking; what may be repeated is."""
    chance = random.Random(plan.seed)

    def mode_of(target: str, nth: int) -> str:
        return "reset" if chance.random() < 0.3 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        result = campaign(running, plan, nothing)
        return result | {"keys asked about": len(running.ledger.asked)}


@row("F10", "the remediator answers 500, hangs or hangs up, one time in four", full=(200, 0))
def failing_remediator(plan: Plan) -> Result:
    """Backoff, asking by key, and no call without an end."""
    chance = random.Random(plan.seed)

    def mode_of(target: str, nth: int) -> str:
        return chance.choice(("error", "reset", "R15", "hang")) if chance.random() < 0.25 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        result = campaign(running, plan, nothing, targets=200)
        longest = max(effect.ended - effect.began for effect in running.ledger.effects)
        return result | {"longest call s": round(longest, 1)}


@row("F12", "hostile answers, each of them", full=(5 * len(hostile.ANSWERS), 0))
def hostile_answers(plan: Plan) -> Result:
    """The answer is never taken for a success, the worker stays alive, and what became of it is asked by key."""
    names = sorted(hostile.ANSWERS)

    def target_of(number: int) -> str:
        return f"{names[number % len(names)]}-{number}"

    def mode_of(target: str, nth: int) -> str:
        return target.partition("-")[0] if nth == 1 else "good"

    with scene(database=plan.database, seed=plan.seed, mode_of=mode_of) as running:
        before = set(running.children("worker"))
        result = campaign(running, plan, nothing, kinds=("restart", "scale-up", "snapshot"), target_of=target_of)
        said = {str(key) for (key,) in running.ask("SELECT uid FROM actions_action WHERE state = 'succeeded'")}
        sure = set(running.ledger.asked) | {key for key, times in _times(running).items() if times > 1}
        false = {key.replace("-", "") for key in said} - {key.replace("-", "") for key in sure}
        wide = "SELECT max(length(excerpt)) FROM actions_attempt"
        return result | {
            "called a success unasked": len(false),
            "worker processes lost": len(before - set(running.children("worker"))),
            "longest excerpt": running.ask(wide)[0][0],
        }


def _times(running: Scene) -> Counter[str]:
    return Counter(effect.key for effect in running.ledger.effects)
