"""The rules and the fleet that Vigil and Prometheus are both given."""

from collections.abc import Iterator
from typing import NamedTuple

METRIC = "cpu_percent"
EVERY_SECONDS = 15
WINDOW_SECONDS = 300
BAD_HOSTS = 1_000
"""One host in so many is bad..."""
BAD_RULES = 20
"""...by one rule in so many."""
type Shape = tuple[tuple[str, str], ...]
SHAPES: dict[str, Shape] = {
    "average, largest, smallest, newest": (
        ("avg({metric}, 5m)", "avg_over_time({metric}[5m])"),
        ("max({metric}, 5m)", "max_over_time({metric}[5m])"),
        ("min({metric}, 5m)", "min_over_time({metric}[5m])"),
        ("{metric}", "{metric}"),
    ),
    "rate, p95, p50, stddev": (
        ("rate({metric}, 5m)", "rate({metric}[5m])"),
        ("p95({metric}, 5m)", "quantile_over_time(0.95, {metric}[5m])"),
        ("p50({metric}, 5m)", "quantile_over_time(0.5, {metric}[5m])"),
        ("stddev({metric}, 5m)", "stddev_over_time({metric}[5m])"),
    ),
}
"""What the rules look at, a quarter of them each."""


class Rule(NamedTuple):
    """One rule in both languages."""

    name: str
    sentence: str
    promql: str


def rules(shape: str, count: int) -> list[Rule]:
    """So many rules, every one with a threshold of its own."""
    return [_rule(SHAPES[shape], number) for number in range(count)]


def _rule(shape: Shape, number: int) -> Rule:
    bad = number % BAD_RULES == 0
    limit = f"> {120 + number / 100 if bad else 200 + number / 100:g}"
    sentence, promql = (text.format(metric=METRIC) for text in shape[number // BAD_RULES % len(shape)])
    return Rule(f"bench-{number}", f"{sentence} {limit}", f"{promql} {limit}")


def hosts(count: int) -> Iterator[str]:
    """Their names."""
    return (f"web-{number:06}" for number in range(count))


def value(host: int, sample: int) -> float:
    """What host number `host` says: something under 100, or 150 when it is bad."""
    return 150.0 if host % BAD_HOSTS == 0 else (host * 7 + sample * 13) % 97 + 0.5
