"""Every shape that import_rules translates, judged by Vigil and by a real Prometheus on the same random series.

`promtool test rules` says which alerts are pending and firing at each evaluation; Vigil's engine and lifecycle must say
the same. The samples come every 61 s and the evaluations every 60 s, so that none lies on the very edge of a window:
there the releases of Prometheus differ among themselves. No denominator is zero: there Vigil differs on purpose.
"""

import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from policies.engine import conditions, evaluation, lifecycle
from policies.engine.conditions import USUAL_STALENESS
from policies.engine.lifecycle import IncidentState, OnNoData, Status, Timings
from policies.engine.rehearsal import notation
from policies.engine.translation.translate import Translated, translate
from policies.engine.values import FleetData, Sample, Series, TargetData, Verdict

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

SEEDS = range(12)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=60)
SAMPLED = 61
TICKS = 45
ALERT = re.compile(r"\{([^}]*)\} 1E\+00")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One rule. `alone` metrics have one series for each target, so that a `for` of either side means the same."""

    expression: str
    hold_for: str = "0s"
    keep: str = "0s"
    per_target: bool = False


def shapes() -> list[Shape]:
    """Instant ones on many series of a target, and ones with a `for` where each target has one number."""
    several = [
        *(f"a {sign} 5" for sign in (">", "<", ">=", "<=", "==", "!=")),
        "5 < a",
        "-a < -(2 + 3)",
        "a * 0.1 > 0.5",
        "100 - a * 10 > 50",
        "(a + 1) / 2 >= 3",
        'a{device="d1"} > 5',
        'a{device!="d1"} > 5',
        'a{device=~"d1|d3"} > 5',
        'a{device!~"d1|d9"} > 5',
        'a{zone=""} > 5',
        'a{zone!=""} > 5',
        "a",
        *(f"{name}_over_time(a[5m]) > 5" for name in ("avg", "min", "max", "last")),
        "sum_over_time(a[4m]) > 20",
        "count_over_time(a[5m]) < 4",
        "stddev_over_time(a[7m]) > 3.1",
        "quantile_over_time(0.9, a[6m]) > 7",
        "changes(a[6m]) > 2",
        "delta(a[6m]) > 3",
        "rate(c_total[5m]) > 0.1",
        "increase(c_total[7m]) > 30",
        "predict_linear(a[10m], 600) > 8",
        "a / b > 1.2",
        "rate(c_total[5m]) / rate(d_total[5m]) > 0.9",
        "(b - a) / b < 0.1",
        "100 * (b - a) / b < 10",
        "a / b > 1.2 and b > 0",
        "a > 7 or a < 2",
        "a > 7 or b > 7",
        "a > 5 and on(instance) b > 5",
        "a > 5 and on(job) b < 3",
    ]
    grouped = [
        *(f"{name} by (job) (a) > 5" for name in ("avg", "min", "max")),
        "sum by (instance) (a) > 12",
        "count by (instance) (a) < 3",
        "sum by (job, device) (a) > 9",
        'sum by (job, device) (a{device="d1"}) > 9',
        'sum(a{job="j1"}) > 15',
        'avg(rate(c_total{job="j2"}[5m])) > 0.1',
        "sum by (instance) (rate(c_total[5m])) > 0.2",
        "sum by (job) (rate(c_total[5m])) / sum by (job) (rate(d_total[5m])) > 0.9",
        "sum by (job) (a) / count by (job) (b) > 5",
        "(sum by (job) (b) - sum by (job) (a)) / sum by (job) (b) < 0.1",
        "sum by (instance) (a) > 8 and sum by (instance) (b) > 8",
        "sum by (instance) (a) > 14 or max by (instance) (b) > 8",
        "sum by (job, device) (a) > 5 and sum by (job, device) (b) > 4",
        'absent(e{job="j1"}) or sum by (job) (a{job="j1"}) > 15',
    ]
    alone = [
        "one > 5",
        "one < 5 or two > 8",
        "avg_over_time(one[4m]) > 5",
        "rate(one_total[5m]) > 0.1",
        "one / two > 1",
    ]
    held = [*grouped, *alone, 'absent(e{job="j1"})', 'absent_over_time(e{job="j2"}[8m])']
    return [
        *(Shape(expression=one) for one in several),
        *(Shape(expression=one) for one in grouped),
        *(Shape(expression=one, hold_for=hold) for one in held for hold in ("2m", "5m")),
        Shape(expression="one > 5 and two > 5", hold_for="2m", per_target=True),
        Shape(expression="steady > 5", keep="3m"),
        Shape(expression="steady > 5", hold_for="2m", keep="4m"),
    ]


SHAPES = shapes()


def test_every_shape_is_translated() -> None:
    assert len({translated(shape).sentence + shape.keep for shape in SHAPES}) > 80


def translated(shape: Shape) -> Translated:
    hold_for = notation.length(shape.hold_for)
    return translate(shape.expression, hold_for=hold_for, join_per_target=shape.per_target)


@pytest.mark.parametrize("seed", SEEDS)
def test_vigil_and_prometheus_agree(seed: int, tmp_path: Path) -> None:
    written = inputs(random.Random(seed))
    theirs, stored = prometheus(written, tmp_path), Stored(written)
    differences = [
        f"{shape} at {tick} min: Prometheus {theirs[tick][number]}, Vigil {ours}\n  {translated(shape)}"
        for number, shape in enumerate(SHAPES)
        for tick, ours in enumerate(vigil(shape, stored))
        if compared(shape, ours) != compared(shape, theirs[tick][number])
    ]
    assert not differences, f"{len(differences)} differences, the first: {differences[0]}"


def compared(shape: Shape, states: Mapping[str, str]) -> Mapping[str, str]:
    """Silence alone is never pending in Vigil: it begins with the last sample, and the `for` is added to it."""
    if not shape.expression.startswith("absent") or " or " in shape.expression:
        return states
    return {target: state for target, state in states.items() if state == "firing"}


def test_the_cases_are_not_all_quiet() -> None:
    """A comparison of nothing with nothing proves nothing: every shape fires somewhere, and rests somewhere."""
    fired: set[int] = set()
    rested: set[int] = set()
    for seed in SEEDS:
        stored = Stored(inputs(random.Random(seed)))
        for number, shape in enumerate(SHAPES):
            for states in vigil(shape, stored):
                (fired if "firing" in states.values() else rested).add(number)
    assert [SHAPES[number] for number in range(len(SHAPES)) if number not in fired] == []
    assert [SHAPES[number] for number in range(len(SHAPES)) if number not in rested] == []


def inputs(chance: random.Random) -> list[tuple[str, str]]:
    """Series of two jobs, their instances and devices; each begins after a gap, and some end for a while."""
    found = []
    for job, instance in (("j1", "i1"), ("j1", "i2"), ("j2", "i3")):
        own = f'instance="{instance}",job="{job}"'
        for device in ("d1", "d2", "d3")[: chance.randint(1, 3)]:
            zone = ',zone="z"' if device == "d2" else ""
            labels = f'{{device="{device}",{own}{zone}}}'
            found += [(f"a{labels}", gauge(chance)), (f"b{labels}", gauge(chance, least=1))]
            found += [(f"c_total{labels}", counter(chance)), (f"d_total{labels}", counter(chance))]
        found += [(f"one{{{own}}}", gauge(chance)), (f"two{{{own}}}", gauge(chance, least=1))]
        found += [(f"one_total{{{own}}}", counter(chance)), (f"steady{{{own}}}", walk(chance))]
        found.append((f"e{{{own}}}", flickering(chance)))
    return found


def gauge(chance: random.Random, *, least: int = 0) -> str:
    def value() -> str:
        return str(chance.randint(least, 10))

    return " ".join(["_", value(), *_broken(chance, value)])


def walk(chance: random.Random) -> str:
    return " ".join(["_", *(str(chance.choice((2, 4, 8))) for _ in range(TICKS))])


def counter(chance: random.Random) -> str:
    value = chance.randint(0, 50)

    def following() -> str:
        nonlocal value
        value = chance.randint(1, 3) if chance.random() < 0.06 else value + chance.randint(1, 14)
        return str(value)

    return " ".join(["_", str(value), *_broken(chance, following)])


def flickering(chance: random.Random) -> str:
    """There from the beginning (to Vigil silence of what was never heard is unknown), gone for long, back again."""
    parts = ["1", "1"]
    while len(parts) < TICKS:
        parts += ["1"] * chance.randint(1, 6) + ["_"] * chance.randint(0, 16)
    return " ".join(parts)


def _broken(chance: random.Random, following: Callable[[], str]) -> Iterator[str]:
    """Values with short and long gaps, and now and then the end of the series."""
    made = 2
    while made < TICKS:
        draw = chance.random()
        if draw < 0.03:
            length = chance.randint(2, 9)
            yield "stale"
            yield from ["_"] * (length - 1)
            made += length
        elif draw < 0.09:
            length = chance.randint(1, 9)
            yield from ["_"] * length
            made += length
        else:
            yield following()
            made += 1


def prometheus(written: Sequence[tuple[str, str]], folder: Path) -> list[list[dict[str, str]]]:
    """By tick and shape: pending or firing for each of Vigil's targets."""
    rules = [_rule(number, shape) for number, shape in enumerate(SHAPES)]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    asked = [{"expr": "ALERTS", "eval_time": f"{tick}m", "exp_samples": []} for tick in range(TICKS)]
    series = [{"series": name, "values": values} for name, values in written]
    test = {"interval": f"{SAMPLED}s", "input_series": series, "promql_expr_test": asked}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "60s", "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(document))
    told = subprocess.run(
        ["promtool", "test", "rules", str(folder / "test.yml")], capture_output=True, text=True, check=False, timeout=60
    )
    answers: list[list[dict[str, str]]] = [[{} for _ in SHAPES] for _ in range(TICKS)]
    assert "expr: " in told.stdout + told.stderr, told.stdout + told.stderr
    for time, got in re.findall(r'expr: "ALERTS", time: ([^,]+),\s+exp: nil\s+got: (.*)', told.stdout + told.stderr):
        for labels in ALERT.findall(got):
            _enter(answers[round(notation.length(time) / EVERY)], dict(LABEL.findall(labels)))
    return answers


