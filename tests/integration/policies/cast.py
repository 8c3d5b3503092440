"""A small cast: policies, readings, actions at their end, and a remediator that remembers what it was asked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings

from actions.models import Action, Attempt, Remediator
from metrics.formats.reading import EventReading, Reading
from policies import authoring, book, intake, quality
from policies.intake import Accepted
from policies.models import Incident, Policy
from policies.muting import common_causes
from policies.remedies import Settled
from tests.integration.policies import remediator
from vigil.access import keys
from vigil.kernel import clock, database
from vigil.kernel.database import database_now

HIGH_CPU: dict[str, object] = {
    "name": "high-cpu-alert",
    "target": "web-*",
    "auto_remediate": True,
    "condition": "cpu_usage > 90",
    "action": "scale-up",
    "params": {"replicas": 2},
}


def forget() -> None:
    """Drop what this process remembers of an earlier test's database."""
    book.forget()
    common_causes._counted.clear()
    quality._heard.clear()
    keys.forget_cache()
    remediator.calls.clear()
    remediator.outcomes.clear()


def policy(**fields: object) -> Policy:
    """Scales up web-* when cpu_usage exceeds 90; any field may be given."""
    return authoring.create(raw=HIGH_CPU | fields, actor="user:ana", at=clock.now())


def post(value: float, *, at: datetime, name: str = "cpu_usage", **tags: str) -> Accepted:
    """Let a reading of web-01 in, as the API does."""
    reading = Reading(name=name, value=value, tags={"host": "web-01"} | tags, at=at)
    return intake.accept(readings=[reading], at=at, actor="key:agent-1")


def post_late(value: float, *, measured: datetime, at: datetime) -> Accepted:
    """A reading that took its time."""
    reading = Reading(name="cpu_usage", value=value, tags={"host": "web-01"}, at=measured)
    return intake.accept(readings=[reading], at=at, actor="key:agent-1")


def happen(name: str, *, at: datetime, severity: str = "critical") -> Accepted:
    """Let an event on web-01 in."""
    event = EventReading(name=name, severity=severity, tags={"host": "web-01"}, at=at)
    return intake.accept(readings=[event], at=at, actor="key:agent-1")


def only(accepted: Accepted) -> Settled:
    """The one thing that followed from a reading."""
    assert accepted.evaluated
    [settled] = accepted.settled
    return settled


def incident() -> Incident:
    """The newest incident."""
    newest = Incident.objects.order_by("-id").first()
    assert newest is not None
    return newest


def end_action(action_id: int, *, at: datetime, settle: timedelta = timedelta(0), state: str = "succeeded") -> None:
    """Leave an action as its execution would, ended at a time of the test's choosing."""
    verify_after = at + settle if state == "succeeded" else None
    finished_at = None if state == "accepted" else at
    Action.objects.filter(pk=action_id).update(
        state=state, started_at=at, finished_at=finished_at, attempt_no=1, verify_after=verify_after
    )


def carry_out(action_id: int, *, at: datetime) -> None:
    """Leave an action as its execution would whose effect was at a time of the test's choosing, and ended at once."""
    Attempt.objects.create(action_id=action_id, number=1, token=1, worker="test", intent_at=at)
    end_action(action_id, at=at)


@contextmanager
def the_database_says(moment: datetime) -> Iterator[None]:
    """Actions are dated, and guards ask, by the database's clock; how long a run takes is not to matter to a test.

    What SQL asks for by itself goes on: whether a worker may claim an action.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in list(sys.modules.values()):
            if vars(module).get("database_now") is database_now and module is not database:
                patch.setattr(module, "database_now", lambda **_: moment)
        yield


def seeds(count: int) -> list[int]:
    """The even ones on SQLite, the odd ones on PostgreSQL: each takes seconds, and the two find the same mistakes."""
    return [seed for seed in range(count) if seed % 2 == (connection.vendor == "postgresql")]


def use_fake_remediator() -> override_settings:
    """Every action type goes to `tests.integration.policies.remediator`; enter the answer as a context."""
    Remediator.objects.filter(name="default").update(kind="fake", config={}, enabled=True)
    return override_settings(VIGIL_REMEDIATORS={"fake": "tests.integration.policies.remediator.make"})
