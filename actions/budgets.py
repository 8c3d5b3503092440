"""Caps: rows to lock, so that what is counted under the lock stays true until the commit."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max, QuerySet

from actions import guards
from actions.guards import Limits, Usage
from actions.models import NOT_OVER, Action, Attempt, Budget, TargetGuard
from actions.states import HOLDING, State

GLOBAL = "global"

_NOT_BEGUN = (State.AWAITING_APPROVAL, State.READY, State.LEASED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Whose caps matter."""

    kind: str
    policy_name: str
    group: str

    @property
    def scopes(self) -> list[str]:
        """In the order in which they are locked."""
        scopes = [GLOBAL, f"type:{self.kind}"]
        scopes += [f"policy:{self.policy_name}"] if self.policy_name else []
        scopes += [f"group:{self.group}"] if self.group else []
        return sorted(scopes)


def lock(scopes: Iterable[str]) -> dict[str, Budget]:
    """The budget rows there are, locked until the commit, always in the same order."""
    rows = Budget.objects.select_for_update().filter(scope__in=list(scopes)).order_by("scope")
    return {row.scope: row for row in rows}


def declare(*, policy_name: str, limits: Limits) -> None:
    """Keep a policy's caps as rows, locked, so that a later claim honours them too."""
    wanted = {f"policy:{policy_name}": _rate_caps(limits)}
    if limits.concurrency_group:
        wanted[f"group:{limits.concurrency_group}"] = {"concurrency_max": limits.concurrency_max or 1}
    for scope, caps in sorted(wanted.items()):
        if lock([scope]).get(scope) is None:
            Budget.objects.bulk_create([Budget(scope=scope, **caps)], ignore_conflicts=True)
        row = lock([scope])[scope]
        if any(getattr(row, name) != value for name, value in caps.items()):
            Budget.objects.filter(pk=row.pk).update(**caps)


def lock_target(target: str) -> TargetGuard:
    """The target's guard, made if it is missing, and locked: orders and claims of one target come one by one."""
    found = TargetGuard.objects.select_for_update().filter(target=target).first()
    if found is not None:
        return found
    TargetGuard.objects.bulk_create([TargetGuard(target=target)], ignore_conflicts=True)
    return TargetGuard.objects.select_for_update().get(target=target)


def in_line() -> QuerySet[Action]:
    """Live actions that nobody's word keeps from running. One that waits for a word keeps no other from a target:
    whether there is room for it is asked when it is approved."""
    return Action.objects.filter(NOT_OVER).exclude(state=State.AWAITING_APPROVAL)


def room_to_order(
    load: Load, limits: Limits, *, now: datetime, besides: int | None = None
) -> tuple[Usage, tuple[Usage, ...]]:
    """What one more order would count against: the policy's rate, and what is at once, what waits in line included.

    `besides` is an action that waited for a word and is asked about again: then only what runs or may run counts.
    """
    waiting = _waiting_first_attempt(load.policy_name, approved_only=besides is not None)
    rate = Usage(
        name=f"policy {load.policy_name}",
        used=_effects(load.policy_name, since=now - limits.rate_per) + waiting,
        cap=limits.rate_count,
    )
    at_once = [Usage(name="all of Vigil", used=_holding(), cap=_global_cap(_unlocked(GLOBAL)))]
    if load.group:
        used = in_line().filter(concurrency_group=load.group).exclude(pk=besides or 0).count()
        at_once.append(Usage(name=f"group {load.group}", used=used, cap=limits.concurrency_max or 1))
    return rate, tuple(at_once)


def room_to_start(load: Load, *, action_id: int, now: datetime) -> guards.Answer:
    """Whether every cap has room for one more effect; the rows stay locked until the commit."""
    rows = lock(load.scopes)
    usages = [Usage(name="all of Vigil", used=_holding(), cap=_global_cap(rows.get(GLOBAL)))]
    for scope, row in rows.items():
        if scope != GLOBAL and row.concurrency_max is not None:
            usages.append(Usage(name=scope, used=_holding(scope), cap=row.concurrency_max))
    answer = guards.concurrency(tuple(usages))
    policy = rows.get(f"policy:{load.policy_name}")
    if not isinstance(answer, guards.Allow) or policy is None or policy.rate_count is None:
        return answer
    per = timedelta(seconds=policy.rate_seconds or 0)
    used = _begun(load.policy_name, since=now - per, besides=action_id)
    return guards.rate(Usage(name=f"policy {load.policy_name}", used=used, cap=policy.rate_count), per=per)


def last_effect_on(target: str, *, since: datetime) -> datetime | None:
    """When the target was last acted on, if after `since`."""
    newest: datetime | None = Attempt.objects.filter(action__target=target, intent_at__gt=since).aggregate(
        newest=Max("intent_at")
    )["newest"]
    return newest


def _unlocked(scope: str) -> Budget | None:
    # An order only reads the global cap: locking it here would put every order in line behind every claim.
    return Budget.objects.filter(scope=scope).first()


def _rate_caps(limits: Limits) -> dict[str, int | None]:
    return {"rate_count": limits.rate_count, "rate_seconds": max(1, int(limits.rate_per.total_seconds()))}


def _global_cap(row: Budget | None) -> int:
    if row is not None and row.concurrency_max is not None:
        return row.concurrency_max
    return int(settings.VIGIL_GLOBAL_CONCURRENCY)


def _holding(scope: str = GLOBAL) -> int:
    rows = Action.objects.filter(state__in=HOLDING)
    what, _, name = scope.partition(":")
    match what:
        case "type":
            rows = rows.filter(action_type__name=name)
        case "policy":
            rows = rows.filter(policy_name=name)
        case "group":
            rows = rows.filter(concurrency_group=name)
    return rows.count()


def _effects(policy_name: str, *, since: datetime) -> int:
    """Actions of the policy with an attempt since then: a retry of one is not another."""
    tries = Attempt.objects.filter(action__policy_name=policy_name, intent_at__gt=since)
    return tries.order_by().values("action_id").distinct().count()


def _begun(policy_name: str, *, since: datetime, besides: int) -> int:
    """The same without one, and with those whose lease says that their attempt is about to follow."""
    # Two small reads by index: one with "or" over a join would go through all that the policy ever ordered.
    tried = Attempt.objects.filter(action__policy_name=policy_name, intent_at__gt=since).order_by()
    leased = Action.objects.filter(policy_name=policy_name, state=State.LEASED).order_by()
    begun = {*tried.values_list("action_id", flat=True), *leased.values_list("pk", flat=True)}
    return len(begun - {besides})


def _waiting_first_attempt(policy_name: str, *, approved_only: bool) -> int:
    rows = in_line() if approved_only else Action.objects.all()
    return rows.filter(policy_name=policy_name, state__in=_NOT_BEGUN, attempt_no=0).count()
