"""The front door of orders: every one comes through here, past the guards, into its line or to whoever has to agree."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import IntegrityError, transaction

from actions import (
    budgets,
    catalogue,
    circuits,
    consent,
    control,
    guards,
    hints,
    quarantines,
    queries,
    storms,
    transitions,
)
from actions.catalogue import Place
from actions.catalogue import UnableToOrder as UnableToOrder
from actions.consent import Asks
from actions.guards import Fleet, Limits
from actions.models import NOT_OVER, Action, ActionType, TargetGuard
from actions.queries import ActionView
from actions.states import State
from vigil.access import bounds
from vigil.kernel import context, failpoints
from vigil.kernel.database import database_now, tx
from vigil.kernel.errors import FieldError, Invalid
from vigil.telemetry import metrics

LONGEST_TARGET = 250
EVERYTHING = frozenset({"*", "all"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """There is a live action for the key."""

    action: ActionView
    created: bool
    """False: the key's action was there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Not now; nothing was stored. Ask again at the next evaluation."""

    guard: str
    reason: str
    numbers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not before somebody changes something; nothing was stored."""

    guard: str
    reason: str
    numbers: Mapping[str, object] = field(default_factory=dict)


type OrderAnswer = Ordered | Held | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    kind: ActionType
    target: str
    params: Mapping[str, object]
    key: str
    reason: str
    actor: str
    at: datetime
    incident_id: int | None
    policy_name: str
    policy_version: int | None
    severity: str
    limits: Limits
    fleet: Fleet | None
    settle: timedelta | None
    verified: bool
    request_key: str | None
    retry_of: int | None
    by_hand: bool
    asks: Asks
    asked_by: str
    besides: int | None = None
    """An action that is asked about again: it is not in its own way."""

    @property
    def load(self) -> budgets.Load:
        return budgets.Load(
            kind=self.kind.name,
            policy_name=self.policy_name,
            group=self.limits.concurrency_group,
            fleet=self.fleet_name,
        )

    @property
    def fleet_name(self) -> str:
        """The fleet whose cap it counts against; "" without one."""
        return self.fleet.name if self.fleet is not None and self.fleet.counts else ""


def order(
    *,
    kind: str,
    target: str,
    params: Mapping[str, object],
    key: str,
    reason: str,
    actor: str,
    at: datetime,
    incident_id: int | None = None,
    policy_name: str = "",
    policy_version: int | None = None,
    severity: str = "",
    limits: Limits | None = None,
    fleet: Fleet | None = None,
    settle: timedelta | None = None,
    verified: bool = True,
    request_key: str | None = None,
    retry_of: int | None = None,
    by_hand: bool | None = None,
    asks: Asks = Asks.NOBODY,
    asked_by: str = "",
) -> OrderAnswer:
    """Order an action inside the caller's transaction, or say which guard holds or refuses it and why.

    A live action with the same `key` is answered as it is. An order without a policy is by hand: of the guards only
    the kill switch questions it. `verified`: whether fresh data is to say if it helped.
    UnableToOrder: unknown kind, parameters that do not fit, or no single target.
    The database's clock dates the action; `at` is the time that the decision was judged by. `fleet` is what the caller
    knows of the group that the target belongs to. It waits for the word that `asks` names, for the reason `asked_by`,
    or for what the type's risk and the target's protection ask beyond that.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("dispatch.order belongs into the transaction of the decision that wants it.")
    known = catalogue.known_type(kind)
    _check_target(target)
    catalogue.check_params(known, params)
    wish = _Order(
        kind=known,
        target=target,
        params=params,
        key=key,
        reason=reason,
        actor=actor,
        at=at,
        incident_id=incident_id,
        policy_name=policy_name,
        policy_version=policy_version,
        severity=severity,
        limits=limits or Limits(),
        fleet=fleet,
        settle=settle,
        verified=verified and not known.tells,
        request_key=request_key,
        retry_of=retry_of,
        by_hand=policy_name == "" if by_hand is None else by_hand,
        asks=asks,
        asked_by=asked_by,
    )
    return _live(key) or _judge(wish)


def order_by_hand(
    *,
    kind: str,
    target: str,
    params: Mapping[str, object],
    reason: str,
    actor: str,
    at: datetime,
    idempotency_key: str = "",
    severity: str = "",
) -> OrderAnswer:
    """Order what a person or a script asks for, in a transaction of its own.

    The same actor, `idempotency_key` and order again answers with the first one's action, even when it is over;
    with another order it is Invalid.
    """
    request_key = f"{actor}:{idempotency_key}" if idempotency_key else None

    def place() -> OrderAnswer:
        return _replayed(request_key, kind=kind, target=target, params=params) or order(
            kind=kind,
            target=target,
            params=params,
            key=f"manual:{uuid.uuid4()}",
            reason=reason,
            actor=actor,
            at=at,
            severity=severity,
            request_key=request_key,
        )

    return tx(place)


