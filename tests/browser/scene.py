"""A little world for the console to show: built through the same doors that agents, workers and people use."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from django.contrib.auth.models import Group, User
from django.test import override_settings

from actions import approvals, dispatch, execution, reaper
from actions.consent import Voice
from actions.models import Action, ActionType, Remediator
from actions.states import State
from metrics.formats.reading import EventReading, Reading
from policies import authoring, intake, sweep
from policies.muting import inhibitions, maintenance, silences
from vigil.kernel import clock
from vigil.kernel.database import database_now
from vigil.periodic import beats

PASSWORD = "a-good-long-password"


def person(name: str, *groups: str, superuser: bool = False) -> User:
    """Somebody who may enter the console."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=superuser)
    # A test with real transactions ends by emptying every table, the roles too.
    user.groups.set(Group.objects.get_or_create(name=group)[0] for group in groups)
    return user


def send(name: str, value: float, target: str, **tags: str) -> intake.Accepted:
    """One reading, as an agent sends it."""
    reading = Reading(name=name, value=value, tags={"host": target, **tags})
    return intake.accept(readings=[reading], at=clock.now(), actor="key:agent-1")


def happen(name: str, target: str, severity: str = "info") -> None:
    """One event."""
    event = EventReading(name=name, severity=severity, tags={"host": target}, payload={"release": "2026.47"})
    intake.accept(readings=[event], at=clock.now(), actor="key:ci")


def policy(name: str, condition: str, *, target: str = "*", action: str = "restart", **more: object) -> None:
    """A policy that acts, unless told otherwise."""
    raw = {"name": name, "condition": condition, "target": target, "action": action, "mode": "auto", **more}
    authoring.create(raw=raw, actor="user:ana", at=clock.now(), note="The first version.")


def work(*, limit: int = 20) -> int:
    """What a worker does, here and now."""
    return execution.run_due(limit=limit, worker="worker@here")


def alive() -> None:
    """Everything that should run says that it lives."""
    for role in ("worker", "dispatcher"):
        beats.beat(name=f"{role}@host-1", role=role, at=clock.now(), hostname="host-1", pid=4242)
    beats.took_up(name="worker@host-1", at=clock.now())


