"""What is done to what everything is kept on: no room is left."""

import redis

from tests.faults.agent import Agent
from tests.faults.rows.table import Plan, Result, SkipRow, campaign, row
from tests.faults.scene import Scene, scene
from tests.servers import postgres
from tests.servers.disk import Disk, NoDisk, small_disk

MEGABYTES = {"sqlite": 64, "postgres": 320}
"""An empty PostgreSQL takes 60, and keeps its log in files of 16."""

FULL_FOR = 15.0
WITHIN = 30.0
"""So soon after there is room again everything goes on."""


@row("F16", "the database's disk is full, then the broker's memory, 15 s each, under ingest", full=(200, 4))
def full_storage(plan: Plan) -> Result:
    """New work is refused, nothing is half written, and it goes on by itself."""
    try:
        with small_disk(megabytes=MEGABYTES[plan.database]) as disk:
            return _run(plan, disk)
    except NoDisk as error:
        raise SkipRow(str(error)) from error


def _run(plan: Plan, disk: Disk) -> Result:
    with scene(database=plan.database, seed=plan.seed, disk=disk.path) as running:
        agent = Agent(running, per_second=10)
        started = 0

        def strike(number: int) -> None:
            nonlocal started
            if number % 2:
                with running.fault("the broker's memory is full"):
                    _limit_memory(running, full=True)
                    running.wait(FULL_FOR)
                    _limit_memory(running, full=False)
            else:
                with running.fault("the disk is full"):
                    disk.fill()
                    running.wait(FULL_FOR)
                    disk.free()
                    started += _start_again(running)
            running.wait(5)

        result = campaign(running, plan, strike)
        slowest = result.verdict.recovery.most or 0.0
        return (
            result
            | agent.stop()
            | {
                "never felt full": int(agent.answers[503] == 0),
                "went on too late": int(slowest > WITHIN),
                "PostgreSQL ended and was started again": started,
                "integrity": _integrity(running),
            }
        )


def _start_again(running: Scene) -> int:
    """PostgreSQL gives up when it finds no room to recover in. Whoever keeps it starts it again, as systemd would."""
    if running.server is None or running.server.process.poll() is None:
        return 0
    running.server = postgres.start_again(running.server)
    return 1


def _limit_memory(running: Scene, *, full: bool) -> None:
    """To what it has now, and nothing is thrown out."""
    client = redis.Redis.from_url(running.broker.url)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", client.info("memory")["used_memory"] if full else 0)
    client.close()


def _integrity(running: Scene) -> str:
    """SQLite looks at every page; of PostgreSQL every row is read, past all indexes."""
    if running.server is None:
        return str(running.ask("PRAGMA integrity_check")[0][0])
    tables = running.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        running.ask(f'SELECT count(*) FROM (SELECT * FROM "{table}" OFFSET 0) AS every')  # noqa: S608
    return f"{len(tables)} tables read"
