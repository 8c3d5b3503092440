"""One reading's whole way: store, judge, decide, order. Start reading here.

1. `metrics.ingest.store` keeps the readings; from then on they are acknowledged whatever happens below.
   Readings that come by themselves share a commit with those that came at the same moment (`sharing`).
2. `concerns` says which policies in force these values may trouble, and whether anything on their targets is awake;
   usually nothing is, and we are done.
3. `verification` closes the question whether an earlier remedy helped, so that the next step is decided on its answer.
4. `judging` reads what those conditions need in one go and asks the pure engine for verdicts and transitions.
5. `remedies` moves incidents and orders actions, each pair in one transaction of its own.

A failure after step 1 loses nothing: the sweep judges the same data within seconds. Nor does a request whose time is
over: what it did not come to is the sweep's as well.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import OperationalError

from metrics import ingest
from metrics.formats.reading import EventReading, Reading
from metrics.ingest import Receipt, Stored
from policies import concerns, fitness, incidents, judging, remedies, screens, sharing, verification
from policies.concerns import Look
from policies.engine.values import Outcome
from policies.judging import Judged, Judgement
from policies.remedies import Settled
from vigil.kernel import patience
from vigil.kernel.patience import Allowance
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

SCREENED_FROM = 200
"""With so many pairs to judge it is worth reading summaries first; fewer are judged by their samples at once."""
URGENT_FIRST_FROM = 50
"""So many judgements may take longer than there is time: what is bad goes before what has healed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of some readings."""

    stored: Stored
    evaluated: bool
    """False when they are stored but could not all be judged now; the sweep will."""
    settled: tuple[Settled, ...] = ()
    """One for each policy and target that was judged."""


def accept(
    *,
    readings: Sequence[Reading | EventReading],
    at: datetime,
    actor: str = "",
    source: str = "",
    receipt: Receipt | None = None,
) -> Accepted:
    """Store the readings, then judge the policies that read them. Raises what `metrics.ingest.store` raises.

    In a process that shares commits, also VigilError (503) when a reading is not stored within 2.5 s; and in a request
    that comes when another has just waited in vain.
    """
    look: Look | None = None
    if patience.strain.holds and patience.left() is not None:
        raise sharing.TooSlow(
            "The database is too slow for those before you; nothing of this is stored.", retry_after=1
        )
    with patience.strain.watched(OperationalError, sharing.TooSlow):
        if sharing.on() and receipt is None and len(readings) == 1 and isinstance(readings[0], Reading):
            stored, look = sharing.store(readings[0], at=at, actor=actor)
        else:
            stored = ingest.store(readings=readings, at=at, source=source or actor, actor=actor, receipt=receipt)
    allowance = Allowance()
    try:
        settled = _judge(look or concerns.look(stored, at=at), at, allowance)
    except Exception as error:  # what is stored is acknowledged; an error now would make the sender send it twice
        log.exception("policies.intake.not_judged", reason=str(error))
        return Accepted(stored=stored, evaluated=False)
    if allowance.exhausted:
        log.warning("policies.intake.cut_short", readings=len(readings), settled=len(settled))
    return Accepted(stored=stored, evaluated=not allowance.exhausted, settled=tuple(settled))


def _judge(look: Look, at: datetime, allowance: Allowance) -> list[Settled]:
    concerned, in_force = look.concerned, look.in_force
    if look.quiet:
        _count_cleared(concerned.cleared_count)
        return []
    targets = concerned.targets
    verification.run(at=at, targets=targets, allowed=allowance)
    live = incidents.live(targets=targets)
    pairs = concerned.suspect | {pair for pair in concerned.cleared(look.awake) if pair in live}
    _count_cleared(concerned.cleared_count - len(pairs - concerned.suspect))
    if not pairs:
        return []
    rules = [in_force.rules[policy_id] for policy_id in {policy_id for policy_id, _ in pairs}]
    if len(pairs) >= SCREENED_FROM:
        pairs, settled = screens.doubtful(pairs=pairs, rules=in_force.rules, awake=live.keys(), at=at)
        _count_screened(settled)
    judged = judging.judge(book=in_force, pairs=pairs, at=at, live=live, beside=rules, allowed=allowance)
    if allowance.exhausted:
        return []  # with a part of the fleet unjudged, what troubles all of it would look like the trouble of a few
    _count(judged)
    fitness.failed(judged.errors, at=at)
    fitness.evaluated(judged.rules, failures=judged.errors.keys(), known=judged.health, at=at, sweep=False)
    return remedies.settle(judgements=_urgent_first(judged.judgements), at=at, allowed=allowance)


def _urgent_first(judgements: Sequence[Judgement]) -> Sequence[Judgement]:
    if len(judgements) < URGENT_FIRST_FROM:
        return judgements
    return sorted(judgements, key=lambda judgement: not judgement.counts_as_violated)


def _count_screened(settled: Counter[Outcome]) -> None:
    for outcome, count in settled.items():
        telemetry.policy_evaluations_total.labels(source="ingest", verdict=outcome.value).inc(count)


def _count_cleared(count: int) -> None:
    if count:
        telemetry.policy_evaluations_total.labels(source="ingest", verdict=Outcome.HEALTHY.value).inc(count)


def _count(judged: Judged) -> None:
    for verdict, count in Counter(judgement.verdict.outcome.value for judgement in judged.judgements).items():
        telemetry.policy_evaluations_total.labels(source="ingest", verdict=verdict).inc(count)
    for judgement in judged.judgements:
        if judgement.verdict.violated:
            telemetry.of_policy(telemetry.policy_violations_total, judgement.rule.name).inc()
