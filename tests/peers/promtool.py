"""Ask a real Prometheus, through `promtool test rules`, what expressions and alerts are worth on samples we choose."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

type Labels = frozenset[tuple[str, str]]
type Vector = Mapping[Labels, float]

EVERY = 30
"""Seconds between two evaluations of the alerting rules."""
_FAILURE = re.compile(
    r'^    expr: "(?P<expr>(?:[^"\\]|\\.)*)", time: (?P<time>\S+),\n +exp: nil\n +got: (?P<got>.*)$', re.M
)
_SAMPLE = re.compile(r"\{(?P<labels>[^}]*)\} (?P<value>\S+?)(?:, |$)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Rule:
    name: str
    expr: str
    hold_for: int = 0
    keep_firing_for: int = 0

    def document(self) -> dict[str, object]:
        held = {"for": f"{self.hold_for}s"} if self.hold_for else {}
        kept = {"keep_firing_for": f"{self.keep_firing_for}s"} if self.keep_firing_for else {}
        return {"alert": self.name, "expr": self.expr, **held, **kept}


def ask(
    *,
    series: Mapping[str, str],
    rules: Sequence[Rule],
    questions: Iterable[tuple[str, int]],
    directory: Path,
) -> dict[tuple[str, int], Vector]:
    """The vector of each (expression, second); an empty one for what has no result.

    promtool is told to expect nothing, so it prints everything there is as a mismatch, with all digits.
    """
    asked = list(questions)
    tests = [{"expr": expr, "eval_time": f"{second}s", "exp_samples": []} for expr, second in asked]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    (directory / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "oracle", "rules": [rule.document() for rule in rules]}]})
    )
    (directory / "tests.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["rules.yml"],
                "evaluation_interval": f"{EVERY}s",
                "tests": [{"interval": "1s", "input_series": inputs, "promql_expr_test": tests}],
            },
            width=1_000_000,
        )
    )
    told = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = _read(told.stdout + told.stderr)
    spelled = {(expr, _spelled(second)) for expr, second in asked}
    assert found.keys() <= spelled, told.stdout[-2000:] + told.stderr[-2000:]
    assert found or told.returncode == 0, told.stderr[-2000:]
    return {(expr, second): found.get((expr, _spelled(second)), {}) for expr, second in asked}


def _read(output: str) -> dict[tuple[str, str], Vector]:
    assert ", err: " not in output, output[-2000:]
    return {
        (match["expr"].replace('\\"', '"'), match["time"]): {
            frozenset(_LABEL.findall(sample["labels"])): float(sample["value"])
            for sample in _SAMPLE.finditer(match["got"])
        }
        for match in _FAILURE.finditer(output)
    }


def _spelled(seconds: int) -> str:
    """As Prometheus spells a duration: 90 is `1m30s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return "".join(f"{amount}{unit}" for amount, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if amount) or "0s"
