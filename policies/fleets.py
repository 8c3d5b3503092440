"""What is known of the group of targets that a policy's target belongs to: its tag `group_by`, else its pattern."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime

from actions.guards import LEAST_KNOWN, Fleet
from policies import book
from policies.book import Rule
from policies.models import IncidentStatus
from policies.muting import common_causes

LONGEST_NAME = 200

type Group = tuple[int, str | None]
"""A policy's id, and the group that its targets form together."""


class Fleets:
    """The fleets of one evaluation: each is read once, however many of its targets are judged."""

    def __init__(self, *, at: datetime) -> None:
        self._at = at
        self._known: dict[tuple[Rule, str], frozenset[str]] = {}
        self._open: dict[tuple[Rule, str], frozenset[str]] = {}
        self._made: dict[tuple[Rule, str, frozenset[str]], Fleet] = {}

    def look(self, groups: Iterable[tuple[Rule, Group]]) -> None:
        """Read what will be asked for, so that nothing has to be read inside a transaction."""
        for rule, (_, group) in groups:
            if group is not None and len(self._members(rule, group)) >= LEAST_KNOWN:
                self._bad(rule, group)

    def of(self, rule: Rule, group: Group, together: Collection[str]) -> Fleet | None:
        """The fleet, with `together` counted as bad; None where it is too small for shares of it to mean something."""
        name = group[1]
        if name is None:
            return None
        members = self._members(rule, name)
        if len(members) < LEAST_KNOWN:
            return None
        key = (rule, name, frozenset(together))
        if key not in self._made:
            self._made[key] = Fleet(
                name=name_of(rule, name),
                members=members,
                unhealthy=members & (self._bad(rule, name) | key[2]),
                shares=rule.shares,
            )
        return self._made[key]

    def _members(self, rule: Rule, group: str) -> frozenset[str]:
        key = (rule, group)
        if key not in self._known:
            heard = common_causes.known_of(rule, group, self._at)
            self._known[key] = heard if rule.brake.group_by or rule.regroups else heard | self._named(rule)
        return self._known[key]

    def _named(self, rule: Rule) -> frozenset[str]:
        """Targets that some policy names literally are known, too."""
        named = (other.document.target for other in book.current(self._at).rules.values() if not other.regroups)
        return frozenset(target for target in named if not is_pattern(target) and rule.covers(target))

    def _bad(self, rule: Rule, group: str) -> frozenset[str]:
        key = (rule, group)
        if key not in self._open:
            live = common_causes.bad_of(rule.policy_id, rule.brake.group_by, group)
            opened = live.filter(status=IncidentStatus.OPEN)
            self._open[key] = frozenset(opened.values_list("target", flat=True))
        return self._open[key]


def name_of(rule: Rule, group: str) -> str:
    """How the fleet is called: policies about the same targets share its caps."""
    of = ", ".join(rule.by) or rule.document.target_tag
    name = f"{rule.document.target}{f' by {of}' if of else ''}"
    name += f" with {rule.brake.group_by}={group}" if rule.brake.group_by else ""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 17]} {hashlib.sha256(name.encode()).hexdigest()[:16]}"


def is_pattern(target: str) -> bool:
    """Whether the text stands for more than the target of that name."""
    return target == "all" or "*" in target or "?" in target
