"""The line of each target: who is at its head."""

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from actions.models import NOT_OVER, Action
from actions.states import CLAIMABLE, HOLDING


def unobstructed() -> Q:
    """Nothing older waits for the same target, and nothing holds it."""
    others = Action.objects.filter(NOT_OVER, target=OuterRef("target")).exclude(pk=OuterRef("pk"))
    in_the_way = others.filter(Q(state__in=CLAIMABLE, pk__lt=OuterRef("pk")) | Q(state__in=HOLDING))
    return ~Q(Exists(in_the_way))


def due() -> QuerySet[Action]:
    """Actions a worker may claim now, if switch and budgets agree; the longest waiting first."""
    waiting = Action.objects.filter(
        state__in=CLAIMABLE, run_after__lte=Now(), deadline__gt=Now(), cancel_requested_at__isnull=True
    )
    return waiting.filter(unobstructed()).order_by("run_after", "id")