@contextmanager
def remediator() -> Iterator[str]:
    """A remediator that carries out everything but restarts: those it takes, and then it says nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Remediator)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/remediate"
    Remediator.objects.filter(name="default").update(kind="http", config={"url": url})
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()


def get_stuck(target: str) -> int:
    """An action nobody knows the end of: it needs a human. Wants `remediator` to run."""
    answer = dispatch.order_by_hand(
        kind="restart", target=target, params={}, reason="It hangs since the deploy.", actor="user:ana", at=clock.now()
    )
    assert isinstance(answer, dispatch.Ordered), answer
    work()
    for _ in range(20):
        Action.objects.filter(pk=answer.action.id, state=State.UNKNOWN).update(run_after=database_now())
        reaper.run(at=clock.now())
    return answer.action.id


def build() -> None:
    """The whole scene: open, pending and healed incidents, actions in every state, a policy with a history."""
    alive()
    policy("web-cpu-high", "cpu_percent > 90 recover at 80", target="web-*", action="scale-up", params={"replicas": 4})
    policy(
        "disk-filling",
        "disk_percent > 95",
        severity="critical",
        action="snapshot",
        then=[{"action": "restart", "after": "2m"}],
    )
    policy("errors-burst", "avg(error_rate, 5m) > 5 for 2m", target="api-*", mode="observe", severity="warning")
    policy("agent-silent", "no heartbeat for 2m", severity="warning", mode="observe")
    policy("latency-high", "p95(latency_ms, 5m) > 800", target="api-*", mode="observe", severity="info")
    authoring.update(
        name="web-cpu-high",
        change={"condition": "cpu_percent > 92 recover at 75", "params": {"replicas": 6}},
        actor="user:ana",
        at=clock.now(),
        note="90 opened on every deploy.",
    )
    authoring.disable(name="latency-high", actor="user:ana", at=clock.now())
    for step in range(40):
        send("cpu_percent", 35 + step % 7, "web-01", region="eu-west")
    with remediator():
        hold_back()
        send("cpu_percent", 97.5, "web-03", region="eu-west")
        work()
        send("cpu_percent", 41.0, "web-03", region="eu-west")
        get_stuck("queue-02")
        send("disk_percent", 97.2, "db-01", mount="/var")
        work()
    send("cpu_percent", 98.3, "web-07", region="us-east")
    send("error_rate", 9.4, "api-02")
    send("error_rate", 1.1, "api-01")
    send("latency_ms", 912.0, "api-01")
    ask_first()
    mute()
    send("queue_length", 900, "batch-01")
    happen("deploy_finished", "api-02")
    happen("deploy_failed", "queue-02", severity="critical")
    sweep.run(at=clock.now())


def hold_back() -> None:
    """What only a person lets go: a storm, a target in quarantine, and two policies that fight. Wants `remediator`."""
    policy("cache-cold", "cache_misses > 90", target="cache-*", action="scale-up")
    with override_settings(VIGIL_STORM_PROPOSALS=2):
        for number in range(1, 4):
            send("cache_misses", 96.0, f"cache-{number:02}")
    work()
    policy("mail-stuck", "mail_queue > 500", target="mail-*", action="scale-up")
    with override_settings(VIGIL_QUARANTINE_REPAIRS=1):
        send("mail_queue", 812.0, "mail-01")
        work()
    policy("pool-high", "pool_percent > 70", target="pool-*", action="scale-up")
    policy("pool-low", "pool_percent < 90", target="pool-*", action="scale-down")
    _take_turns("pool-high", "pool-low", "pool-high", "pool-low", target="pool-01")
    send("pool_percent", 80.0, "pool-01")


def _take_turns(*policies: str, target: str) -> None:
    """What these policies did there in the last minutes, as its execution leaves it."""
    for number, name in enumerate(policies):
        at = database_now() - (len(policies) - number) * timedelta(minutes=6)
        Action.objects.create(
            dedup_key=f"policy:{name}:incident:0:step:{number}",
            action_type_id="scale-up" if name.endswith("high") else "scale-down",
            target=target,
            state=State.SUCCEEDED,
            policy_name=name,
            policy_version=1,
            ordered_by=f"policy:{name}",
            run_after=at,
            created_at=at,
            started_at=at,
            finished_at=at,
            deadline=at + timedelta(minutes=1),
            attempt_no=1,
            verification="effective",
        )


def ask_first() -> None:
    """What waits for somebody's word: a suggestion, and a critical action that one of two has approved."""
    policy(
        "checkout-slow",
        "latency_ms > 900",
        target="checkout-*",
        action="restart-service",
        params={"service": "checkout", "grace_seconds": 30},
        mode="suggest",
    )
    policy(
        "node-dead",
        "disk_errors > 50",
        target="node-*",
        severity="critical",
        action="drain-pod",
        params={"grace_seconds": 60},
        mode="approve",
    )
    ActionType.objects.filter(name="drain-pod").update(risk="critical")
    send("latency_ms", 1840.0, "checkout-03", region="eu-west")
    send("disk_errors", 212.0, "node-17", rack="b4")
    waiting = Action.objects.get(target="node-17")
    approvals.approve(
        action_id=waiting.pk,
        voice=Voice(actor="user:bo", approves=True),
        reason="Its disk is dying; I looked at the SMART log.",
        at=clock.now(),
    )


def mute() -> None:
    """One of each sort of what mutes; of what the scene shows the silence alone touches anything."""
    at = clock.now()
    policy("queue-long", "queue_length > 500", target="batch-*", action="scale-up")
    silence = {"matchers": ["target = batch-*"], "duration": "2h", "comment": "The night's import is late."}
    silences.create(raw=silence, actor="user:ana", at=at)
    weekly = {"days": ["sat", "sun"], "from": "22:00", "to": "02:00", "timezone": "Europe/Berlin"}
    maintenance.create(raw={"target": "lab-*", "weekly": weekly, "comment": "Backups."}, actor="user:ana", at=at)
    rule = {
        "name": "a dead host",
        "source": ["policy = host-down"],
        "target": ["policy != host-down"],
        "equal": ["host"],
    }
    inhibitions.create(raw=rule, actor="user:ana", at=at)


def showcase() -> None:
    """A short evening for the README: two services healed, a third being healed. Takes some seconds."""
    policy("web-cpu-high", "cpu_percent > 90 recover at 75", target="web-*", action="scale-up", settle="0s")
    policy("api-memory-leak", "memory_percent > 92", target="api-*", action="restart-service", settle="0s")
    policy("disk-filling", "disk_percent > 95", severity="critical", action="rebalance", settle="0s")
    policy("agent-silent", "no heartbeat for 2m", mode="observe")
    with remediator():
        send("memory_percent", 96.4, "api-02")
        work()
        time.sleep(7)
        send("cpu_percent", 97.5, "web-03")
        work()
        send("memory_percent", 38.0, "api-02")
        time.sleep(4)
        send("cpu_percent", 41.0, "web-03")
        time.sleep(3)
        send("disk_percent", 97.2, "db-01")
        work()
    send("cpu_percent", 93.1, "web-07")
    sweep.run(at=clock.now())
    alive()


class _Remediator(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["action"] == "restart":
            self.close_connection = True
            return
        said = json.dumps({"status": "success", "message": f"{body['action']} done on {body['target']}"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Silent."""
