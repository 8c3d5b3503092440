"""What a settled attempt leaves on its action, and what a retry decision needs to know about one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from django.conf import settings

from actions import retry, storable
from actions.models import Action, Attempt
from actions.states import State


def rules(row: Action, *, durable_keys: bool) -> retry.Rules:
    """What the action may still do."""
    declared = cast("retry.Safety", row.action_type.retry_safety)  # the database checks the words
    return retry.Rules(
        safety=retry.effective_safety(declared, durable_keys=durable_keys),
        attempt_no=row.attempt_no,
        max_attempts=row.max_attempts,
        deadline=row.deadline,
        cancel_requested=row.cancel_requested_at is not None,
        doubtful=row.attempt_no > 1 and _earlier_answer_lost(row),
    )


def _earlier_answer_lost(row: Action) -> bool:
    earlier = Attempt.objects.filter(action_id=row.pk, number__lt=row.attempt_no)
    return earlier.filter(outcome__in=["", "ambiguous"]).exists()


def columns(row: Action, step: retry.Next, *, message: str, run_id: str = "", now: datetime) -> Mapping[str, object]:
    """The columns that change with the state that `step` names."""
    changes: dict[str, object] = {"asked": 0, "details": storable.words(message)}
    if run_id:
        changes["run_id"] = storable.words(run_id)[:250]
    if step.wait is not None:
        changes["run_after"] = now + step.wait
    if step.state == State.SUCCEEDED and row.incident_id is not None and row.verified:
        changes["verify_after"] = now + _settle(row)
    return changes


def _settle(row: Action) -> timedelta:
    return row.settle if row.settle is not None else timedelta(seconds=settings.VIGIL_SETTLE_SECONDS)
