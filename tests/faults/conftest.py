"""Whole Vigils that things are done to."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ledger import Ledger
from tests.servers.stack import Stack

SETTLED = {"completed", "failed", "cancelled"}


class Field:
    """A running Vigil, its remediator, and a person who orders actions."""

    def __init__(self, stack: Stack, ledger: Ledger) -> None:
        self.stack = stack
        self.ledger = ledger
        self.api = f"{stack.base_url}/api/v1"
        self.vigil = stack.session(stack.create_key("field"))

    def order(self, target: str, *, kind: str = "restart") -> int:
        """Order an action; once the API said so, it may not be lost."""
        answer = self.vigil.post(f"{self.api}/actions", json={"action": kind, "target": target}, timeout=10)
        assert answer.status_code in {201, 202}, answer.text
        body: dict[str, Any] = answer.json()
        return int(body.get("id") or body["action_id"])

    def action(self, action_id: int) -> dict[str, Any]:
        """One action as the API shows it."""
        found: dict[str, Any] = self.vigil.get(f"{self.api}/actions/{action_id}", timeout=10).json()
        return found

    def wait_settled(self, ids: list[int], *, seconds: float) -> dict[int, dict[str, Any]]:
        """Wait until every action ended or asks for a human."""
        until = time.monotonic() + seconds
        while True:
            found = {action_id: self.action(action_id) for action_id in ids}
            left = [row for row in found.values() if row["status"] not in SETTLED and not row.get("needs_human")]
            if not left:
                return found
            if time.monotonic() > until:
                raise AssertionError(f"{len(left)} actions did not settle within {seconds:g} s: {left}")
            time.sleep(0.5)

    def wait_busy(self, count: int, *, seconds: float = 20.0) -> None:
        """Wait until the remediator works on `count` requests at once."""
        until = time.monotonic() + seconds
        while self.ledger.busy < count:
            assert time.monotonic() < until, f"only {self.ledger.busy} of {count} calls under way{self.stack.logs()}"
            time.sleep(0.02)

    def broken(self) -> list[dict[str, str]]:
        """The invariants that do not hold in the database afterwards."""
        told = json.loads(self.stack.manage("fsck", "--json", check=False).stdout)
        found: list[dict[str, str]] = told["broken"]
        return found


@pytest.fixture
def field(live_stack: Callable[..., Stack], tmp_path: Path) -> Iterator[Callable[..., Field]]:
    """Start one: `field(latency=..., mode_of=...)`; other keywords are settings."""
    ledgers: list[Ledger] = []

    def start(*, latency: float = 0.05, mode_of: Callable[[str, int], str] | None = None, **env: str) -> Field:
        ledger = Ledger(tmp_path / f"ledger-{len(ledgers)}.jsonl", latency=latency, mode_of=mode_of)
        ledgers.append(ledger)
        return Field(live_stack(REMEDIATOR_URL=ledger.url, **env), ledger)

    yield start
    for ledger in ledgers:
        ledger.stop()