def _rule(number: int, shape: Shape) -> dict[str, str]:
    rule = {"alert": f"R{number}", "expr": shape.expression, "for": shape.hold_for}
    return rule if shape.keep == "0s" else {**rule, "keep_firing_for": shape.keep}


def _enter(answers: list[dict[str, str]], labels: Mapping[str, str]) -> None:
    """An alert belongs to the target that Vigil would name; a target is as bad as its worst alert."""
    number = int(labels["alertname"][1:])
    target = _target(translated(SHAPES[number]), labels)
    if answers[number].get(target) != "firing":
        answers[number][target] = labels["alertstate"]


def _target(rule: Translated, labels: Mapping[str, str]) -> str:
    by = conditions.grouping(rule.condition)
    if by:
        return ",".join(f"{label}={labels[label]}" for label in by)
    return rule.target if rule.target != "*" else labels[rule.target_tag or "instance"]


class Stored:
    """What Vigil has stored by each tick, for policies that name their targets by one tag."""

    def __init__(self, written: Sequence[tuple[str, str]]) -> None:
        self._series = tuple(_read(written))
        self._known: dict[tuple[str, int], tuple[TargetData, ...]] = {}

    def by(self, tag: str, tick: int) -> tuple[TargetData, ...]:
        if (tag, tick) not in self._known:
            self._known[tag, tick] = tuple(self._targets(tag, BEGIN + tick * EVERY))
        return self._known[tag, tick]

    def _targets(self, tag: str, at: datetime) -> Iterator[TargetData]:
        targets: dict[str, dict[str, list[Series]]] = {}
        for one in self._series:
            seen = tuple(sample for sample in one.samples if sample.at <= at)
            known = targets.setdefault(one.tags[tag], {})
            if seen:
                known.setdefault(one.name, []).append(replace(one, samples=seen))
        for target, found in targets.items():
            yield TargetData(target=target, series={metric: tuple(many) for metric, many in found.items()})


