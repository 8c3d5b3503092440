"""What is done to those who bring readings in."""

import signal

from tests.faults.agent import Agent
from tests.faults.rows.table import Plan, Result, campaign, nothing, row
from tests.faults.scene import Scene, Size, scene

OTHER_VALUE = 777_777.0


@row("F14", "every batch of readings is sent four times at once", full=(50, 0), quick=(20, 0))
def doubled_ingest(plan: Plan) -> Result:
    """It counts once, and every answer is the same."""
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=1, dispatchers=1)) as running:
        agent = Agent(running, per_second=8, copies=4)
        result = campaign(running, plan, nothing)
        running.wait(10)
        return result | agent.stop() | _reused_keys(running)


def _reused_keys(running: Scene) -> dict[str, object]:
    """Another body under a key that was used is refused with 422, and nothing of it is stored."""
    session = running.session()
    taken, statuses = 0, set()
    for number in range(20):
        for value, wanted in ((1.0, 201), (OTHER_VALUE, 422)):
            body = [{"name": "reused", "value": value, "tags": {"host": f"reused-{number}"}}]
            headers = {"Idempotency-Key": f"reused-{number}"}
            status = session.post(f"{running.api}/ingest", json=body, headers=headers, timeout=10).status_code
            taken += status != wanted
            statuses.add(status)
    running.wait(2)
    stored = int(running.ask(f"SELECT count(*) FROM metrics_sample WHERE value = {OTHER_VALUE}")[0][0])  # noqa: S608
    return {"reused keys taken": taken + stored, "answers to reused keys": sorted(statuses)}


@row("F17", "the web server is restarted by SIGTERM under ingest", full=(150, 8))
def restarted_web(plan: Plan) -> Result:
    """What was acknowledged is stored; what was not is sent again safely."""
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=10)

        def strike(number: int) -> None:
            with running.fault("web restarts"):
                running.send(running.mains("web"), signal.SIGTERM)
                running.wait(3)
            running.wait(2)

        result = campaign(running, plan, strike)
        return result | agent.stop()
