"""What the demo adds to an empty Vigil: its policies, and the settings that make a story quick to follow."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.client import Vigil

POLICIES: tuple[dict[str, object], ...] = (
    {
        "name": "demo-high-cpu",
        "description": "A web service runs hot: give it a second replica.",
        "severity": "warning",
        "target": "web-*",
        "auto_remediate": True,
        "condition": {"type": "metric_exceeds", "metric": "cpu_usage", "threshold": 80},
        "action": "scale-up",
        "params": {"replicas": 2},
    },
    {
        "name": "demo-memory-leak",
        "description": "Memory runs out: restart before the service is killed.",
        "severity": "warning",
        "target": "*",
        "auto_remediate": True,
        "condition": {"type": "metric_exceeds", "metric": "memory_percent", "threshold": 85},
        "action": "restart",
    },
    {
        "name": "demo-crash",
        "description": "Every request fails: the service is down, restart it.",
        "severity": "critical",
        "target": "*",
        "auto_remediate": True,
        "condition": {"type": "metric_exceeds", "metric": "error_rate", "threshold": 50},
        "action": "restart-service",
    },
    {
        "name": "demo-disk-filling",
        "description": "The disk is nearly full: take a snapshot and clean up.",
        "severity": "warning",
        "target": "db-*",
        "auto_remediate": True,
        "condition": {"type": "metric_exceeds", "metric": "disk_percent", "threshold": 85},
        "action": "snapshot",
    },
    {
        "name": "demo-silent",
        "description": "No heartbeat: the agent has died, restart it.",
        "severity": "critical",
        "target": "*",
        "auto_remediate": True,
        "condition": {"type": "metric_absent", "metric": "heartbeat", "for": "15s"},
        "action": "restart-service",
    },
    {
        "name": "demo-slow-search",
        "description": "Search is slow. The cause lies elsewhere, so no remedy helps, and Vigil says so.",
        "severity": "warning",
        "target": "search-*",
        "auto_remediate": True,
        "condition": {"type": "metric_exceeds", "metric": "latency_ms", "threshold": 1000},
        "action": "rebalance",
    },
)

GUARDS: Mapping[str, object] = {
    "cooldown": "20s",
    "rate": {"count": 60, "per": "10m"},
    "settle": "2s",
    "flapping": {"high": 80, "low": 40},
}
"""Every demo policy's limits: a story in which something breaks every few seconds needs looser ones than real life."""

TARGETS = 24
RATE = 160
"""Readings a second: about one round of the whole fleet."""
SWEEP_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What became of the demo's policies."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    refused: Mapping[str, str]
    """By name, the sentence that says why."""


def settings(*, remediator_port: int, remediator_secret: str) -> dict[str, str]:
    """The environment Vigil needs for the demo: where the simulated remediator is, and quick answers."""
    return {
        "REMEDIATOR_URL": f"http://127.0.0.1:{remediator_port}/",
        "REMEDIATOR_SECRET": remediator_secret,
        "VIGIL_SETTLE_SECONDS": "2",
        # The fleet breaks the same services again before long, which is no relapse of what was healed.
        "VIGIL_RELAPSE_SECONDS": "60",
        # And soon every service has been repaired once, which in real life nobody should do to a whole fleet.
        "VIGIL_BLAST_RADIUS_PERCENT": "100",
        # After some minutes it would also have done more than an installation usually does in ten minutes, and two
        # policies would have restarted the same service in turn, which elsewhere is a fight between them.
        "VIGIL_GLOBAL_RATE_COUNT": "1000",
        "VIGIL_OSCILLATION_EFFECTS": "0",
        "VIGIL_SWEEP_INTERVAL_SECONDS": str(SWEEP_SECONDS),
        "VIGIL_SIMULATOR_ENABLED": "1",
    }


def install(*, vigil: Vigil) -> Installed:
    """Post the demo's policies over the API; those that exist stay as they are, for someone may have edited them."""
    created, existing, refused = [], [], {}
    for policy in POLICIES:
        name = str(policy["name"])
        answer = vigil.create_policy({**GUARDS, **policy})
        if answer.kind == "ok":
            created.append(name)
        elif answer.status == 409:
            existing.append(name)
        else:
            refused[name] = str(answer.body.get("detail") or answer.error or f"status {answer.status}")
    return Installed(created=tuple(created), existing=tuple(existing), refused=refused)
