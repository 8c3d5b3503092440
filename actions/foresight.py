"""What the guards would say to many orders at once: a few queries for all of them, and no lock.

Most orders that were held are held again for the same reason, and asking `dispatch.order` costs many queries each time.
Only holds are foreseen: an order that would go through is always judged again under its locks.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max

from actions import breaker, budgets, circuits, control, guards, permission, quarantines
from actions.dispatch import Held
from actions.guards import Fleet, Limits, Repairs, Storm, Switch
from actions.models import ActionType, Attempt, TargetGuard
from actions.states import State
from vigil.kernel.database import database_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order that a policy would place."""

    kind: str
    target: str
    policy_name: str
    limits: Limits
    fleet: Fleet | None = None

    @property
    def load(self) -> budgets.Load:
        """Whose caps matter."""
        return budgets.Load(kind=self.kind, policy_name=self.policy_name, group=self.limits.concurrency_group)

    @property
    def cooldown(self) -> timedelta:
        """Least time between two effects on the target."""
        default = timedelta(seconds=settings.VIGIL_DEFAULT_COOLDOWN_SECONDS)
        return default if self.limits.cooldown is None else self.limits.cooldown


def holds(wishes: Collection[Wish]) -> dict[Wish, Held]:
    """Those of the wishes that a guard holds right now; nothing is stored or counted."""
    if not wishes:
        return {}
    view = _View(wishes)
    answers = {wish: view.answer(wish) for wish in set(wishes)}
    return {
        wish: Held(guard=answer.guard, reason=answer.reason, numbers=answer.numbers)
        for wish, answer in answers.items()
        if isinstance(answer, guards.Hold)
    }


def every_guard(wish: Wish) -> dict[str, guards.Answer]:
    """What each guard would say to the order now, by its name; nothing is stored or counted."""
    view = _View([wish])
    return {"action_type": view.usable(wish), **view.every(wish), "remediator": _remediator(wish.kind)}


class _View:
    """What was read for all the wishes."""

    def __init__(self, wishes: Collection[Wish]) -> None:
        targets = {wish.target for wish in wishes}
        self._now = database_now()
        self._switch: Switch = control.state().switch
        self._usable = _usable({wish.kind for wish in wishes})
        self._occupants = _occupants(targets)
        self._guards = {row.target: row for row in TargetGuard.objects.filter(target__in=targets)}
        self._effects = _last_effects(targets, since=self._now - max(wish.cooldown for wish in wishes))
        self._storms = budgets.storms()
        self._circuits: dict[str, breaker.Circuit] = {}
        self._repairs: dict[Fleet, Repairs] = {}
        self._room: dict[tuple[budgets.Load, Limits, Fleet | None], budgets.Room] = {}

    def answer(self, wish: Wish) -> guards.Answer:
        """The first objection; Allow also where the answer would be something else than a hold."""
        if wish.kind not in self._usable:
            return guards.ALLOWED
        facts = self._about_target(wish)
        answer = guards.check(facts, at=self._now)
        if not isinstance(answer, guards.Allow):
            return answer
        return guards.check(self._with_caps(wish, facts), at=self._now)

    def usable(self, wish: Wish) -> guards.Answer:
        """Whether there is such a type, and it and its remediator are switched on."""
        if wish.kind in self._usable:
            return guards.ALLOWED
        return guards.Refuse(guard="action_type", reason=f"{wish.kind} or its remediator is switched off, or unknown")

    def every(self, wish: Wish) -> dict[str, guards.Answer]:
        """What each guard says."""
        return guards.every(self._with_caps(wish, self._about_target(wish)), at=self._now)

    def _about_target(self, wish: Wish) -> guards.Facts:
        row = self._guards.get(wish.target)
        return guards.Facts(
            switch=self._switch,
            target=wish.target,
            storms=self._storms_over(wish),
            cooldown=wish.cooldown,
            occupant=self._occupants.get(wish.target),
            last_effect_at=self._effects.get(wish.target),
            cooldown_until=None if row is None else row.cooldown_until,
            quarantine=quarantines.of_row(row),
            rate_per=wish.limits.rate_per,
        )

    def _with_caps(self, wish: Wish, facts: guards.Facts) -> guards.Facts:
        """The facts with what has to be counted for the policy and for its fleet."""
        room = self._room_for(wish)
        return replace(
            facts,
            circuit=self._circuit(wish.policy_name),
            circuit_limits=circuits.policy_limits(),
            rate=room.rate,
            global_rate=room.global_rate,
            global_rate_per=room.global_rate_per,
            concurrency=room.concurrency,
            repairs=room.repairs,
        )

    def _room_for(self, wish: Wish) -> budgets.Room:
        key = (wish.load, wish.limits, wish.fleet)
        if key not in self._room:
            self._room[key] = budgets.room_to_order(
                wish.load, wish.limits, repairs=self._repairs_of(wish.fleet), now=self._now
            )
        return self._room[key]

    def _repairs_of(self, fleet: Fleet | None) -> Repairs | None:
        if fleet is not None and fleet not in self._repairs:
            self._repairs[fleet] = budgets.repairs_of(fleet, now=self._now)
        return None if fleet is None else self._repairs[fleet]

    def _circuit(self, policy_name: str) -> breaker.Circuit:
        if policy_name not in self._circuits:
            self._circuits[policy_name] = circuits.of_policy(policy_name)
        return self._circuits[policy_name]

    def _storms_over(self, wish: Wish) -> tuple[Storm, ...]:
        return tuple(one for one in self._storms if one.scope in (budgets.GLOBAL, f"policy:{wish.policy_name}"))


def _remediator(kind: str) -> guards.Answer:
    """Whether the remediator may be called now. An order goes through all the same: it waits in line."""
    known = ActionType.objects.filter(name=kind).values_list("remediator_id", flat=True).first()
    if known is None:
        return guards.ALLOWED
    seen = permission.look(known)
    return circuits.asked(seen.circuit, now=seen.now)


def _usable(kinds: Iterable[str]) -> set[str]:
    rows = ActionType.objects.filter(name__in=list(kinds), enabled=True, remediator__enabled=True)
    return set(rows.values_list("name", flat=True))


def _occupants(targets: Collection[str]) -> dict[str, guards.Occupant]:
    """The oldest live action of each target."""
    found: dict[str, guards.Occupant] = {}
    for row in budgets.in_line().filter(target__in=list(targets)).order_by("id"):
        found.setdefault(
            row.target,
            guards.Occupant(
                action_id=row.pk,
                kind=row.action_type_id,
                status=row.status,
                needs_human=row.state == State.NEEDS_HUMAN,
            ),
        )
    return found


def _last_effects(targets: Collection[str], *, since: datetime) -> dict[str, datetime]:
    rows = Attempt.objects.filter(action__target__in=list(targets), intent_at__gt=since).order_by()
    return dict(rows.values_list("action__target").annotate(newest=Max("intent_at")))
