"""The sweep's short cut: one summary for each metric and window, whatever the number of policies; then only what is
not surely healthy is judged with its samples. `engine.screening` does the thinking, this reads for it."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from metrics import queries
from metrics.queries import Among
from policies import coverage, judging
from policies.book import Pair, Rule
from policies.engine import screening
from policies.engine import targets as patterns
from policies.engine.lifecycle import OnNoData
from policies.engine.screening import Fleet, Heard, Reads, Summary, Windowed
from policies.engine.values import Outcome, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """What became of every pair of some rules and their targets."""

    suspects: Mapping[Rule, list[str]]
    """Targets to judge by their samples, in order."""
    settled: Counter[Outcome]
    """How many pairs were answered without, and with what."""
    targets: frozenset[str]
    """All targets that were answered for."""


NOTHING = Sifted(suspects={}, settled=Counter(), targets=frozenset())


def together(parts: Sequence[Sifted]) -> Sifted:
    """What was found in parts, each about other rules or other targets."""
    suspects: dict[Rule, list[str]] = defaultdict(list)
    for part in parts:
        for rule, targets in part.suspects.items():
            suspects[rule] += targets
    return Sifted(
        suspects={rule: sorted(targets) for rule, targets in suspects.items()},
        settled=sum((part.settled for part in parts), Counter()),
        targets=frozenset().union(*(part.targets for part in parts)),
    )


def can_screen(rule: Rule) -> bool:
    """Whether the rule's condition is one that can be answered for all targets at once."""
    return screening.reads(rule.condition) is not None


def sift(
    *,
    rules: Collection[Rule],
    awake: Collection[Pair],
    more: Callable[[Rule], Iterable[str]],
    at: datetime,
    targets: Collection[str] | None = None,
) -> Sifted:
    """Find the pairs to judge among these rules' targets, for some targets or for all.

    Pairs that are `awake`, having an incident or anything else to remember, are left out: the caller judges them.
    `more` names targets of a rule beside those that its metrics know.
    """
    shelf = _Shelf(rules, at=at, targets=targets)
    busy: dict[int, set[str]] = defaultdict(set)
    for policy_id, target in awake:
        busy[policy_id].add(target)
    suspects: dict[Rule, list[str]] = {}
    settled: Counter[Outcome] = Counter()
    seen: set[frozenset[str]] = set()
    for rule in rules:
        covered = shelf.covered(rule, more(rule))
        found = screening.screen(rule.condition, shelf.fleet(rule), targets=covered)
        theirs = covered.intersection(busy.get(rule.policy_id, ()))
        suspect, unknown = found.suspect - theirs, found.unknown - theirs
        if rule.timings.on_no_data is OnNoData.OPEN:
            suspect, unknown = suspect | unknown, frozenset()
        suspects[rule] = sorted(suspect)
        settled[Outcome.UNKNOWN] += len(unknown)
        settled[Outcome.HEALTHY] += len(covered) - len(theirs) - len(suspect) - len(unknown)
        seen.add(covered)
    return Sifted(suspects=suspects, settled=settled, targets=frozenset().union(*seen))


def doubtful(
    *, pairs: Collection[Pair], rules: Mapping[int, Rule], awake: Collection[Pair], at: datetime
) -> tuple[frozenset[Pair], Counter[Outcome]]:
    """Those of the pairs that have to be judged by their samples, and how many were answered without.

    `rules` are by policy id; pairs that are `awake` are always judged.
    """
    by_policy: dict[int, set[str]] = defaultdict(set)
    for policy_id, target in pairs:
        by_policy[policy_id].add(target)
    for policy_id, target in awake:
        if policy_id in by_policy:
            by_policy[policy_id].discard(target)
    asked = {
        rules[policy_id]: targets for policy_id, targets in by_policy.items() if _is_screened(rules.get(policy_id))
    }
    settled: Counter[Outcome] = Counter()
    doubted: dict[int, frozenset[str]] = {}
    shelf = _Shelf(asked, at=at, targets={target for targets in asked.values() for target in targets})
    for rule, targets in asked.items():
        found = screening.screen(rule.condition, shelf.fleet(rule), targets=frozenset(targets))
        unknown = frozenset() if rule.timings.on_no_data is OnNoData.OPEN else found.unknown
        left = found.suspect | (found.unknown - unknown)
        settled += Counter({Outcome.HEALTHY: len(targets) - len(left) - len(unknown), Outcome.UNKNOWN: len(unknown)})
        doubted[rule.policy_id] = left
    awake = frozenset(awake)
    left_over = (pair for pair in pairs if pair in awake or pair[1] in doubted.get(pair[0], (pair[1],)))
    return frozenset(left_over), settled


def _is_screened(rule: Rule | None) -> bool:
    return rule is not None and not rule.document.target_tag and can_screen(rule)


