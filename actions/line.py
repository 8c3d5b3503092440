"""The line of each target: who is at its head."""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from actions.models import NOT_OVER, Action
from actions.remediators import pull
from actions.states import CLAIMABLE, HOLDING
from vigil.kernel import statements
from vigil.kernel.database import tx
from vigil.kernel.statements import Given, Select


def _unobstructed() -> Q:
    others = Action.objects.filter(NOT_OVER, target=OuterRef("target")).exclude(pk=OuterRef("pk"))
    in_the_way = others.filter(Q(state__in=CLAIMABLE, pk__lt=OuterRef("pk")) | Q(state__in=HOLDING))
    return ~Q(Exists(in_the_way))


UNOBSTRUCTED = _unobstructed()
"""Nothing older waits for the same target, and nothing holds it."""
DUE = Q(run_after__lte=Now(), deadline__gt=Now(), cancel_requested_at__isnull=True)
"""Its time has come, and is not over."""


def turn_away(action_id: int) -> bool:
    """Note that a worker had to leave it for want of room; False when it is under way or over by now."""
    turned = {"turned_away_at": Now()}
    return tx(lambda: statements.update(Action, where=_WAITS, equal={"id": action_id}, values=turned)) == 1


def next_turned_away(*, target: str) -> list[int]:
    """Who may go now that a target is free, and with it a place: the head of the target's line if a worker left it,
    and the one that has waited longest for any place. They are no longer turned away: each is told of once."""
    oldest = _OLDEST()
    if not oldest:
        return []
    found = {row.pk for row in [*_HEAD(target=target), *oldest]}
    return [action_id for action_id in sorted(found) if _let_in(action_id)]


def _let_in(action_id: int) -> bool:
    told = {"turned_away_at": None, "hinted_at": Now()}
    return tx(lambda: statements.update(Action, where=_TURNED_AWAY, equal={"id": action_id}, values=told)) == 1


def due() -> QuerySet[Action]:
    """Actions a worker may claim now, if switch and budgets agree; the longest waiting first."""
    return _due().exclude(action_type__remediator__kind=pull.KIND)


def due_for(remediators: Collection[int]) -> QuerySet[Action]:
    """The same for these remediators, which fetch what is theirs."""
    return _due().filter(action_type__remediator_id__in=remediators, action_type__remediator__kind=pull.KIND)


_WAITS = Q(state__in=CLAIMABLE)
_TURNED_AWAY = _WAITS & Q(turned_away_at__isnull=False)
_OLDEST = Select(lambda: due().filter(_TURNED_AWAY).only("id")[:1])
_HEAD = Select(
    lambda: due().filter(_TURNED_AWAY, target=Given("target", Action._meta.get_field("target"))).only("id")[:1]
)


def _due() -> QuerySet[Action]:
    return Action.objects.filter(DUE, UNOBSTRUCTED, state__in=CLAIMABLE).order_by("run_after", "id")
