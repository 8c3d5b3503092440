"""Which targets' series some rules read: what lies outside is not looked at, however much there is of it."""

from collections import defaultdict
from collections.abc import Iterable

from metrics import selections
from metrics.selections import Selection
from policies.book import Rule
from policies.engine import targets


def of(rules: Iterable[Rule]) -> dict[str, Selection]:
    """By metric: the targets that rules which read it may be about; it may be more of them, never fewer."""
    by_metric: dict[str, set[Selection]] = defaultdict(set)
    for rule in rules:
        for metric in rule.needs.metrics:
            by_metric[metric].add(_of(rule))
    return {metric: selections.together(many) for metric, many in by_metric.items()}


def _of(rule: Rule) -> Selection:
    """Everything for a rule whose targets are others than those the store knows."""
    if rule.regroups:
        return selections.EVERYTHING
    pattern = rule.document.target
    beginning = targets.beginning(pattern)
    if beginning == pattern:
        return Selection(names=frozenset({pattern}))
    return Selection(beginnings=frozenset({beginning}))