@dataclass(frozen=True, slots=True)
class Names:
    """Targets in order, so that the usual pattern `web-*` is a stretch of them."""

    ordered: list[str]
    chosen: dict[str, frozenset[str]] = field(default_factory=dict)

    def covered_by(self, rule: Rule) -> frozenset[str]:
        pattern = rule.document.target
        if pattern not in self.chosen:
            self.chosen[pattern] = frozenset(self._choose(pattern, rule))
        return self.chosen[pattern]

    def _choose(self, pattern: str, rule: Rule) -> Iterable[str]:
        prefix = patterns.beginning(pattern)
        begin = bisect_left(self.ordered, prefix)
        end = bisect_right(self.ordered, prefix, lo=begin, key=lambda name: name[: len(prefix)])
        stretch = self.ordered[begin:end]
        if pattern in ("all", f"{prefix}*"):
            return (target for target in stretch if target)
        return (target for target in stretch if rule.covers(target))


class _Shelf:
    """Everything that was read, and a fleet for each tag that some rule takes its targets from."""

    def __init__(self, rules: Collection[Rule], *, at: datetime, targets: Collection[str] | None) -> None:
        self._at = at
        among = coverage.of(rules) if targets is None else queries.EVERYWHERE
        self._series = _series(rules, targets, among)
        reads = [found for rule in rules if (found := screening.reads(rule.condition)) is not None]
        self._summaries = _summaries(reads, at=at, targets=targets, among=among)
        self._exact = _exact(reads, at=at, targets=targets, among=among)
        self._fleets: dict[str, Fleet] = {}
        self._names: dict[tuple[str, frozenset[str]], Names] = {}

    def fleet(self, rule: Rule) -> Fleet:
        tag = rule.document.target_tag
        if tag not in self._fleets:
            series = self._series if not tag else {name: _by_tag(tag, many) for name, many in self._series.items()}
            self._fleets[tag] = Fleet(
                series=series,
                summaries=self._summaries,
                exact=self._exact,
                at=self._at,
                staleness=judging.staleness(),
            )
        return self._fleets[tag]

    def covered(self, rule: Rule, more: Iterable[str]) -> frozenset[str]:
        """The targets of the rule that its metrics know, and `more`."""
        metrics = frozenset(rule.needs.metrics)
        key = (rule.document.target_tag, metrics)
        if key not in self._names:
            self._names[key] = Names(sorted(self.fleet(rule).targets(metrics)))
        covered = self._names[key].covered_by(rule)
        return covered.union(more) if more else covered


def _by_tag(tag: str, series: Iterable[Heard]) -> list[Heard]:
    return [one._replace(target=one.tags.get(tag, "")) for one in series]


def _series(rules: Iterable[Rule], targets: Collection[str] | None, among: Among) -> dict[str, list[Heard]]:
    metrics = {metric for rule in rules for metric in rule.needs.metrics}
    found: dict[str, list[Heard]] = defaultdict(list)
    for one in queries.latest(metrics=metrics, targets=targets, among=among) if metrics else ():
        [newest] = one.points
        found[one.name].append(Heard(one.series_id, one.target, one.tags, newest.at, newest.value))
    return found


def _summaries(
    reads: Iterable[Reads], *, at: datetime, targets: Collection[str] | None, among: Among
) -> dict[tuple[str, timedelta], Mapping[int, Summary]]:
    """One query for each window, over all metrics that some rule looks at through it."""
    found: dict[tuple[str, timedelta], Mapping[int, Summary]] = {}
    for window, names in _by_window(pair for read in reads for pair in read.windows):
        summed = queries.summaries(metrics=names, since=at - window, until=at, targets=targets, among=among)
        found |= dict.fromkeys(((name, window) for name in names), summed)
    return found


def _exact(
    reads: Iterable[Reads], *, at: datetime, targets: Collection[str] | None, among: Among
) -> dict[Windowed, Mapping[int, float]]:
    """Aggregates that the database does not work out: the samples of each window are read once for all of them."""
    wanted: dict[tuple[str, timedelta], set[str]] = defaultdict(set)
    for read in reads:
        for metric, window, aggregate in read.samples:
            wanted[metric, window].add(aggregate)
    found: dict[Windowed, dict[int, float]] = defaultdict(dict)
    for window, names in _by_window(wanted):
        for series in queries.window(metrics=names, since=at - window, until=at, targets=targets, among=among):
            samples = [Sample(id=point.id, at=point.at, value=point.value) for point in series.points]
            for aggregate in wanted[series.name, window]:
                value = screening.exactly(aggregate, samples, window=window, at=at)
                if value is not None:
                    found[series.name, window, aggregate][series.series_id] = value
    return dict(found)


def _by_window(pairs: Iterable[tuple[str, timedelta]]) -> Iterable[tuple[timedelta, set[str]]]:
    metrics: dict[timedelta, set[str]] = defaultdict(set)
    for metric, window in pairs:
        metrics[window].add(metric)
    return metrics.items()
