"""The same samples and rules go to Vigil's engine and to a real Prometheus; they agree, or the page says why."""

import math
import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest

from policies.engine import conditions, evaluation, language, lifecycle
from policies.engine.conditions import Condition
from policies.engine.lifecycle import IncidentState, OnNoData, Status, Timings
from policies.engine.values import FleetData, Outcome, Series, TargetData, Verdict
from tests.peers import promtool, worlds
from tests.peers.promtool import Rule, Vector
from tests.peers.worlds import EPOCH, LENGTH, World

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]

WORLDS = 16
TIMES = 10
SEED = 2042
STALENESS = timedelta(minutes=5)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences-from-prometheus.md"
WINDOWS = ("1m", "2m", "5m", "10m")

EDGE = "window edge"
NAN = "NaN in a window"
ZERO = "zero denominator"
UNHEARD = "never sent"
UNLESS = "unless without data"
KEEP = "kept firing without data"
SERIES = "for of each series"
SEVERAL = "several of these"
AGREED = "agreed"
DIFFERENCES = (EDGE, NAN, ZERO, UNHEARD, UNLESS, KEEP, SERIES)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One thing said in both languages."""

    sentence: str
    expr: str

    @cached_property
    def condition(self) -> Condition:
        return language.parse(self.sentence)

    @property
    def key(self) -> str:
        """The label by which Prometheus' results are told apart."""
        return "zone" if conditions.grouping(self.condition) else "target"


def value_pairs(chance: random.Random) -> Iterator[Pair]:
    """Numbers: the sentence's own comparison is only there to make it one, the value is compared."""
    window = chance.choice(WINDOWS)
    for metric in ("load", "holed"):
        yield Pair(sentence=f"max({metric}) > 0", expr=f"max by (target) ({metric})")
    for aggregate in ("avg", "min", "max", "sum", "count", "last", "stddev"):
        metric = chance.choice(("load", "load", "requests", "holed"))
        inside = f"{aggregate}_over_time({metric}[{window}])"
        yield Pair(sentence=f"max({aggregate}({metric}, {window})) > 0", expr=f"max by (target) ({inside})")
    share = chance.choice((0.5, 0.9, 0.975))
    yield Pair(
        sentence=f"max(quantile({share}, load, {window})) > 0",
        expr=f"max by (target) (quantile_over_time({share}, load[{window}]))",
    )
    for function, metric in (
        ("rate", "requests"),
        ("rate", "errors"),
        ("increase", "requests"),
        ("increase", "errors"),
        ("delta", "load"),
        ("changes", "errors"),
    ):
        window = chance.choice(WINDOWS)
        yield Pair(
            sentence=f"sum({function}({metric}, {window})) > 0",
            expr=f"sum by (target) ({function}({metric}[{window}]))",
        )
    yield Pair(sentence=f"avg(rate(requests, {window}) by zone) > 0", expr=f"avg by (zone) (rate(requests[{window}]))")
    yield Pair(sentence="count(load by zone) > 0", expr="count by (zone) (load)")
    yield Pair(sentence="min(load by zone) > 0", expr="min by (zone) (load)")
    over, under = f"rate(requests[{window}])", f"rate(errors[{window}])"
    yield Pair(
        sentence=f"sum(rate(requests, {window})) / sum(rate(errors, {window})) > 0",
        expr=f"sum by (target) ({over}) / sum by (target) ({under})",
    )
    yield Pair(
        sentence=f"sum(rate(requests, {window}) by zone) / sum(rate(errors, {window}) by zone) > 0",
        expr=f"sum by (zone) ({over}) / sum by (zone) ({under})",
    )
    yield Pair(sentence="queue > 1000 within 1h, from 10m", expr="max by (target) (predict_linear(queue[10m], 3600))")


@dataclass(frozen=True, kw_only=True)
class Alert:
    pair: Pair
    hold_for: int
    keep_firing_for: int = 0


