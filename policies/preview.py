"""Dry runs: the same engine on given or stored data. Nothing is stored, ordered or counted."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from policies import book, filling, judging, readings
from policies.book import Book, Rule
from policies.documents import Document
from policies.engine import conditions, evaluation, modes, muting, rendering
from policies.engine.values import Sample, Series, Verdict
from policies.readings import Data


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a policy says of one target."""

    rule: Rule
    target: str
    verdict: Verdict
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the target's series agree on: what an incident would begin with."""

    @property
    def would_order(self) -> bool:
        """Violated, and the policy may act, or propose to."""
        return self.verdict.violated and modes.orders(self.rule.mode)

    @property
    def filled_in(self) -> str:
        """What its placeholders come to now, for people; "" while nothing is wrong, and without any."""
        step = self.rule.document.steps[0]
        if not self.verdict.violated or not rendering.is_filled_in(step.params):
            return ""
        try:
            return f"{step.action} with {json.dumps(self.params(), ensure_ascii=False)}"
        except rendering.UnableToRender as error:
            return f"{step.action} would not be ordered: {error}"

    def params(self) -> dict[str, object]:
        """The first step's parameters as an order would have them; UnableToRender says why there would be none."""
        facts = filling.facts(
            rule=self.rule, target=self.target, verdict=self.verdict, tags=self.tags, incident_id=None
        )
        return rendering.render(self.rule.document.steps[0].params, facts)


def on_sample(
    *,
    metrics: Mapping[str, float],
    target: str,
    at: datetime,
    tags: Mapping[str, str] | None = None,
    names: Collection[str] | None = None,
) -> list[Outlook]:
    """Judge the policies in force as if these values had arrived at `at`; `names` picks some of them."""
    in_force = book.current(at)
    rules = _concerned(in_force, metrics, names)
    series = {
        name: ((target, Series(name=name, tags=dict(tags or {}), samples=(Sample(id=0, at=at, value=value),))),)
        for name, value in metrics.items()
    }
    return _judge(rules, Data(series=series, events=()), at=at, targets={target})


def on_recent(*, document: Document, at: datetime, limit: int = 200) -> list[Outlook]:
    """Judge a policy that need not be saved on stored data: one outlook for each target it covers, worst first."""
    rule = book.provisional(document)
    data = readings.load(rules=[rule], at=at)
    outlooks = _judge([rule], data, at=at, targets=data.targets_of(rule))
    return sorted(outlooks, key=lambda outlook: (not outlook.verdict.violated, outlook.target))[:limit]


def _concerned(in_force: Book, metrics: Mapping[str, float], names: Collection[str] | None) -> list[Rule]:
    return [
        rule
        for rule in in_force.rules.values()
        if (names is None or rule.name in names) and conditions.metrics_of(rule.condition) & metrics.keys()
    ]


def _judge(rules: Iterable[Rule], data: Data, *, at: datetime, targets: Collection[str]) -> list[Outlook]:
    return [_outlook(rule, target, data, at) for rule in rules for target in sorted(targets) if rule.covers(target)]


def _outlook(rule: Rule, target: str, data: Data, at: datetime) -> Outlook:
    seen = data.of(rule, target)
    verdict = evaluation.evaluate(rule.condition, seen, at=at, staleness=judging.staleness())
    return Outlook(rule=rule, target=target, verdict=verdict, tags=muting.agreed(seen) if verdict.violated else {})