def validate(*, kind: str, params: Mapping[str, object], open_at: Collection[Place] = frozenset()) -> None:
    """UnableToOrder when an order of this kind with these parameters would be refused.

    `open_at` are places of values that are known only when it is ordered; samples of their types stand there.
    """
    catalogue.check_params(catalogue.known_type(kind), params, open_at=open_at)


def needs(*, kind: str, target: str, asks: Asks, asked_by: str) -> consent.Need:
    """Whose word a policy's order of this kind on that target would wait for; an unknown kind has no risk."""
    return consent.need(
        kind=kind,
        risk=ActionType.objects.filter(name=kind).values_list("risk", flat=True).first() or "",
        target=target,
        by_hand=False,
        protected_by=protecting(target),
        asks=asks,
        asked_by=asked_by,
    )


def ask_guards_again(row: Action, limits: Limits | None, fleet: Fleet | None) -> guards.Answer:
    """What the guards say to an action that waited, inside the caller's transaction; the locks are those of an order.

    Without `limits` the installation's defaults and the caps that were kept count. By hand: only the kill switch.
    """
    off = _switched_off(row.action_type)
    switch = off or guards.kill_switch(control.state().switch)
    if row.by_hand or not isinstance(switch, guards.Allow):
        return switch
    wish = _again(row, limits, fleet)
    if row.policy_name and limits is not None:
        budgets.declare(policy_name=row.policy_name, limits=limits, fleet=fleet)
    guard = budgets.lock_target(row.target)
    now = database_now()
    return guards.check(_facts(wish, guard, now=now), at=now)


def _again(row: Action, limits: Limits | None, fleet: Fleet | None) -> _Order:
    """The order that the action came from."""
    return _Order(
        kind=row.action_type,
        target=row.target,
        params=row.params,
        key=row.dedup_key,
        reason=row.reason,
        actor=row.ordered_by,
        at=row.created_at,
        incident_id=row.incident_id,
        policy_name=row.policy_name,
        policy_version=row.policy_version,
        severity=row.severity,
        limits=limits or Limits(concurrency_group=row.concurrency_group),
        fleet=fleet,
        settle=row.settle,
        verified=row.verified,
        request_key=None,
        retry_of=row.retry_of_id,
        by_hand=row.by_hand,
        asks=Asks(row.asks),
        asked_by="",
        besides=row.pk,
    )


def _check_target(target: str) -> None:
    if not target.strip() or target in EVERYTHING or len(target) > LONGEST_TARGET or not target.isprintable():
        message = "name one target, such as web-01 (printable, at most 250 characters; not empty, not * or all)"
        raise UnableToOrder(
            f"An action needs one target: {message}.", errors=[FieldError(path="target", message=message)]
        )


def _live(key: str) -> Ordered | None:
    row = Action.objects.filter(NOT_OVER, dedup_key=key).first()
    return Ordered(action=queries.view(row), created=False) if row is not None else None


def _judge(wish: _Order) -> OrderAnswer:
    off = _switched_off(wish.kind)
    if off is not None:
        return _counted(off)
    if wish.policy_name and not wish.by_hand:
        budgets.declare(policy_name=wish.policy_name, limits=wish.limits, fleet=wish.fleet)
        storms.note(key=wish.key, policy_name=wish.policy_name, now=database_now())
    guard = budgets.lock_target(wish.target)
    now = database_now()
    if wish.by_hand:
        answer = guards.kill_switch(control.state().switch)
    else:
        answer = guards.check(_facts(wish, guard, now=now), at=now)
    if isinstance(answer, guards.Allow):
        metrics.guard_decisions_total.labels(guard="all", answer="allow").inc()
        return _insert(wish, now=now)
    return _counted(answer)


def _switched_off(kind: ActionType) -> guards.Refuse | None:
    if kind.enabled and kind.remediator.enabled:
        return None
    what = kind.name if not kind.enabled else f"its remediator {kind.remediator.name}"
    return guards.Refuse(guard="action_type", reason=f"{what} is switched off")


def _counted(answer: guards.Hold | guards.Refuse) -> Held | Refused:
    shape = Held if isinstance(answer, guards.Hold) else Refused
    metrics.guard_decisions_total.labels(guard=answer.guard, answer=type(answer).__name__.lower()).inc()
    return shape(guard=answer.guard, reason=answer.reason, numbers=answer.numbers)


