"""What fresh data says of an action that ended well, stored once."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from actions import quarantines, transitions
from actions.models import Action
from actions.states import State
from vigil.kernel import failpoints
from vigil.kernel.database import database_now
from vigil.telemetry import metrics

_UNJUDGED = Q(verification="")
_VERIFICATIONS = {
    "effective": _UNJUDGED,
    "ineffective": _UNJUDGED,
    "unverifiable": _UNJUDGED,
    "relapsed": Q(verification="effective"),
}
"""What each may follow."""


def record(*, action_id: int, verification: str, reason: str, numbers: Mapping[str, object], at: datetime) -> bool:
    """Store what fresh data says of an action that ended well, inside the caller's transaction.

    False: it was judged already. `relapsed` may only follow `effective`.
    """
    if verification not in _VERIFICATIONS:
        raise ValueError(f"{verification!r} is no verification; use one of {', '.join(_VERIFICATIONS)}.")
    because = transitions.Why(actor="vigil", reason=reason, numbers={**numbers, "judged_at": at.isoformat()})
    stored = transitions.remark(
        action_id=action_id,
        state=State.SUCCEEDED,
        kind=f"action.{verification}",
        because=because,
        at=database_now(),
        values={"verification": verification},
        where=_VERIFICATIONS[verification],
    )
    if stored and verification == "relapsed":
        quarantines.after_relapse(Action.objects.get(pk=action_id), now=database_now())
    failpoints.hit("verify.before_commit")
    if stored:
        count = metrics.verifications_total.labels(verification=verification).inc
        transaction.on_commit(count, robust=True)
    return stored
