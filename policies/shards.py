"""A sweep over a large fleet in shards, by target: other processes find what may be bad, the sweep itself judges it.

Finding writes nothing but its own row, so a shard may be done twice, late or by nobody: the sweep does what is left.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings

from metrics import queries
from policies import book, coverage, flaps, incidents, judging, readings, screens, silent
from policies.book import Book, Pair, Rule
from policies.engine import conditions, evaluation
from policies.engine.lifecycle import OnNoData
from policies.engine.values import Outcome
from policies.models import SweepShard
from policies.screens import Sifted
from vigil.periodic import runs
from vigil.periodic.models import PeriodicRun

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 20.0
"""How long the sweep waits for a shard that another process is at, before it does the shard itself."""
POLL_SECONDS = 0.02
OLD = timedelta(hours=1)

type HandOut = Callable[[Sequence[int]], None]
"""Offers shards, by their ids, to other processes; it may fail, and nobody needs to take them."""


def plan(in_force: Book, *, run_id: str, at: datetime) -> list[SweepShard]:
    """The shards of this sweep, stored; none when the fleet is small enough to be swept at once."""
    size = settings.VIGIL_SWEEP_SHARD_TARGETS
    targets = _targets(_shared(in_force))
    if len(targets) <= size:
        return []
    ends = ["", *targets[size - 1 : len(targets) - 1 : size], ""]
    SweepShard.objects.filter(at__lt=at - OLD).delete()
    return SweepShard.objects.bulk_create(
        SweepShard(run_id=run_id, number=number, total=len(ends) - 1, after=ends[number - 1], until=ends[number], at=at)
        for number in range(1, len(ends))
    )


def sift(shards: Sequence[SweepShard], *, in_force: Book, hand_out: HandOut) -> Sifted:
    """Have every shard done, by whoever takes it, and put together what they found."""
    _offer(shards, hand_out)
    for shard in reversed(shards):  # others begin at the front
        once(shard, in_force=in_force)
    found = [_awaited(shard, in_force) for shard in shards]
    SweepShard.objects.filter(run_id=shards[0].run_id).delete()
    return screens.together(found)


def once(shard: SweepShard, *, in_force: Book | None = None) -> bool:
    """Do the shard unless somebody else took it: True when this call did it."""
    interval = timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS)
    return runs.once(job=_job(shard), interval=interval, at=shard.at, run=lambda: work(shard, in_force=in_force))


def work(shard: SweepShard, *, in_force: Book | None = None) -> None:
    """Find what may be bad among the shard's targets, and write it into the shard's row."""
    found = _find(shard, in_force or book.current(shard.at))
    SweepShard.objects.filter(pk=shard.pk).update(found=found)


def _job(shard: SweepShard) -> str:
    return f"policies.sweep:{shard.number}/{shard.total}"


def _offer(shards: Sequence[SweepShard], hand_out: HandOut) -> None:
    try:
        hand_out([shard.pk for shard in shards])
    except Exception as error:  # a broker that is away: then this process does them all
        log.warning("policies.sweep.not_shared", reason=f"{type(error).__name__}: {error}")


def _awaited(shard: SweepShard, in_force: Book) -> Sifted:
    """What the shard's row says, once it does; done here when whoever took it failed, hangs or has other policies."""
    until = time.monotonic() + PATIENCE_SECONDS
    found = _found(shard)
    while found is None and _is_at_work(shard) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        found = _found(shard)
    rules = {str(rule.version_id): rule for rule in _shared(in_force)}
    if found is None or found["suspects"].keys() != rules.keys():
        work(shard, in_force=in_force)
        found = _found(shard)
    if found is None:
        raise RuntimeError(f"The row of {shard} is gone.")
    return Sifted(
        suspects={rules[version]: targets for version, targets in found["suspects"].items()},
        settled=Counter({Outcome(outcome): count for outcome, count in found["settled"].items()}),
        targets=frozenset(found["targets"]),
    )


