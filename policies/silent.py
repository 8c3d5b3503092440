"""Targets that a policy about silence must judge although its metric does not know them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from metrics import queries
from policies.book import Book, Rule
from policies.engine import conditions

KNOWN_WITHIN = timedelta(hours=24)
"""A target is known while it was heard of within this time."""


def heard_of(in_force: Book, at: datetime) -> list[str]:
    """Known targets, asked for only when some policy is about silence."""
    if not any(conditions.has_absence(rule.condition) for rule in in_force.rules.values()):
        return []
    return queries.known_targets(since=at - KNOWN_WITHIN)


def targets(rule: Rule, heard: Iterable[str]) -> set[str]:
    """Those of the known targets that the rule must judge whatever they sent, and the one it names."""
    if rule.document.target_tag or not conditions.has_absence(rule.condition):
        return set()
    named = set() if _is_pattern(rule.document.target) else {rule.document.target}
    return named | {target for target in heard if rule.covers(target)}


def _is_pattern(target: str) -> bool:
    return target == "all" or "*" in target or "?" in target
