"""The periodic evaluation of everything: one summary for each window, and samples only of what may be bad."""

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import F, Q

from policies import book, fitness, flaps, incidents, judging, readings, remedies, screens, shards, silent, verification
from policies.book import Book, Pair, Rule
from policies.engine.flapping import History
from policies.engine.lifecycle import Transition
from policies.engine.values import Outcome
from policies.judging import Judged
from policies.models import Incident, SweepShard, SweepStatus
from policies.muting import common_causes
from policies.readings import Data, Parted
from policies.remedies import Settled
from policies.screens import Sifted
from policies.shards import HandOut
from vigil.kernel.database import patience as wait_longer
from vigil.kernel.database import tx
from vigil.telemetry import metrics as telemetry

log = structlog.get_logger(__name__)

GIVEN_UP_AFTER = timedelta(minutes=2)
"""A sweep that has run for so long died with its process: the next one may begin."""
STATEMENT_MILLISECONDS = 60_000
_BAD = (Transition.PENDED, Transition.OPENED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What one sweep did."""

    ran: bool
    """False: the one before it is still running, so this tick was skipped and counted."""
    shards: int = 1
    policies: int = 0
    targets: int = 0
    changed: int = 0
    verified: int = 0
    errors: int = 0
    broken: int = 0
    duration_seconds: float = 0.0


def run(*, at: datetime, screened: bool = True, hand_out: HandOut | None = None) -> SweepReport:
    """Judge every enabled policy on every target it covers, and carry out what follows.

    Without `screened` every pair is judged by its samples, which takes longer and comes to the same. With `hand_out`
    a large fleet is swept in shards, which it offers to other processes; what they do not take is done here.
    """
    run_id = uuid.uuid4().hex
    if not _begin(run_id, at):
        log.warning("policies.sweep.skipped", reason="The sweep before this one is still running.")
        return SweepReport(ran=False)
    started = time.monotonic()
    try:
        with patience():
            report = _sweep(_Plan(run_id=run_id, at=at, screened=screened, hand_out=hand_out))
    except Exception as error:
        _end(run_id, at, started, report=None, error=f"{type(error).__name__}: {error}")
        raise
    return _end(run_id, at, started, report=report, error="")


def status() -> SweepStatus:
    """The row that says how the sweep fares."""
    return SweepStatus.objects.filter(pk=1).first() or SweepStatus(pk=1)


@contextmanager
def patience() -> Iterator[None]:
    """PostgreSQL stops a request's statement after 5 s; a sweep over a large fleet may take longer."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(STATEMENT_MILLISECONDS)])
    try:
        with wait_longer(seconds=STATEMENT_MILLISECONDS / 1000 + 5):
            yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How this sweep is to be done."""

    run_id: str
    at: datetime
    screened: bool
    hand_out: HandOut | None


def _sweep(plan: _Plan) -> SweepReport:
    at = plan.at
    verified = verification.run(at=at)
    in_force = book.current(at)
    live = incidents.live(policy_ids=in_force.rules.keys())
    histories = flaps.of()
    work = _work(in_force, live, histories.keys(), plan)
    judged = judging.judge_on(work.data, subjects=work.subjects, live=live, at=at, histories=histories)
    fitness.failed(judged.errors, at=at)
    health = fitness.of(in_force.rules.keys())
    fitness.evaluated(in_force.rules.values(), failures=judged.errors.keys(), known=health, at=at, sweep=True)
    common_causes.review(in_force=in_force, at=at)
    settled = remedies.settle(judgements=judged.judgements, at=at)
    flaps.tell(flaps.note_all(flaps.old(_unjudged(histories, judged), at=at), at=at))
    _count(judged, work.settled, settled)
    return SweepReport(
        ran=True,
        shards=work.shards,
        policies=len(in_force.rules),
        targets=len(work.targets.union(judgement.target for judgement in judged.judgements)),
        changed=sum(one.news for one in settled),
        verified=verified,
        errors=len(judged.errors),
        broken=len(in_force.broken),
    )


def _unjudged(histories: Mapping[Pair, History], judged: Judged) -> dict[Pair, History]:
    """What is remembered of pairs that nobody can judge any more: targets that are gone, policies that are broken."""
    seen = {judgement.pair for judgement in judged.judgements}
    return {pair: history for pair, history in histories.items() if pair not in seen}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The pairs to judge with what was read for them, and those that needed no judging."""

    subjects: list[tuple[Rule, str]]
    data: Parted
    settled: Counter[Outcome]
    targets: frozenset[str]
    shards: int


def _work(in_force: Book, live: Mapping[Pair, Incident], remembered: Collection[Pair], plan: _Plan) -> _Work:
    """Every pair: targets the metrics know, targets that may be silent, those with a live incident or one just ended.

    The order is the same with and without screening, since of two policies the first may take the target.
    """
    under = _older(in_force, live)
    rules = {*in_force.rules.values(), *under.values()}
    heard = silent.heard_of(in_force, plan.at)
    parts = shards.plan(in_force, run_id=plan.run_id, at=plan.at) if plan.screened and plan.hand_out else []
    awake = live.keys() | set(remembered)
    sifted = _sift(in_force, awake, heard, parts, plan)
    some = frozenset(rule for rule in rules if rule in sifted.suspects or (plan.screened and screens.can_screen(rule)))
    whole = readings.load(rules=rules - some, at=plan.at, beside=some)
    subjects = [(rule, target) for (_, target), rule in under.items()]
    restless = _restless(in_force, remembered)
    for policy_id, rule in in_force.rules.items():
        if rule in some:
            targets = sorted(restless[policy_id].union(sifted.suspects[rule]))
        else:
            targets = sorted(whole.targets_of(rule) | silent.targets(rule, heard) | restless[policy_id])
        subjects += [(rule, target) for target in targets if (policy_id, target) not in live]
    return _Work(
        subjects=subjects,
        data=Parted(some=some, of_some=_of_some(subjects, some, rules, plan.at), of_others=whole),
        settled=sifted.settled,
        targets=sifted.targets,
        shards=max(1, len(parts)),
    )


def _restless(in_force: Book, remembered: Iterable[Pair]) -> Mapping[int, set[str]]:
    """By policy in force: the targets of which something is remembered, and that it still covers."""
    found: dict[int, set[str]] = defaultdict(set)
    for policy_id, target in remembered:
        rule = in_force.rules.get(policy_id)
        if rule is not None and rule.covers(target):
            found[policy_id].add(target)
    return found


def _sift(in_force: Book, awake: Collection[Pair], heard: list[str], parts: list[SweepShard], plan: _Plan) -> Sifted:
    """Here and for all targets at once, or in shards."""
    if parts and plan.hand_out is not None:
        shared = shards.sift(parts, in_force=in_force, hand_out=plan.hand_out)
        alone = [rule for rule in in_force.rules.values() if rule not in shared.suspects and screens.can_screen(rule)]
    else:
        shared = screens.NOTHING
        alone = [rule for rule in in_force.rules.values() if plan.screened and screens.can_screen(rule)]
    rest = screens.sift(rules=alone, awake=awake, more=lambda rule: silent.targets(rule, heard), at=plan.at)
    return screens.together([shared, rest])


def _of_some(
    subjects: Iterable[tuple[Rule, str]], some: frozenset[Rule], rules: Collection[Rule], at: datetime
) -> Data:
    """The samples of those pairs alone that could not be answered without."""
    doubted = [(rule, target) for rule, target in subjects if rule in some]
    return readings.load(
        rules={rule for rule, _ in doubted}, at=at, targets={target for _, target in doubted}, beside=rules
    )


def _older(in_force: Book, live: Mapping[Pair, Incident]) -> dict[Pair, Rule]:
    """For each live incident the version it was opened under."""
    found = {pair: judging.rule_for(in_force, pair, incident) for pair, incident in live.items()}
    return {pair: rule for pair, rule in found.items() if rule is not None}


def _count(judged: Judged, screened: Counter[Outcome], settled: list[Settled]) -> None:
    outcomes = screened + Counter(judgement.verdict.outcome for judgement in judged.judgements)
    for outcome, count in outcomes.items():
        telemetry.policy_evaluations_total.labels(source="sweep", verdict=outcome.value).inc(count)
    for one in settled:
        if one.transition in _BAD and one.judgement.incident is None and one.judgement.verdict.violated:
            telemetry.of_policy(telemetry.policy_violations_total, one.judgement.rule.name).inc()


def _begin(run_id: str, at: datetime) -> bool:
    """Take the row, unless a sweep holds it that can still be alive."""

    def take() -> bool:
        SweepStatus.objects.get_or_create(pk=1)
        free = SweepStatus.objects.filter(pk=1).filter(Q(running_since=None) | Q(running_since__lt=at - GIVEN_UP_AFTER))
        if free.update(running_since=at, run_id=run_id):
            return True
        SweepStatus.objects.filter(pk=1).update(overruns=F("overruns") + 1)
        return False

    return tx(take)


def _end(run_id: str, at: datetime, started: float, *, report: SweepReport | None, error: str) -> SweepReport:
    seconds = time.monotonic() - started
    before = status()
    fields: dict[str, object] = {
        "running_since": None,
        "last_run_at": at,
        "last_duration_ms": round(seconds * 1000, 1),
        "lag_seconds": _lag(before.last_run_at, at),
        "runs": F("runs") + 1,
        "last_error": error,
    }
    if report is not None:
        fields |= {
            "last_success_at": at,
            "policies_evaluated": report.policies,
            "targets_evaluated": report.targets,
            "policy_errors": report.errors + report.broken,
        }
        telemetry.sweep_duration_seconds.observe(seconds)
    tx(lambda: SweepStatus.objects.filter(pk=1, run_id=run_id).update(**fields))
    done = report or SweepReport(ran=True)
    log.log(
        20 if done.changed or done.verified or done.errors else 10,
        "policies.sweep.done",
        policies=done.policies,
        targets=done.targets,
        shards=done.shards,
        changed=done.changed,
        verified=done.verified,
        errors=done.errors,
        duration_ms=round(seconds * 1000, 1),
    )
    return replace(done, duration_seconds=seconds)


def _lag(last_run_at: datetime | None, at: datetime) -> float:
    """How much later than one interval after the sweep before it this one began."""
    if last_run_at is None:
        return 0.0
    return max(0.0, (at - last_run_at).total_seconds() - settings.VIGIL_SWEEP_INTERVAL_SECONDS)
