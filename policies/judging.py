"""Verdicts for many (policy, target) pairs at once: one read, then the pure engine. Nothing is written here."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

from django.conf import settings

from policies import fitness, flaps, incidents, readings
from policies.book import Book, Pair, Rule
from policies.engine import evaluation, flapping, lifecycle, muting
from policies.engine.flapping import History
from policies.engine.lifecycle import IncidentState, Status
from policies.engine.values import Outcome, Verdict
from policies.flaps import Result
from policies.models import Incident, PolicyHealth
from policies.readings import Data, Parted
from vigil.kernel import patience

_AT_REST = IncidentState()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One policy judged on one target, and what follows for its incident."""

    rule: Rule
    target: str
    incident: Incident | None
    """The live incident as it was read, if there is one."""
    verdict: Verdict
    step: lifecycle.Step
    history: History = flapping.NOTHING
    """What was remembered of the pair before."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the incident's series agree on, or will when it begins; blank while nothing is wrong."""

    @property
    def pair(self) -> Pair:
        """Its identity."""
        return self.rule.policy_id, self.target

    @property
    def was_open(self) -> bool:
        """Was its incident open before?"""
        return self.incident is not None and self.incident.status == Status.OPEN

    @property
    def result(self) -> Result:
        """What it adds to the pair's history."""
        return Result(pair=self.pair, was_open=self.was_open, is_open=self.step.result, limits=self.rule.timings.flap)

    @property
    def acts(self) -> bool:
        """Is the incident open after this, and bad now? Then a remedy may be due."""
        state = self.step.state
        return state.status is Status.OPEN and state.healthy_since is None and self.counts_as_violated

    @property
    def counts_as_violated(self) -> bool:
        """Violated, or without data under a policy that treats this the same."""
        unknown = self.verdict.outcome is Outcome.UNKNOWN
        return self.verdict.violated or (unknown and self.rule.timings.on_no_data is lifecycle.OnNoData.OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of judging many pairs."""

    judgements: tuple[Judgement, ...]
    errors: Mapping[Rule, str] = field(default_factory=dict)
    """Rules whose evaluation failed; their incidents stay as they are."""
    rules: frozenset[Rule] = frozenset()
    health: Mapping[int, PolicyHealth] = field(default_factory=dict)


def staleness() -> timedelta:
    """How long a value counts after its time."""
    return timedelta(seconds=settings.VIGIL_STALENESS_SECONDS)


def judge(
    *,
    book: Book,
    pairs: Collection[Pair],
    at: datetime,
    live: Mapping[Pair, Incident] | None = None,
    beside: Iterable[Rule] = (),
    allowed: Callable[[], bool] = patience.unlimited,
) -> Judged:
    """Judge these pairs on stored data, each under the version its live incident was opened under.

    What they read is read as far back as any rule `beside` them asks for. From the pair on before which `allowed` says
    no, none is judged.
    """
    targets = {target for _, target in pairs}
    if live is None:
        live = incidents.live(targets=targets)
    subjects = _subjects(book, pairs, live)
    data = readings.load(rules={rule for rule, _ in subjects}, at=at, targets=targets, beside=beside)
    return judge_on(data, subjects=subjects, live=live, at=at, allowed=allowed)


def judge_on(
    data: Data | Parted,
    *,
    subjects: Iterable[tuple[Rule, str]],
    live: Mapping[Pair, Incident],
    at: datetime,
    histories: Mapping[Pair, History] | None = None,
    allowed: Callable[[], bool] = patience.unlimited,
) -> Judged:
    """Judge on data that was already read, as long as `allowed` says so.

    Without `histories` they are read where they matter, which is not for a healthy target without an incident: its good
    results are counted by the sweep.
    """
    errors: dict[Rule, str] = {}
    judge_one = partial(_verdict, data, live=live, at=at, fresh_for=staleness(), errors=errors)
    in_time = takewhile(lambda _: allowed(), subjects)
    verdicts = [(rule, target, judge_one(rule, target)) for rule, target in in_time]
    eventful = _eventful(verdicts, live)
    unseen = {policy_id for policy_id in {rule.policy_id for rule, _, _ in verdicts} if fitness.unseen(policy_id, at)}
    health = fitness.look(unseen.union(policy_id for policy_id, _ in eventful), at=at)
    if histories is None:
        histories = flaps.of(targets={target for _, target in eventful}) if eventful else {}
    judgements = (
        _judgement(
            data,
            rule,
            target,
            verdict,
            incident=live.get((rule.policy_id, target)),
            history=histories.get((rule.policy_id, target), flapping.NOTHING),
            health=health.get(rule.policy_id),
            at=at,
        )
        for rule, target, verdict in verdicts
        if verdict is not None and rule not in errors
    )
    return Judged(
        judgements=tuple(judgements), errors=errors, rules=frozenset(rule for rule, _, _ in verdicts), health=health
    )


def _eventful(verdicts: Iterable[tuple[Rule, str, Verdict | None]], live: Mapping[Pair, Incident]) -> set[Pair]:
    """Pairs of which more must be known: for a healthy target without an incident, the usual case, nothing is read."""
    return {
        (rule.policy_id, target)
        for rule, target, verdict in verdicts
        if verdict is None or verdict.outcome is not Outcome.HEALTHY or (rule.policy_id, target) in live
    }


def rule_for(book: Book, pair: Pair, incident: Incident | None) -> Rule | None:
    """The version to judge a pair under; None when the policy is not in force."""
    if incident is None:
        return book.rules.get(pair[0])
    return book.under(policy_id=pair[0], version=incident.policy_version)


def state_of(
    incident: Incident | None, health: PolicyHealth | None, history: History = flapping.NOTHING
) -> IncidentState:
    """What the engine must remember of the pair."""
    grace_until = health.grace_until if health else None
    if incident is None:
        last_evaluated_at = health.last_evaluated_at if health else None
        return IncidentState(last_evaluated_at=last_evaluated_at, grace_until=grace_until, history=history)
    return IncidentState(
        status=Status(incident.status),
        since=incident.since,
        opened_at=incident.opened_at,
        healthy_since=incident.healthy_since,
        last_evaluated_at=incident.last_evaluated_at,
        grace_until=grace_until,
        history=history,
    )


def _subjects(book: Book, pairs: Collection[Pair], live: Mapping[Pair, Incident]) -> list[tuple[Rule, str]]:
    # In order, since of two policies that want to act on a target the first may take it.
    found = ((rule_for(book, pair, live.get(pair)), pair[1]) for pair in sorted(pairs))
    return [(rule, target) for rule, target in found if rule is not None]


def _verdict(
    data: Data | Parted,
    rule: Rule,
    target: str,
    *,
    live: Mapping[Pair, Incident],
    at: datetime,
    fresh_for: timedelta,
    errors: dict[Rule, str],
) -> Verdict | None:
    incident = live.get((rule.policy_id, target))
    was_violated = incident is not None and state_of(incident, None).was_violated
    try:
        return evaluation.evaluate(
            rule.condition, data.of(rule, target), at=at, staleness=fresh_for, was_violated=was_violated
        )
    except Exception as error:  # a policy that cannot be evaluated must not stop the others
        errors.setdefault(rule, f"{type(error).__name__}: {error}")
        return None


def _judgement(
    data: Data | Parted,
    rule: Rule,
    target: str,
    verdict: Verdict,
    *,
    incident: Incident | None,
    history: History,
    health: PolicyHealth | None,
    at: datetime,
) -> Judgement:
    tags: Mapping[str, str] = {}
    if incident is None and verdict.outcome is Outcome.HEALTHY and history == flapping.NOTHING:
        # The usual case by far: nothing was wrong, nothing is, and nothing has to be remembered.
        step = lifecycle.Step(state=_AT_REST, reason=verdict.reason)
    else:
        step = lifecycle.advance(state_of(incident, health, history), verdict, at, rule.timings)
        tags = incident.tags if incident is not None else muting.agreed(data.of(rule, target))
    return Judgement(
        rule=rule, target=target, incident=incident, verdict=verdict, step=step, history=history, tags=tags
    )
