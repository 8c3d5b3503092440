"""One reading's whole way: store, judge, decide, order. Start reading here.

1. `metrics.ingest.store` keeps the readings; from then on they are acknowledged whatever happens below.
2. `book` says which policies in force read these metrics and cover these targets; usually none, and we are done.
3. `verification` closes the question whether an earlier remedy helped, so that the next step is decided on its answer.
4. `judging` reads what those conditions need in one go and asks the pure engine for verdicts and transitions.
5. `remedies` moves incidents and orders actions, each pair in one transaction of its own.

A failure after step 1 loses nothing: the sweep judges the same data within seconds.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from actions import queries
from metrics import ingest
from metrics.formats.reading import EventReading, Reading
from metrics.ingest import Receipt, Stored
from metrics.targets import target_of
from policies import book, fitness, incidents, judging, remedies, screens, verification
from policies.book import Alike, Book, Pair
from policies.engine.values import Outcome
from policies.judging import Judged
from policies.remedies import Settled
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

SCREENED_FROM = 200
"""With so many pairs to judge it is worth reading summaries first; fewer are judged by their samples at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of some readings."""

    stored: Stored
    evaluated: bool
    """False when they are stored but could not be judged now; the sweep will."""
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
    """Store the readings, then judge the policies that read them. Raises what `metrics.ingest.store` raises."""
    stored = ingest.store(readings=readings, at=at, source=source or actor, receipt=receipt)
    try:
        settled = _judge(stored, at)
    except Exception as error:  # what is stored is acknowledged; an error now would make the sender send it twice
        log.exception("policies.intake.not_judged", reason=str(error))
        return Accepted(stored=stored, evaluated=False)
    return Accepted(stored=stored, evaluated=True, settled=tuple(settled))


def _judge(stored: Stored, at: datetime) -> list[Settled]:
    in_force = book.current(at)
    concerned = concerns(in_force, stored)
    targets = concerned.targets
    awake = _awake(targets, at) if targets else set()
    if not awake and not concerned.suspect:
        _count_cleared(concerned.cleared_count)
        return []
    verification.run(at=at, targets=targets)
    live = incidents.live(targets=targets)
    pairs = concerned.suspect | {pair for pair in concerned.cleared(awake) if pair in live}
    _count_cleared(concerned.cleared_count - len(pairs - concerned.suspect))
    if not pairs:
        return []
    rules = [in_force.rules[policy_id] for policy_id in {policy_id for policy_id, _ in pairs}]
    if len(pairs) >= SCREENED_FROM:
        pairs, settled = screens.doubtful(pairs=pairs, rules=in_force.rules, awake=live.keys(), at=at)
        _count_screened(settled)
    judged = judging.judge(book=in_force, pairs=pairs, at=at, live=live, beside=rules)
    _count(judged)
    fitness.failed(judged.errors, at=at)
    fitness.evaluated(judged.rules, failures=judged.errors.keys(), known=judged.health, at=at, sweep=False)
    return remedies.settle(judgements=judged.judgements, at=at)


def _awake(targets: set[str], at: datetime) -> set[str]:
    """Those with anything that a healthy value could close: an open incident, or an action to verify."""
    return incidents.live_targets(targets) | queries.targets_to_verify(targets, due_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """The pairs of policy and target that some readings are about."""

    suspect: frozenset[Pair]
    """To be judged on everything their conditions need."""
    seen: Mapping[str, tuple[Alike, ...]]
    """By target, the rules that a new value of it was held against."""
    cleared_count: int
    """How many pairs are healthy by the new values alone: nothing is to be judged there unless an incident is live."""

    @property
    def targets(self) -> set[str]:
        """Every target among them."""
        return {target for _, target in self.suspect} | self.seen.keys()

    def cleared(self, targets: Collection[str]) -> set[Pair]:
        """Those pairs, of these targets alone."""
        pairs = {
            (policy_id, target)
            for target in targets
            for alike in self.seen.get(target, ())
            for policy_id in alike.sieve.members
        }
        return pairs - self.suspect


def concerns(in_force: Book, stored: Stored) -> Concerned:
    """Which policies read these readings, on which targets. A late sample corrects history and concerns none."""
    suspect: set[Pair] = set()
    seen: dict[str, dict[Alike, None]] = {}
    for sample in stored.samples:
        if sample.late:
            continue
        for alike in in_force.alike.get(sample.name, ()):
            target = alike.first.target_of(tags=sample.tags, target=sample.target)
            if alike.first.covers(target):
                seen.setdefault(target, {})[alike] = None
                suspect.update((policy_id, target) for policy_id in alike.sieve.troubled(sample.value))
    for event in stored.events:
        for rule in in_force.heard(event.name):
            target = rule.target_of(tags=event.tags, target=event.target)
            if rule.covers(target):
                suspect.add((rule.policy_id, target))
    plain = sum(alike.sieve.plain for many in seen.values() for alike in many)
    crossed = sum(in_force.rules[policy_id].line is not None for policy_id, _ in suspect)
    return Concerned(
        suspect=frozenset(suspect),
        seen={target: tuple(alike) for target, alike in seen.items()},
        cleared_count=plain - crossed,
    )


def spoken_for(in_force: Book, reading: Reading | EventReading) -> set[str]:
    """The targets that a reading speaks for: its own, and what policies with a `target_tag` take for its target."""
    own = target_of(reading.tags)
    readers = in_force.by_metric.get(reading.name, ()) if isinstance(reading, Reading) else in_force.heard(reading.name)
    tagged = [rule for rule in readers if rule.document.target_tag and not rule.by]  # a group is no single target
    named = {target for rule in tagged if rule.covers(target := rule.target_of(tags=reading.tags, target=own))}
    return {own} | named


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
