"""Caps: rows to lock, so that what is counted under the lock stays true until the commit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Max, Q, QuerySet

from actions import guards
from actions.guards import Fleet, Limits, Repairs, Storm, Usage
from actions.models import NOT_OVER, Action, Attempt, Budget, TargetGuard
from actions.states import HOLDING, UNDER_WAY, State
from vigil.kernel.statements import Given, Select

GLOBAL = "global"

_NOT_BEGUN = (State.AWAITING_APPROVAL, State.READY, State.LEASED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Whose caps matter."""

    kind: str
    policy_name: str
    group: str
    fleet: str = ""

    @property
    def scopes(self) -> list[str]:
        """In the order in which they are locked."""
        scopes = [GLOBAL, f"type:{self.kind}"]
        scopes += [f"policy:{self.policy_name}"] if self.policy_name else []
        scopes += [f"group:{self.group}"] if self.group else []
        scopes += [f"fleet:{self.fleet}"] if self.fleet else []
        return sorted(scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one more order would count against."""

    rate: Usage
    global_rate: Usage
    global_rate_per: timedelta
    concurrency: tuple[Usage, ...]
    repairs: Repairs | None = None


def lock(scopes: Iterable[str]) -> dict[str, Budget]:
    """The budget rows there are, locked until the commit, always in the same order."""
    rows = Budget.objects.select_for_update().filter(scope__in=list(scopes)).order_by("scope")
    return {row.scope: row for row in rows}


def declare(*, policy_name: str, limits: Limits, fleet: Fleet | None = None) -> None:
    """Keep a policy's caps as rows, locked, so that a later claim honours them too, and orders come one by one."""
    wanted = {f"policy:{policy_name}": _rate_caps(limits)}
    if fleet is not None and fleet.counts:
        wanted[f"fleet:{fleet.name}"] = {"concurrency_max": None if limits.concurrency_group else fleet.at_once}
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


def next_fence(target: str) -> int:
    """Raise the target's fence. On PostgreSQL the row's lock makes claims of one target come one by one."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_FENCE, [target])
        return int(cursor.fetchone()[0])


_NEXT_FENCE = """
    INSERT INTO actions_targetguard (target, fence) VALUES (%s, 1)
    ON CONFLICT (target) DO UPDATE SET fence = actions_targetguard.fence + 1
    RETURNING fence
"""


def in_line() -> QuerySet[Action]:
    """Live actions that nobody's word keeps from running. One that waits for a word keeps no other from a target:
    whether there is room for it is asked when it is approved."""
    return Action.objects.filter(NOT_OVER).exclude(state=State.AWAITING_APPROVAL)


def room_to_order(
    load: Load, limits: Limits, *, repairs: Repairs | None = None, now: datetime, besides: int | None = None
) -> Room:
    """What one more order would count against: rates, and what is at once, what waits in line included.

    `besides` is an action that waited for a word and is asked about again: then only what runs or may run counts.
    """
    waiting = _waiting_first_attempt(load.policy_name, approved_only=besides is not None)
    rate = Usage(
        name=f"policy {load.policy_name}",
        used=_effects(load.policy_name, since=now - limits.rate_per) + waiting,
        cap=limits.rate_count,
    )
    # An order only reads the global caps: locking them here would put every order in line behind every claim.
    row = Budget.objects.filter(scope=GLOBAL).first()
    most, per = _global_rate(row)
    used = _effects_of_policies(since=now - per) + _waiting_first_attempt(approved_only=True)
    at_once = [Usage(name="all of Vigil", used=_holding(), cap=_global_cap(row))]
    if load.group:
        live = in_line().filter(concurrency_group=load.group).exclude(pk=besides or 0).count()
        at_once.append(Usage(name=f"group {load.group}", used=live, cap=limits.concurrency_max or 1))
    elif repairs is not None and repairs.fleet.counts:
        fleet = repairs.fleet
        at_once.append(Usage(name=f"fleet {fleet.name}", used=len(repairs.live), cap=fleet.at_once))
    return Room(
        rate=rate,
        global_rate=Usage(name="Vigil", used=used, cap=most),
        global_rate_per=per,
        concurrency=tuple(at_once),
        repairs=repairs,
    )


def repairs_of(fleet: Fleet, *, now: datetime) -> Repairs:
    """What is being done to the members of a fleet, and was done to them lately."""
    live = set(in_line().values_list("target", flat=True).distinct())
    since = now - fleet.shares.repaired_within
    tried = set(
        Attempt.objects.filter(intent_at__gt=since).order_by().values_list("action__target", flat=True).distinct()
    )
    return Repairs(fleet=fleet, live=fleet.members & live, repaired=fleet.members & (tried | live))


def room_to_start(load: Load, *, action_id: int, by_hand: bool = False, now: datetime) -> guards.Answer:
    """Whether every cap has room for one more effect; the rows stay locked until the commit.

    What a person ordered is neither held by a storm nor counted against what all policies together may do.
    """
    rows = {row.scope: row for row in _LOCKED(**dict(zip(_SCOPES, load.scopes + [""] * len(_SCOPES), strict=False)))}
    holding = _holding_of(load)
    usages = [Usage(name="all of Vigil", used=holding[GLOBAL], cap=_global_cap(rows.get(GLOBAL)))]
    for scope, row in rows.items():
        if scope != GLOBAL and row.concurrency_max is not None:
            usages.append(Usage(name=scope, used=holding[scope], cap=row.concurrency_max))
    answers = [guards.concurrency(tuple(usages)), _policy_rate(load, rows, action_id=action_id, now=now)]
    if not by_hand:
        storms = (storm_of(rows[scope]) for scope in (GLOBAL, f"policy:{load.policy_name}") if scope in rows)
        answers.append(guards.storm(tuple(storm for storm in storms if storm is not None)))
        answers.append(_all_policies(rows.get(GLOBAL), action_id=action_id, now=now))
    return next((answer for answer in answers if not isinstance(answer, guards.Allow)), guards.ALLOWED)


def storm_of(row: Budget) -> Storm | None:
    """Since when the scope is held, as the guards see it."""
    if row.storm_since is None:
        return None
    return Storm(scope=row.scope, since=row.storm_since, reason=row.storm_reason)


def storms(scopes: Iterable[str] | None = None) -> list[Storm]:
    """The scopes that are held: of these, or all there are. All of Vigil comes first."""
    rows = Budget.objects.filter(storm_since__isnull=False).order_by("scope")
    found = (storm_of(row) for row in (rows if scopes is None else rows.filter(scope__in=list(scopes))))
    return [storm for storm in found if storm is not None]


def _policy_rate(load: Load, rows: Mapping[str, Budget], *, action_id: int, now: datetime) -> guards.Answer:
    policy = rows.get(f"policy:{load.policy_name}")
    if policy is None or policy.rate_count is None:
        return guards.ALLOWED
    per = timedelta(seconds=policy.rate_seconds or 0)
    used = _begun(Q(policy_name=load.policy_name), since=now - per, besides=action_id)
    return guards.rate(Usage(name=f"policy {load.policy_name}", used=used, cap=policy.rate_count), per=per)


def _all_policies(row: Budget | None, *, action_id: int, now: datetime) -> guards.Answer:
    most, per = _global_rate(row)
    used = _begun(Q(by_hand=False), since=now - per, besides=action_id)
    return guards.rate(Usage(name="Vigil", used=used, cap=most), per=per, guard="global_rate")


def last_effect_on(target: str, *, since: datetime) -> datetime | None:
    """When the target was last acted on, if after `since`."""
    newest: datetime | None = Attempt.objects.filter(action__target=target, intent_at__gt=since).aggregate(
        newest=Max("intent_at")
    )["newest"]
    return newest


def _rate_caps(limits: Limits) -> dict[str, int | None]:
    return {"rate_count": limits.rate_count, "rate_seconds": max(1, int(limits.rate_per.total_seconds()))}


def _global_cap(row: Budget | None) -> int:
    if row is not None and row.concurrency_max is not None:
        return row.concurrency_max
    return int(settings.VIGIL_GLOBAL_CONCURRENCY)


def _global_rate(row: Budget | None) -> tuple[int, timedelta]:
    if row is not None and row.rate_count is not None:
        return row.rate_count, timedelta(seconds=row.rate_seconds or 0)
    return int(settings.VIGIL_GLOBAL_RATE_COUNT), timedelta(seconds=settings.VIGIL_GLOBAL_RATE_SECONDS)


def _holding() -> int:
    """How many count against the cap on all of Vigil: those under way. A handful that waits for a person, for days
    perhaps, must not keep it from acting elsewhere. Groups and fleets may be harmed by them still."""
    return Action.objects.filter(state__in=UNDER_WAY).count()


def _holding_of(load: Load) -> dict[str, int]:
    """How many count against each cap now: under way in all of Vigil, or holding a target in a scope of the load."""
    names = {"type": load.kind, "policy": load.policy_name, "group": load.group, "fleet": load.fleet}
    with connection.cursor() as cursor:
        cursor.execute(_HOLDING, list(names.values()))
        every, *each = cursor.fetchone()
    return {GLOBAL: every} | {f"{what}:{name}": count for (what, name), count in zip(names.items(), each, strict=True)}


_HOLDING = f"""
    SELECT count(*) FILTER (WHERE state <> '{State.NEEDS_HUMAN.value}'),
        count(*) FILTER (WHERE kind = %s),
        count(*) FILTER (WHERE policy_name = %s),
        count(*) FILTER (WHERE concurrency_group = %s),
        count(*) FILTER (WHERE fleet = %s)
    FROM actions_action WHERE state IN ({", ".join(f"'{state.value}'" for state in sorted(HOLDING))})
"""  # noqa: S608
"""One pass, and the states literally, so that the plan is the same for all."""

_SCOPES = ("first", "second", "third", "fourth", "fifth")
_LOCKED = Select(
    lambda: (
        Budget.objects.select_for_update()
        .filter(scope__in=[Given(name, Budget._meta.get_field("scope")) for name in _SCOPES])
        .order_by("scope")
    )
)


def _effects(policy_name: str, *, since: datetime) -> int:
    """Actions of the policy with an attempt since then: a retry of one is not another."""
    tries = Attempt.objects.filter(action__policy_name=policy_name, intent_at__gt=since)
    return tries.order_by().values("action_id").distinct().count()


def _effects_of_policies(*, since: datetime) -> int:
    tries = Attempt.objects.filter(action__by_hand=False, intent_at__gt=since)
    return tries.order_by().values("action_id").distinct().count()


def _begun(of: Q, *, since: datetime, besides: int) -> int:
    """The same without one, and with those whose lease says that their attempt is about to follow."""
    # Two small reads by index: one with "or" over a join would go through all that the policy ever ordered.
    # The leased come first: one whose attempt is committed between the two reads is then in both, and never in neither.
    leased = set(Action.objects.filter(of, state=State.LEASED).values_list("pk", flat=True))
    tried = Action.objects.filter(of, pk__in=Attempt.objects.filter(intent_at__gt=since).values("action_id"))
    return len({*leased, *tried.values_list("pk", flat=True)} - {besides})


def _waiting_first_attempt(policy_name: str | None = None, *, approved_only: bool) -> int:
    """Actions of the policy, or of all policies, that wait for their first attempt."""
    rows = (in_line() if approved_only else Action.objects.all()).filter(state__in=_NOT_BEGUN, attempt_no=0)
    return (rows.filter(by_hand=False) if policy_name is None else rows.filter(policy_name=policy_name)).count()
