"""The line of each target: who is at its head."""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from actions.models import NOT_OVER, Action
from actions.remediators import pull
from actions.states import CLAIMABLE, HOLDING


def unobstructed() -> Q:
    """Nothing older waits for the same target, and nothing holds it."""
    others = Action.objects.filter(NOT_OVER, target=OuterRef("target")).exclude(pk=OuterRef("pk"))
    in_the_way = others.filter(Q(state__in=CLAIMABLE, pk__lt=OuterRef("pk")) | Q(state__in=HOLDING))
    return ~Q(Exists(in_the_way))


def due() -> QuerySet[Action]:
    """Actions a worker may claim now, if switch and budgets agree; the longest waiting first."""
    return _due().exclude(action_type__remediator__kind=pull.KIND)


def due_for(remediators: Collection[int]) -> QuerySet[Action]:
    """The same for these remediators, which fetch what is theirs."""
    return _due().filter(action_type__remediator_id__in=remediators, action_type__remediator__kind=pull.KIND)


def _due() -> QuerySet[Action]:
    waiting = Action.objects.filter(
        state__in=CLAIMABLE, run_after__lte=Now(), deadline__gt=Now(), cancel_requested_at__isnull=True
    )
    return waiting.filter(unobstructed()).order_by("run_after", "id")
