"""Orders and moves actions for tests, through the front doors wherever there is one."""

from collections.abc import Mapping
from datetime import timedelta

from django.db import connection, transaction

from actions import dispatch, execution, queries, states
from actions.claims import Claimed, claim
from actions.consent import Asks
from actions.guards import Fleet, Limits
from actions.models import Action
from actions.queries import ActionView
from vigil.audit import entries
from vigil.kernel import clock

FREE = Limits(cooldown=timedelta(0), rate_count=1_000)
"""A policy's limits that are in nobody's way."""


def answer(
    *,
    kind: str = "scale-up",
    target: str = "web-01",
    key: str = "policy:high-cpu:incident:7:step:0",
    policy_name: str = "high-cpu",
    limits: Limits = FREE,
    params: Mapping[str, object] | None = None,
    incident_id: int | None = 7,
    settle: timedelta | None = None,
    asks: Asks = Asks.NOBODY,
    fleet: Fleet | None = None,
) -> dispatch.OrderAnswer:
    """What an order of a policy is answered."""
    with transaction.atomic():
        return dispatch.order(
            kind=kind,
            target=target,
            params=params or {},
            key=key,
            reason="cpu_usage 92 > 90",
            actor="vigil",
            at=clock.now(),
            incident_id=incident_id,
            policy_name=policy_name,
            policy_version=1,
            severity="warning",
            limits=limits,
            fleet=fleet,
            settle=settle,
            asks=asks,
            asked_by="policy high-cpu asks first" if asks else "",
        )


def ordered(**order: object) -> ActionView:
    """A policy's action, in its line."""
    got = answer(**order)  # type: ignore[arg-type]
    assert isinstance(got, dispatch.Ordered), got
    assert got.created
    return got.action


def by_hand(*, kind: str = "scale-up", target: str = "web-01", key: str = "") -> ActionView:
    """An action that Ana ordered."""
    got = dispatch.order_by_hand(
        kind=kind, target=target, params={}, reason="looks slow", actor="user:ana", at=clock.now(), idempotency_key=key
    )
    assert isinstance(got, dispatch.Ordered), got
    return got.action


def run(action_id: int) -> execution.Ran:
    """What a worker does on a hint."""
    return execution.run(action_id=action_id, worker="w1")


def leased(action_id: int, *, worker: str = "w1") -> Claimed:
    """The lease of a worker that has not sent anything yet."""
    got = claim(action_id=action_id, worker=worker)
    assert isinstance(got, Claimed), got
    return got


def state(action_id: int) -> str:
    """Where the action is."""
    return queries.get(action_id).state.value


def due_now(action_id: int) -> None:
    """Let the action's waiting be over."""
    Action.objects.filter(pk=action_id).update(run_after=clock.now() - timedelta(seconds=1))


def lease_over(action_id: int) -> None:
    """Let the action's lease be over."""
    Action.objects.filter(pk=action_id).update(lease_expires_at=clock.now() - timedelta(seconds=1))


def deadline_over(action_id: int) -> None:
    """Let the action's deadline be over."""
    past = clock.now() - timedelta(seconds=1)
    Action.objects.filter(pk=action_id).update(deadline=past, created_at=past - timedelta(hours=1))


def word_overdue(action_id: int) -> None:
    """Let the time be over in which somebody might have approved it."""
    past = clock.now() - timedelta(seconds=1)
    Action.objects.filter(pk=action_id).update(approval_expires_at=past)


def story(action_id: int) -> list[str]:
    """The kinds of the action's audit entries; the chain must verify and be a legal path without gaps."""
    subject = f"action:{action_id}"
    told = list(entries.of(subject))
    assert entries.broken_links(subject) == []
    assert len(told) == Action.objects.get(pk=action_id).state_seq
    assert states.is_legal_path([(entry.from_state, entry.to_state) for entry in told])
    return [entry.kind.removeprefix("action.") for entry in told]


def secret_lost(remediator: str = "fake") -> None:
    """Let the remediator's secret be one of a key that nobody has any more."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE actions_remediator SET secret = 'of-another-key' WHERE name = %s", [remediator])