def vigil(shape: Shape, stored: Stored) -> list[dict[str, str]]:
    """By tick: the state of each target's incident, judged by the engine every minute."""
    rule = translated(shape)
    timings = Timings(
        hold_for=conditions.top_level_hold(rule.condition),
        keep_open_for=notation.length(shape.keep),
        on_no_data=OnNoData.RESOLVE,
        max_gap=2 * EVERY,
    )
    states: dict[str, IncidentState] = {}
    ticks = []
    for tick in range(TICKS):
        at = BEGIN + tick * EVERY
        fleet = [one for one in stored.by(rule.target_tag or "instance", tick) if rule.target in ("*", one.target)]
        for target, verdict in _verdicts(rule, fleet, states, at).items():
            states[target] = lifecycle.advance(states.get(target, IncidentState()), verdict, at, timings).state
        ticks.append({target: _word(state) for target, state in states.items() if state.status is not Status.NONE})
    return ticks


def _word(state: IncidentState) -> str:
    return "firing" if state.status is Status.OPEN else "pending"


def _verdicts(
    rule: Translated, fleet: Sequence[TargetData], states: Mapping[str, IncidentState], at: datetime
) -> dict[str, Verdict]:
    bad = [target for target, state in states.items() if state.was_violated]
    if conditions.grouping(rule.condition):
        whole = FleetData(targets=tuple(fleet))
        return evaluation.evaluate_groups(
            rule.condition, whole, at=at, staleness=USUAL_STALENESS, was_violated=bad, expected=list(states)
        )
    return {
        data.target: evaluation.evaluate(
            rule.condition, data, at=at, staleness=USUAL_STALENESS, was_violated=data.target in bad
        )
        for data in fleet
    }


def _read(written: Sequence[tuple[str, str]]) -> Iterator[Series]:
    for name, values in written:
        told = notation.named(name)
        samples = tuple(
            Sample(id=place, at=BEGIN + timedelta(seconds=SAMPLED * place), value=value)
            for place, value in enumerate(notation.values(values))
            if value is not None
        )
        yield Series(name=told.name, tags=told.tags, samples=samples)
