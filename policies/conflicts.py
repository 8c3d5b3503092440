"""Which policies in force can fight over a target. It is said when one is saved, and refuses nothing."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from actions import queries
from policies import book
from policies.book import Rule
from policies.documents import Draft
from policies.engine import conflicts
from policies.engine.conflicts import Deed, Side
from vigil.kernel import clock

ALWAYS = frozenset({frozenset({"scale-up", "scale-down"})})
"""What undoes each other whatever the action types say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """What of the action types matters."""

    pairs: frozenset[frozenset[str]] = ALWAYS
    """Those that undo each other."""
    telling: frozenset[str] = frozenset()
    """Those that only tell people, and so fight with nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Two policies that can fight."""

    policy: str
    other: str
    message: str

    def as_json(self) -> dict[str, object]:
        """As the API and files show it."""
        return {"code": "conflict", "with": self.other, "message": self.message}


def of(name: str) -> list[Clash]:
    """What the policy can fight with, of those in force now; nothing for one that is not."""
    rules = book.current(clock.now()).rules.values()
    mine = next((rule for rule in rules if rule.name == name), None)
    return [] if mine is None else _between(mine, rules, known())


def foreseen(drafts: Collection[Draft]) -> dict[str, list[Clash]]:
    """By name: what each of these policies could fight with once all of them are saved, beside those in force."""
    standing = {rule.name: rule for rule in book.current(clock.now()).rules.values()}
    for draft in drafts:
        standing.pop(draft.name, None)
        if draft.enabled:
            standing[draft.name] = book.provisional(draft.document, name=draft.name)
    kinds = known()
    rules = [standing[draft.name] for draft in drafts if draft.name in standing]
    return {rule.name: _between(rule, standing.values(), kinds) for rule in rules}


def among(rules: Iterable[Rule], kinds: Kinds) -> list[Clash]:
    """Every two of these policies that can fight, each once."""
    listed = list(rules)
    return [found for place, rule in enumerate(listed) for found in _between(rule, listed[place + 1 :], kinds)]


def known() -> Kinds:
    """This installation's action types."""
    kinds = queries.kinds()
    undone = {frozenset({kind.name, kind.rollback}) for kind in kinds if kind.rollback}
    return Kinds(pairs=ALWAYS | undone, telling=frozenset(kind.name for kind in kinds if kind.tells))


def _between(rule: Rule, others: Iterable[Rule], kinds: Kinds) -> list[Clash]:
    mine = _side(rule, kinds)
    found = (
        (other, conflicts.between(mine, _side(other, kinds), pairs=kinds.pairs))
        for other in others
        if other.name != rule.name
    )
    return [Clash(policy=rule.name, other=other.name, message=message) for other, message in found if message]


def _side(rule: Rule, kinds: Kinds) -> Side:
    steps = [step for step in rule.document.steps if step.action not in kinds.telling]
    return Side(
        name=rule.name,
        target=rule.document.target,
        condition=rule.condition,
        deeds=[Deed(action=step.action, params=step.params) for step in steps],
    )
