"""What is done to those who bring readings in."""

import signal

from tests.faults.agent import Agent
from tests.faults.rows.table import Plan, Result, campaign, nothing, row
from tests.faults.scene import Size, scene


@row("F14", "every batch of readings is sent four times at once", full=(50, 0), quick=(20, 0))
def doubled_ingest(plan: Plan) -> Result:
    """It counts once, and every answer is the same."""
    with scene(database=plan.database, seed=plan.seed, size=Size(workers=1, dispatchers=1)) as running:
        agent = Agent(running, per_second=8, copies=4)
        result = campaign(running, plan, nothing)
        running.wait(10)
        return result | agent.stop()


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