def _found(shard: SweepShard) -> dict[str, Any] | None:
    found: dict[str, Any] | None = SweepShard.objects.filter(pk=shard.pk).values_list("found", flat=True).first()
    return found


def _is_at_work(shard: SweepShard) -> bool:
    interval = timedelta(seconds=settings.VIGIL_SWEEP_INTERVAL_SECONDS)
    slot = runs.slot_of(interval=interval, at=shard.at)
    return PeriodicRun.objects.filter(job=_job(shard), slot=slot, finished_at=None).exists()


def _shared(in_force: Book) -> list[Rule]:
    """Rules that judge each target by its own metrics alone; the others are left to the sweep as a whole."""
    return [
        rule
        for rule in in_force.rules.values()
        if not (
            rule.document.target_tag or rule.needs.events or rule.needs.questions or conditions.grouping(rule.condition)
        )
    ]


def _targets(rules: Iterable[Rule]) -> list[str]:
    """Every target that their metrics know and that they may be about, in order."""
    among = coverage.of(rules)
    return queries.targets(metrics=among.keys(), among=among)


def _find(shard: SweepShard, in_force: Book) -> dict[str, object]:
    rules = _shared(in_force)
    targets = [target for target in _targets(rules) if _holds(shard, target)]
    awake = incidents.live(policy_ids=in_force.rules.keys()).keys() | flaps.of().keys()
    heard = [target for target in silent.heard_of(in_force, shard.at) if _holds(shard, target)]

    def more(rule: Rule) -> set[str]:
        return {target for target in silent.targets(rule, heard) if _holds(shard, target)}

    quick = [rule for rule in rules if screens.can_screen(rule)]
    slow = [rule for rule in rules if not screens.can_screen(rule)]
    found = screens.together(
        [
            screens.sift(rules=quick, awake=awake, more=more, at=shard.at, targets=targets),
            _by_samples(slow, awake=awake, more=more, at=shard.at, targets=targets, beside=in_force.rules.values()),
        ]
    )
    return {
        "suspects": {str(rule.version_id): names for rule, names in found.suspects.items()},
        "settled": {outcome.value: count for outcome, count in found.settled.items()},
        "targets": sorted(found.targets),
    }


def _holds(shard: SweepShard, target: str) -> bool:
    return target > shard.after and (not shard.until or target <= shard.until)


def _by_samples(
    rules: Sequence[Rule],
    *,
    awake: Collection[Pair],
    more: Callable[[Rule], set[str]],
    at: datetime,
    targets: Collection[str],
    beside: Iterable[Rule],
) -> Sifted:
    """The same as `screens.sift`, by evaluating every pair: for conditions that cannot be screened."""
    data = readings.load(rules=rules, at=at, targets=targets, beside=beside)
    suspects: dict[Rule, list[str]] = defaultdict(list)
    settled: Counter[Outcome] = Counter()
    seen: set[str] = set()
    for rule in rules:
        suspects[rule] = []
        covered = data.targets_of(rule) | more(rule)
        seen |= covered
        for target in sorted(target for target in covered if (rule.policy_id, target) not in awake):
            outcome = _outcome(rule, partial(data.of, rule, target), at)
            if outcome is None:
                suspects[rule].append(target)
            else:
                settled[outcome] += 1
    return Sifted(suspects=suspects, settled=settled, targets=frozenset(seen))


def _outcome(rule: Rule, read: Callable[[], Any], at: datetime) -> Outcome | None:
    """Healthy or harmlessly unknown; None for what the sweep must judge, also when it cannot be judged."""
    try:
        verdict = evaluation.evaluate(rule.condition, read(), at=at, staleness=judging.staleness())
    except Exception:
        return None
    if verdict.violated or (verdict.outcome is Outcome.UNKNOWN and rule.timings.on_no_data is OnNoData.OPEN):
        return None
    return verdict.outcome