def alerts(chance: random.Random) -> Iterator[Alert]:
    limit, other = chance.choice((40, 55, 70)), chance.choice((30, 50))
    window = chance.choice(WINDOWS)
    load, queue = f"max by (target) (load) > {limit}", f"max by (target) (queue) > {other}"
    pairs = [
        Pair(sentence=f"max(load) > {limit}", expr=load),
        Pair(sentence=f"min(load) <= {limit}", expr=f"min by (target) (load) <= {limit}"),
        Pair(sentence=f"load > {limit}", expr=f"load > {limit}"),
        Pair(sentence=f"max(load) > {limit} and max(queue) > {other}", expr=f"{load} and {queue}"),
        Pair(sentence=f"max(load) > {limit} or max(queue) > {other}", expr=f"{load} or {queue}"),
        Pair(sentence=f"max(load) > {limit} and not max(queue) > {other}", expr=f"{load} unless {queue}"),
        Pair(
            sentence=f"sum(rate(requests, {window})) > 0.3137",
            expr=f"sum by (target) (rate(requests[{window}])) > 0.3137",
        ),
        Pair(
            sentence=f"avg(avg(load, {window}) by zone) > {limit}",
            expr=f"avg by (zone) (avg_over_time(load[{window}])) > {limit}",
        ),
        Pair(
            sentence=f"sum(rate(errors, {window})) / sum(rate(requests, {window})) > 0.4937",
            expr=f"sum by (target) (rate(errors[{window}])) / sum by (target) (rate(requests[{window}])) > 0.4937",
        ),
        Pair(
            sentence=f"sum(increase(errors, {window}) by zone) < 20",
            expr=f"sum by (zone) (increase(errors[{window}])) < 20",
        ),
    ]
    for pair in pairs:
        is_plain = pair.expr.startswith("load")
        hold = chance.choice((60, 180) if is_plain else (0, 30, 60, 180))
        yield Alert(pair=pair, hold_for=hold, keep_firing_for=0 if is_plain else chance.choice((0, 0, 60, 300)))
    for target in ("t1", "t2"):
        silence = chance.choice((60, 120, 420))
        expr = f'absent_over_time(load{{target="{target}"}}[{silence}s])'
        yield Alert(pair=Pair(sentence=f"no load for {silence}s", expr=expr), hold_for=0)


def moment(second: float) -> datetime:
    return EPOCH + timedelta(seconds=second)


def judged(condition: Condition, data: Mapping[str, TargetData], at: datetime) -> dict[str, Verdict]:
    """The verdict of every target, or of every group by the value of its one tag."""
    if conditions.grouping(condition):
        fleet = FleetData(targets=tuple(data.values()))
        found = evaluation.evaluate_groups(condition, fleet, at=at, staleness=STALENESS)
        return {name.partition("=")[2]: verdict for name, verdict in found.items()}
    return {name: evaluation.evaluate(condition, target, at=at, staleness=STALENESS) for name, target in data.items()}


def by_label(vector: Vector, name: str) -> dict[str, float]:
    return {dict(labels).get(name, ""): value for labels, value in vector.items()}


def close(ours: float | None, theirs: float | None, *, tolerance: float = 1e-9) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=max(tolerance, 1e-6))


def spans(condition: Condition) -> set[timedelta]:
    needs = conditions.needs(condition)
    return {back for back in needs.metrics.values() if back is not None} | {
        node.silent_for for node in conditions.walk(condition) if isinstance(node, conditions.Absent)
    }


def moved_inside(condition: Condition, data: Mapping[str, TargetData], at: datetime) -> dict[str, TargetData] | None:
    """The same data with samples exactly at the start of a window a microsecond later; None when there are none."""
    edges = {at - span for span in spans(condition)}
    metrics = conditions.metrics_of(condition)
    touched = False

    def moved(series: Series) -> Series:
        nonlocal touched
        if series.name not in metrics or not any(sample.at in edges for sample in series.samples):
            return series
        touched = True
        later = timedelta(microseconds=1)
        samples = tuple(replace(one, at=one.at + later) if one.at in edges else one for one in series.samples)
        return replace(series, samples=samples)

    shifted = {
        name: replace(target, series={metric: tuple(map(moved, many)) for metric, many in target.series.items()})
        for name, target in data.items()
    }
    return shifted if touched else None


def holds_nan(condition: Condition, world: World, at: int) -> bool:
    """Is there a NaN that is no staleness marker among the samples looked at?"""
    back = max(spans(condition), default=STALENESS).total_seconds()
    metrics = conditions.metrics_of(condition)
    points = (point for line in world.lines if line.metric in metrics for point in line.points)
    return any(value is not None and math.isnan(value) and at - back <= second <= at for second, value in points)


