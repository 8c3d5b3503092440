"""What is done to the database."""

import signal

from tests.faults.agent import Agent
from tests.faults.history import Closed
from tests.faults.rows.table import Plan, Result, campaign, row
from tests.faults.scene import now, scene
from tests.servers.faultproxy import PASS, Mode
from tests.servers.processes import descendants


@row("F6", "PostgreSQL restarts: fast, immediate, kill -9", full=(300, 6), databases=("postgres",))
def restarted_database(plan: Plan) -> Result:
    """Under ingest; nothing that was acknowledged may be missing afterwards."""
    with scene(database=plan.database, seed=plan.seed) as running:
        agent = Agent(running, per_second=5)

        def strike(number: int) -> None:
            running.until(lambda: running.ledger.busy >= 2, seconds=10)
            with running.fault("database restarts"):
                how = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)[number % 3]
                if how == signal.SIGKILL:  # of one of its backends: the server recovers by itself
                    assert running.server is not None
                    backends = sorted(descendants(running.server.process.pid))
                    running.send([running.rng.choice(backends)], signal.SIGKILL)
                    running.wait(2)
                else:
                    running.restart_database(how)
            running.wait(3)

        result = campaign(running, plan, strike)
        return result | agent.stop()


@row("F7", "PostgreSQL away, hung and slow, 15 s each, under ingest", full=(200, 3), databases=("postgres",))
def absent_database(plan: Plan) -> Result:
    """No effect begins later than a second into the outage. The design's minute is 15 s here."""
    with scene(database=plan.database, seed=plan.seed) as running:
        assert running.proxy is not None
        proxy = running.proxy
        agent = Agent(running, per_second=5)
        modes = (Mode(name="refuse"), Mode(name="blackhole"), Mode(name="latency", ms=250, jitter=50))

        def strike(number: int) -> None:
            mode = modes[number % 3]
            began = now()
            with running.fault(f"database: {mode.name}"):
                proxy.behave(mode)
                running.wait(15)
                ended = now()
                proxy.behave(PASS)
            if mode.name != "latency":
                running.closed.append(Closed(why=f"database: {mode.name}", after=began + 1, until=ended))
            running.wait(3)

        result = campaign(running, plan, strike)
        return result | agent.stop()
