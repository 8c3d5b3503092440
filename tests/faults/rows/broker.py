"""What is done to the broker, and to what lies in it."""

import redis

from tests.faults import messages
from tests.faults.agent import Agent
from tests.faults.rows.table import Plan, Result, all_consume, campaign, row
from tests.faults.scene import scene
from tests.servers.broker_troubles import TROUBLES

LONGEST_ORDER = 3.0
"""Seconds; with the broker's own time-outs an order that waits for it takes longer."""


@row("F3", "the broker is killed and comes back 5 to 12 s later, with every worker busy", full=(300, 5), quick=(60, 1))
def restarted_broker(plan: Plan) -> Result:
    """Calls take 0.5 to 2 s, so that all slots are busy when it goes and calls end while it is away."""
    with scene(database=plan.database, seed=plan.seed, latency=(0.5, 2.0)) as running:

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 5, seconds=15)
            with running.fault("broker away"):
                running.broker.kill()
                running.wait(running.rng.uniform(5, 12))
                running.broker.start()
            running.wait(5)

        result = campaign(running, plan, strike)
        return result | all_consume(running)


@row("F4", "FLUSHALL in the broker", full=(300, 5), quick=(60, 1))
def flushed_broker(plan: Plan) -> Result:
    """Whatever waits in Redis is gone; the rows are still due."""
    with scene(database=plan.database, seed=plan.seed) as running:

        def strike(number: int) -> None:
            client = redis.Redis.from_url(running.broker.url)
            with running.fault("FLUSHALL"):
                client.flushall()
            client.close()

        result = campaign(running, plan, strike)
        again = running.ask("SELECT coalesce(sum(hint_count), 0) FROM actions_action")[0][0]
        return result | {"hints given again": int(again)}


@row(
    "F5",
    "the broker is away, hung, full, loading, read-only, locked, 20 s each, under ingest",
    full=(600, 6),
    quick=(60, 2),
)
def useless_broker(plan: Plan) -> Result:
    """Neither ingest nor an order waits for it, and what is due runs meanwhile. The design's minute is 20 s here."""
    troubles = list(TROUBLES.items())
    meanwhile: dict[str, int] = {}
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=10)

        def strike(number: int) -> None:
            name, trouble = troubles[number % len(troubles)]
            before = len(running.ledger.effects)
            with running.fault(f"broker {name}"), trouble(running.broker):
                running.wait(20)
            meanwhile[name] = len(running.ledger.effects) - before

        result = campaign(running, plan, strike)
        notes = {
            "orders that waited for the broker": float(str(result.notes["slowest order s"])) > LONGEST_ORDER,
            "effects meanwhile": meanwhile,
        }
        return result | notes | agent.stop() | all_consume(running)


@row("F20", "malformed messages in the queue of actions", full=(100, 10), quick=(40, 2))
def malformed_messages(plan: Plan) -> Result:
    """Noise, forged ids, unknown tasks, wrong arguments: none has an effect of its own."""
    with scene(database=plan.database, seed=plan.seed) as running:
        before = set(running.mains("worker"))

        def strike(number: int) -> None:
            client = redis.Redis.from_url(running.broker.url)
            for message in messages.malformed():
                client.lpush("vigil.actions", message)
            client.close()
            running.wait(1)

        result = campaign(running, plan, strike)
        client = redis.Redis.from_url(running.broker.url)
        left = client.llen("vigil.actions")
        client.close()
        lost = len(before - set(running.mains("worker")))
        sent = plan.faults * len(messages.malformed())
        return result | {"malformed": sent, "worker mains lost": lost, "left in the queue": left} | all_consume(running)