def compare_values(world: World, pair: Pair, at: int, theirs: Vector) -> Iterator[str]:
    """One outcome for each target or group: agreed, or the name of the difference, or a description of a mistake."""
    data, wanted = world.targets, by_label(theirs, pair.key)
    found = {name: verdict.value for name, verdict in judged(pair.condition, data, moment(at)).items()}
    inside = moved_inside(pair.condition, data, moment(at))
    closed = {} if inside is None else judged(pair.condition, inside, moment(at))
    for name in sorted(found.keys() | wanted.keys()):
        ours, prometheus = found.get(name), wanted.get(name)
        if close(ours, prometheus):
            yield AGREED
        elif name in closed and close(closed[name].value, prometheus, tolerance=1e-5):
            yield EDGE
        elif prometheus is not None and not math.isfinite(prometheus) and ours is None and "/" in pair.sentence:
            yield ZERO
        elif holds_nan(pair.condition, world, at):
            yield NAN
        else:
            yield f"{pair.sentence} at {at} for {name}: Vigil {ours}, Prometheus {prometheus}"


NAMES = {Status.NONE: "", Status.PENDING: "pending", Status.OPEN: "firing"}
WORST = ("", "pending", "firing")
type Lives = dict[str, list[str]]


def subjects(alert: Alert, world: World, ways: Collection[str]) -> list[dict[str, TargetData]]:
    """The data to judge: once, or, in Prometheus' way, once for each series."""
    if SERIES not in ways:
        return [world.targets]
    lines = [line for line in world.lines if line.metric == "load"]
    return [replace(world, lines=(line,)).targets for line in lines]


def lived(world: World, alert: Alert, ways: Collection[str] = ()) -> Lives:
    """The state of every target at every evaluation, with some of Prometheus' ways in place of Vigil's own."""
    names = {"z1", "z2"} if conditions.grouping(alert.pair.condition) else {"t1", "t2"}
    lives = [_lived(alert, data, names, ways) for data in subjects(alert, world, ways)]
    return {
        name: [max(several, key=WORST.index) for several in zip(*(one[name] for one in lives), strict=True)]
        for name in names
    }


def _lived(alert: Alert, data: Mapping[str, TargetData], names: Collection[str], ways: Collection[str]) -> Lives:
    timings = Timings(
        hold_for=timedelta(seconds=alert.hold_for),
        keep_open_for=timedelta(seconds=alert.keep_firing_for),
        on_no_data=OnNoData.RESOLVE,
        max_gap=timedelta(seconds=promtool.EVERY),
    )
    states = dict.fromkeys(names, IncidentState())
    told: Lives = {name: [] for name in names}
    for second in range(0, LENGTH + 1, promtool.EVERY):
        seen = moved_inside(alert.pair.condition, data, moment(second)) if EDGE in ways else None
        verdicts = judged(alert.pair.condition, data if seen is None else seen, moment(second))
        for name in names:
            verdict = verdicts.get(name, Verdict(outcome=Outcome.UNKNOWN, reason="nothing there"))
            if verdict.outcome is Outcome.UNKNOWN:
                verdict = replace(verdict, outcome=without_data(alert, (seen or data).get(name), moment(second), ways))
            states[name] = lifecycle.advance(states[name], verdict, moment(second), timings).state
            told[name].append(NAMES[states[name].status])
    return told


def without_data(alert: Alert, target: TargetData | None, at: datetime, ways: Collection[str]) -> Outcome:
    """What Prometheus makes of something that Vigil calls unknown."""
    condition = alert.pair.condition
    if UNHEARD in ways and isinstance(condition, conditions.Absent):
        return Outcome.VIOLATED
    if ZERO in ways and target is not None and isinstance(condition, conditions.Ratio):
        whole = {"metric_equals": condition.under, "metric_exceeds": condition.over}
        parts = [
            conditions.Compare(measure=measure, comparison=conditions.Comparison(sign), threshold=0)
            for sign, measure in whole.items()
        ]
        if all(evaluation.evaluate(part, target, at=at, staleness=STALENESS).violated for part in parts):
            return Outcome.VIOLATED
    if UNLESS in ways and target is not None and isinstance(condition, conditions.AllOf):
        first, second = (evaluation.evaluate(part, target, at=at, staleness=STALENESS) for part in condition.conditions)
        if isinstance(condition.conditions[1], conditions.Not) and first.violated:
            return Outcome.HEALTHY if second.outcome is Outcome.HEALTHY else Outcome.VIOLATED
    return Outcome.HEALTHY if KEEP in ways and alert.keep_firing_for else Outcome.UNKNOWN


