"""The only writer of flap histories: what `engine.flapping` remembers of a policy on a target, across its incidents.

A row exists only while incidents of the pair opened or closed lately, so a healthy fleet has none. Rows are held while
they are added to, and an incident is always held before its history, so that no two writers wait for each other.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings

from policies import incidents
from policies.book import Pair
from policies.engine import durations, flapping, lifecycle
from policies.engine.flapping import NOTHING, History, Limits
from policies.engine.lifecycle import Flap
from policies.models import FlapHistory, Incident, Policy
from vigil.kernel.database import tx
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one evaluation says of a pair."""

    pair: Pair
    was_open: bool
    is_open: bool | None
    """None: it gave no result, as without data."""
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A result that was kept."""

    history: History
    flap: Flap | None = None
    incident: Incident | None = None
    """The one on which a beginning or an end was written, as it is now."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """That an incident flaps, as people see it."""

    since: datetime
    change_percent: float
    reason: str


def of(*, policy_ids: Collection[int] | None = None, targets: Collection[str] | None = None) -> dict[Pair, History]:
    """What is remembered, by pair; a pair of which nothing is has no entry. One query."""
    found = FlapHistory.objects.all()
    if policy_ids is not None:
        found = found.filter(policy_id__in=policy_ids)
    if targets is not None:
        found = found.filter(target__in=targets)
    return {(row.policy_id, row.target): _history(row) for row in found}


def marks(incident_ids: Collection[int]) -> dict[int, Mark]:
    """Those of the incidents that flap now: of a target's incidents only the newest can."""
    found = FlapHistory.objects.filter(incident_id__in=list(incident_ids), flapping_since__isnull=False)
    histories = {row.incident_id: _history(row) for row in found} if incident_ids else {}
    return {
        incident_id: Mark(
            since=history.since,
            change_percent=round(flapping.percent(history.results), 1),
            reason=flapping.reason(history),
        )
        for incident_id, history in histories.items()
        if history.since is not None
    }


def note(result: Result, *, incident: Incident, at: datetime) -> Noted:
    """Keep one result, in the caller's transaction, which holds the incident: the newest of the pair.

    Where flapping begins or ends with it, the incident says so, once.
    """
    policy_id, target = result.pair
    row = FlapHistory.objects.select_for_update().filter(policy_id=policy_id, target=target).first()
    before = NOTHING if row is None else _history(row)
    after = _after(before, result, at)
    _write(row, result.pair, after, incident)
    flap = lifecycle.flap_between(before, after)
    if flap is None:
        return Noted(history=after)
    reason = _announcement(before, after, result.limits, at)
    numbers = flapping.numbers(after, result.limits)
    noted = incidents.note_flapping(incident, began=flap is Flap.BEGAN, reason=reason, numbers=numbers, at=at)
    return Noted(history=after, flap=flap, incident=noted, reason=reason)


def note_all(results: Sequence[Result], *, at: datetime) -> list[Noted]:
    """Keep results of pairs whose incidents did not move: most of them together, those that announce something alone.

    A pair that is not remembered has nothing to add to. Returns what is to be told.
    """
    loud = [
        result
        for some in itertools.batched(results, _BATCH)
        for result in tx(lambda some=some: _note_quietly(some, at))  # type: ignore[misc]
    ]
    return [noted for result in loud if (noted := tx(lambda result=result: _note_alone(result, at))).flap is not None]  # type: ignore[misc]


def old(known: Mapping[Pair, History], *, at: datetime) -> list[Result]:
    """For histories nobody added to for long, whatever the reason: results that let them be forgotten."""
    limits = Limits(every=timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS))
    asked = (Result(pair=pair, was_open=False, is_open=None, limits=limits) for pair in known)
    return [result for result in asked if _after(known[result.pair], result, at) == NOTHING]


def withdraw(*, policy: Policy, reason: str, at: datetime) -> None:
    """Forget everything of a policy that is no longer in force, in the caller's transaction."""
    rows = FlapHistory.objects.filter(policy=policy)
    for row in rows.filter(flapping_since__isnull=False).select_related("incident").order_by("pk"):
        incident = Incident.objects.select_for_update().get(pk=row.incident_id)
        incidents.note_flapping(incident, began=False, reason=reason, numbers={"results": row.results}, at=at)
    rows.delete()


def tell(noted: Iterable[Noted]) -> None:
    """Count and log what was announced, after the commit."""
    for one in noted:
        if one.flap is None or one.incident is None:
            continue
        telemetry.flaps_total.labels(change=one.flap.value).inc()
        log.warning(
            "policies.flapping.changed",
            change=one.flap.value,
            policy=one.incident.policy.name,
            target=one.incident.target,
            incident_id=one.incident.pk,
            reason=one.reason,
        )


def _note_quietly(results: Sequence[Result], at: datetime) -> list[Result]:
    """Add to the rows of those that announce nothing; returns the others."""
    asked = {result.pair: result for result in results}
    held = FlapHistory.objects.select_for_update().order_by("pk")
    rows = held.filter(policy_id__in={pair[0] for pair in asked}, target__in={pair[1] for pair in asked})
    loud: list[Result] = []
    changed: dict[str, list[int]] = defaultdict(list)
    gone: list[int] = []
    for row in rows:
        result = asked.get((row.policy_id, row.target))
        if result is None:
            continue
        before = _history(row)
        after = _after(before, result, at)
        if lifecycle.flap_between(before, after) is not None:
            loud.append(result)
        elif after == NOTHING:
            gone.append(row.pk)
        elif after != before:
            changed[after.results].append(row.pk)
    for new, ids in changed.items():  # what broke together has the same results, so these are few
        FlapHistory.objects.filter(pk__in=ids).update(results=new, last_at=at)
    if gone:
        FlapHistory.objects.filter(pk__in=gone).delete()
    return loud


def _note_alone(result: Result, at: datetime) -> Noted:
    policy_id, target = result.pair
    row = FlapHistory.objects.filter(policy_id=policy_id, target=target).first()
    if row is None:
        return Noted(history=NOTHING)
    incident = Incident.objects.select_for_update().get(pk=row.incident_id)
    return note(result, incident=incident, at=at)


def _after(before: History, result: Result, at: datetime) -> History:
    return flapping.after(before, was_open=result.was_open, is_open=result.is_open, at=at, limits=result.limits)


def _write(row: FlapHistory | None, pair: Pair, history: History, incident: Incident) -> None:
    if history == NOTHING:
        if row is not None:
            row.delete()
        return
    row = row or FlapHistory(policy_id=pair[0], target=pair[1])
    if history.last_at is None:
        raise ValueError("A history with results knows when the newest was taken.")
    row.incident = incident
    row.results, row.last_at, row.flapping_since = history.results, history.last_at, history.since
    row.save()


def _history(row: FlapHistory) -> History:
    return History(results=row.results, last_at=row.last_at, since=row.flapping_since)


def _announcement(before: History, after: History, limits: Limits, at: datetime) -> str:
    change = f"{flapping.percent(after.results):.0f} % change in its last {flapping.REMEMBERED} results"
    if after.flapping:
        return f"{change}, {limits.high:g} % or more: until it is less than {limits.low:g} %, nothing is ordered."
    if not after.results and before.last_at is not None and at - before.last_at > flapping.OLD_AFTER * limits.every:
        return f"Nothing was judged for {durations.spell(at - before.last_at)}: what was known is too old to count."
    return f"{change}, less than {limits.low:g} %: remedies are ordered again."
