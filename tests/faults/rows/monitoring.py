"""What is done to those who watch: agents that fall silent, clocks that jump, and readings that are bad everywhere."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

import requests

from tests.faults.caller import Caller
from tests.faults.rows.table import KINDS, Plan, Result, finish, row
from tests.faults.scene import Scene, scene
from vigil.kernel import clock

STALE = 10
SETTINGS = {
    "VIGIL_STALENESS_SECONDS": str(STALE),
    "VIGIL_REPORT_SECONDS": "5",
    "VIGIL_SWEEP_INTERVAL_SECONDS": "5",
    "VIGIL_GRACE_SECONDS": "0",
}
WELL = {"cpu": 40.0, "memory": 40.0, "requests": 100.0, "heartbeat": 1.0}
BAD = {"cpu": 99.0, "memory": 99.0, "requests": 0.0, "heartbeat": 1.0}
CAP = 5
"""What a policy may do in ten minutes when it says nothing of its own."""

LONE = {"common_cause": {"percent": 100}, "blast_radius": {"percent": 100, "within": "10m"}, "min_healthy": 0}
"""Nothing counts shares of the fleet: the rate and the storm brake stand alone."""


@row("F24", "half of all agents fall silent, their clocks jump, then every target is bad within 10 s", full=(1000, 0))
def failed_monitoring(plan: Plan) -> Result:
    """`actions` is the number of targets. The staleness of 5 minutes is 10 s here, so that silence is soon noticed."""
    with scene(database=plan.database, seed=plan.seed, settings=SETTINGS) as running:
        began = time.monotonic()
        hosts = [f"web-{number:04}" for number in range(plan.actions)]
        _policies(running)
        for _ in range(3):
            _report(running, hosts, WELL)
            running.wait(2)
        silent = _silence(running, hosts)
        jumped = _clock_jump(running, hosts)
        bad = _mass_bad(running, hosts)
        _look_after_it(running, hosts)
        caller = Caller(running, actions=20, kinds=KINDS, targets=20, target_of=lambda number: f"db-{number:02}")
        running.until(lambda: caller.done, seconds=60)
        return finish(running, caller, began=began) | silent | jumped | bad


def _policies(running: Scene) -> None:
    """Of silence, of load (braked as a common cause), of memory (braked by the rate and the storm), of no traffic."""
    wanted: Sequence[Mapping[str, object]] = (
        {"name": "silence", "condition": {"type": "metric_absent", "metric": "heartbeat", "for": f"{STALE}s"}},
        {"name": "load", "condition": "cpu > 90"},
        {"name": "memory", "condition": "memory > 90", **LONE},
        {"name": "traffic", "condition": "requests < 1", **LONE},
    )
    session = running.session()
    for one in wanted:
        body = {"target": "web-*", "severity": "critical", "auto_remediate": True, "action": "restart", **one}
        answer = session.post(f"{running.api}/policies", json=body, timeout=20)
        assert answer.status_code == 201, answer.text


def _report(running: Scene, hosts: Sequence[str], values: Mapping[str, float], *, at_once: int = 250) -> None:
    session = running.session()
    for first in range(0, len(hosts), at_once):
        some = hosts[first : first + at_once]
        _send(running, session, [_reading(host, name, value) for host in some for name, value in values.items()])


def _reading(host: str, name: str, value: float) -> dict[str, object]:
    return {"name": name, "value": value, "tags": {"host": host}}


def _send(running: Scene, session: requests.Session, body: Sequence[Mapping[str, object]]) -> int:
    answer = session.post(f"{running.api}/ingest", json=body, timeout=60)
    running.tick()
    return answer.status_code


def _silence(running: Scene, hosts: Sequence[str]) -> dict[str, object]:
    """Half of them say nothing for four times as long as it takes to notice."""
    heard = hosts[: len(hosts) // 2]
    with running.fault("half of the agents are silent"):
        until = time.monotonic() + 4 * STALE
        while time.monotonic() < until:
            _report(running, heard, WELL)
            running.wait(2)
    noticed = _count(
        running,
        "SELECT count(*) FROM policies_incident JOIN policies_policy p ON p.id = policy_id WHERE p.name = 'silence'",
    )
    return {
        "silent targets": len(hosts) - len(heard),
        "silent targets noticed": noticed,
        "actions from silence": _count(running, "SELECT count(*) FROM actions_action WHERE by_hand = false"),
        "held as blind": _decisions(running, "blind"),
    }


def _clock_jump(running: Scene, hosts: Sequence[str]) -> dict[str, object]:
    """Readings from an hour ahead are refused, and nothing is done because of them."""
    ahead = (clock.now() + timedelta(hours=1)).isoformat()
    body = [{**_reading(host, "cpu", 99.0), "timestamp": ahead} for host in hosts[:100]]
    status = _send(running, running.session(), body)
    running.wait(3)
    return {
        "readings from the future": status,
        "actions from the future": _count(running, "SELECT count(*) FROM actions_action WHERE by_hand = false"),
    }


def _mass_bad(running: Scene, hosts: Sequence[str]) -> dict[str, object]:
    """Ten targets a request, all of them within ten seconds or as fast as they are taken."""
    _report(running, hosts, WELL)
    began = time.monotonic()
    with running.fault("all targets are bad"):
        _report(running, hosts, BAD, at_once=10)
        took = time.monotonic() - began
        until = time.monotonic() + 30
        while time.monotonic() < until:
            _report(running, hosts, BAD)
            running.wait(3)
    per_policy = dict(
        running.ask("SELECT policy_name, count(*) FROM actions_action WHERE by_hand = false GROUP BY policy_name")
    )
    brakes = running.ask(
        "SELECT kind, subject, count(*), min(at) FROM audit_entry "
        "WHERE kind IN ('storm.began', 'common_cause.began') GROUP BY kind, subject"
    )
    return {
        "all bad within s": round(took, 1),
        "actions from mass-bad": per_policy,
        "more actions than the cap": sum(max(0, int(count) - CAP) for count in per_policy.values()),
        "brakes": {subject: count for _, subject, count, _ in brakes},
        "no brake": int(not any(kind == "storm.began" for kind, _, _, _ in brakes)),
        "told more than once": sum(int(count) - 1 for _, _, count, _ in brakes),
    }


def _look_after_it(running: Scene, hosts: Sequence[str]) -> None:
    """All is well again, and a person has looked: what the storms held is asked about again, and no longer wanted."""
    session = running.session()
    for _ in range(3):
        _report(running, hosts, WELL)
        running.wait(2)
    for subject, *_ in running.ask("SELECT subject FROM audit_entry WHERE kind = 'storm.began'"):
        body = {"scope": subject.removeprefix("storm:"), "reason": "the monitoring was wrong"}
        session.post(f"{running.api}/guards/reset", json=body, timeout=20).raise_for_status()


def _decisions(running: Scene, guard: str) -> int:
    return _count(running, f"SELECT count(*) FROM policies_decision WHERE guard = '{guard}'")  # noqa: S608


def _count(running: Scene, sql: str) -> int:
    return int(running.ask(sql)[0][0])