def ways_of(alert: Alert) -> list[str]:
    """The ways of Prometheus that can matter to this alert."""
    is_absence, is_plain = alert.pair.sentence.startswith("no "), alert.pair.expr.startswith("load")
    is_ratio = " / " in alert.pair.sentence
    possible = {EDGE: True, ZERO: is_ratio, KEEP: alert.keep_firing_for, UNHEARD: is_absence, SERIES: is_plain}
    return [way for way, may in {**possible, UNLESS: " and not " in alert.pair.sentence}.items() if may]


def prometheus_states(answers: Mapping[tuple[str, int], Vector], alert_name: str, pair: Pair, name: str) -> list[str]:
    """The worst state of any alert of that rule on the target, at every evaluation."""
    told: list[str] = []
    for second in range(0, LENGTH + 1, promtool.EVERY):
        labels = [dict(one) for one in answers[("ALERTS", second)]]
        mine = {one["alertstate"] for one in labels if one["alertname"] == alert_name and one.get(pair.key) == name}
        told.append("firing" if "firing" in mine else "pending" if mine else "")
    return told


def compare_states(
    world: World, rules: Mapping[str, Alert], answers: Mapping[tuple[str, int], Vector]
) -> Iterator[str]:
    """One outcome for each alert on each target over the whole time.

    A difference has its name only if doing that one thing in Prometheus' way gives exactly Prometheus' states.
    """
    for rule, alert in rules.items():
        ours = lived(world, alert)
        absent = alert.pair.expr.startswith("absent")
        for name in sorted(name for name in ours if not absent or f'"{name}"' in alert.pair.expr):
            theirs = prometheus_states(answers, rule, alert.pair, name)
            yield AGREED if ours[name] == theirs else _explained(world, alert, name, theirs)


def _explained(world: World, alert: Alert, name: str, theirs: list[str]) -> str:
    ways = ways_of(alert)
    for way in ways:
        if lived(world, alert, [way])[name] == theirs:
            return way
    if lived(world, alert, ways)[name] == theirs:
        return SEVERAL
    return f"{alert} on {name}: {lived(world, alert, ways)[name]} != {theirs}"


def run(seed: int, directory: Path) -> tuple[list[str], list[str]]:
    """The outcomes of one world: those of numbers, and those of states."""
    chance = random.Random(seed)
    world = worlds.world(seed)
    pairs = list(value_pairs(chance))
    rules = {f"A{place}": alert for place, alert in enumerate(alerts(chance))}
    asked = [(pair, chance.randrange(60, LENGTH)) for pair in pairs for _ in range(TIMES)]
    answers = promtool.ask(
        series={line.name: line.values for line in world.lines},
        rules=[
            Rule(name=name, expr=one.pair.expr, hold_for=one.hold_for, keep_firing_for=one.keep_firing_for)
            for name, one in rules.items()
        ],
        questions=[
            *((pair.expr, at) for pair, at in asked),
            *(("ALERTS", second) for second in range(0, LENGTH + 1, promtool.EVERY)),
        ],
        directory=directory,
    )
    numbers = [one for pair, at in asked for one in compare_values(world, pair, at, answers[(pair.expr, at)])]
    return numbers, list(compare_states(world, rules, answers))


def table(numbers: Counter[str], states: Counter[str]) -> str:
    """The summary as it stands on the page."""
    names = [AGREED, *sorted((numbers.keys() | states.keys()) - {AGREED})]
    rows = [f"| {name} | {numbers[name]} | {states[name]} |" for name in names]
    total = f"| **compared** | **{numbers.total()}** | **{states.total()}** |"
    return "\n".join(["| | numbers | alert states |", "|---|---|---|", total, *rows])


def test_prometheus_agrees_or_the_page_says_why(tmp_path: Path) -> None:
    numbers: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for place in range(WORLDS):
        found, lives = run(SEED + place, tmp_path)
        numbers.update(found)
        states.update(lives)
    summary = table(numbers, states)
    explained = {AGREED, SEVERAL, *DIFFERENCES}
    assert (numbers.keys() | states.keys()) <= explained, sorted((numbers + states).keys() - explained)[:5]
    assert numbers[AGREED] > 0.9 * numbers.total()
    assert summary in PAGE.read_text(), f"the page has other figures than these:\n{summary}"


def test_the_page_explains_every_difference() -> None:
    page = PAGE.read_text()
    for name in DIFFERENCES:
        assert f"\n## {name[0].upper()}{name[1:]}\n" in page