def _facts(wish: _Order, guard: TargetGuard, *, now: datetime) -> guards.Facts:
    default = timedelta(seconds=settings.VIGIL_DEFAULT_COOLDOWN_SECONDS)
    cooldown = default if wish.limits.cooldown is None else wish.limits.cooldown
    repairs = None if wish.fleet is None else budgets.repairs_of(wish.fleet, now=now)
    room = budgets.room_to_order(wish.load, wish.limits, repairs=repairs, now=now, besides=wish.besides)
    return guards.Facts(
        switch=control.state().switch,
        target=wish.target,
        storms=tuple(budgets.storms([budgets.GLOBAL, f"policy:{wish.policy_name}"])),
        circuit=circuits.of_policy(wish.policy_name),
        circuit_limits=circuits.policy_limits(),
        cooldown=cooldown,
        occupant=_occupant(wish.target, besides=wish.besides),
        last_effect_at=budgets.last_effect_on(wish.target, since=now - cooldown),
        cooldown_until=guard.cooldown_until,
        quarantine=quarantines.of_row(guard),
        rate=room.rate,
        rate_per=wish.limits.rate_per,
        global_rate=room.global_rate,
        global_rate_per=room.global_rate_per,
        concurrency=room.concurrency,
        repairs=room.repairs,
    )


def _occupant(target: str, *, besides: int | None) -> guards.Occupant | None:
    row = budgets.in_line().filter(target=target).exclude(pk=besides or 0).order_by("id").first()
    if row is None:
        return None
    return guards.Occupant(
        action_id=row.pk,
        kind=row.action_type_id,
        status=row.status,
        needs_human=row.state == State.NEEDS_HUMAN,
    )


def _insert(wish: _Order, *, now: datetime) -> OrderAnswer:
    row = _row(wish, now=now)
    try:
        with transaction.atomic():  # a savepoint: losing a race on the key must not lose the caller's work
            row.save(force_insert=True)
    except IntegrityError:
        found = _live(wish.key) or _replayed(
            wish.request_key, kind=wish.kind.name, target=wish.target, params=wish.params
        )
        if found is None:
            raise
        return found
    because = transitions.why(
        actor=wish.actor, reason=wish.reason, judged_at=wish.at.isoformat(), action=wish.kind.name, target=wish.target
    )
    transitions.born(row, because=because, at=now)
    failpoints.hit("propose.before_commit")
    if row.state == State.READY:
        transaction.on_commit(partial(_hint, row.pk), robust=True)
    return Ordered(action=queries.view(row), created=True)


def _row(wish: _Order, *, now: datetime) -> Action:
    need = _need(wish)
    waits_until = now + _patience(wish.limits) if need.waits else None
    return Action(
        dedup_key=wish.key,
        request_key=wish.request_key,
        action_type_id=wish.kind.name,
        target=wish.target,
        params=dict(wish.params),
        state=(State.AWAITING_APPROVAL if need.waits else State.READY).value,
        asks=need.asks.value,
        people=need.people,
        approval_reasons=list(need.because),
        approval_expires_at=waits_until,
        incident_id=wish.incident_id,
        policy_name=wish.policy_name,
        policy_version=wish.policy_version,
        severity=wish.severity,
        reason=wish.reason,
        ordered_by=wish.actor,
        by_hand=wish.by_hand,
        request_id=context.request_id(),
        retry_of_id=wish.retry_of,
        concurrency_group=wish.limits.concurrency_group,
        fleet=wish.fleet_name,
        max_attempts=max(1, wish.limits.max_attempts),
        run_after=now,
        hinted_at=now,
        deadline=(waits_until or now) + wish.limits.deadline,
        settle=wish.settle,
        verified=wish.verified,
        created_at=now,
    )


def _need(wish: _Order) -> consent.Need:
    return consent.need(
        kind=wish.kind.name,
        risk=wish.kind.risk,
        target=wish.target,
        by_hand=wish.by_hand,
        protected_by=protecting(wish.target),
        asks=wish.asks,
        asked_by=wish.asked_by,
    )


def protecting(target: str) -> str:
    """The pattern that protects the target, or ""."""
    patterns = settings.VIGIL_PROTECTED_TARGETS
    return next((pattern for pattern in patterns if bounds.covers((pattern,), target)), "")


def _patience(limits: Limits) -> timedelta:
    default = timedelta(seconds=settings.VIGIL_APPROVAL_SECONDS)
    return default if limits.approval is None else limits.approval


def _hint(action_id: int) -> None:
    failpoints.hit("propose.after_commit")
    hints.give([action_id])


def _replayed(request_key: str | None, *, kind: str, target: str, params: Mapping[str, object]) -> Ordered | None:
    if request_key is None:
        return None
    row = Action.objects.filter(request_key=request_key).first()
    if row is None:
        return None
    if (row.action_type_id, row.target, row.params) != (kind, target, dict(params)):
        raise Invalid(
            f"This Idempotency-Key ordered action {row.pk}, which is another one; use a fresh key for a new order.",
            code="idempotency_key_reused",
        )
    return Ordered(action=queries.view(row), created=False)
