"""Several series of one target become one answer."""

import pytest

from policies.engine.values import Outcome, Series
from tests.unit.policies.builders import judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN


def disks(*values: float) -> tuple[Series, ...]:
    return tuple(series("disk", [value], mount=f"/{place}", host="a") for place, value in enumerate(values))


@pytest.mark.parametrize(
    ("sentence", "values", "expected"),
    [
        ("disk > 90", (95, 10), V),
        ("disk > 90", (85, 10), H),
        ("disk > 90 on any series", (95, 10), V),
        ("disk > 90 on all series", (95, 10), H),
        ("disk > 90 on all series", (95, 91), V),
        ("avg(disk) > 50", (95, 10), V),
        ("avg(disk) > 60", (95, 10), H),
        ("sum(disk) > 100", (95, 10), V),
        ("sum(disk) > 105", (95, 10), H),
        ("min(disk) < 20", (95, 10), V),
        ("max(disk) < 20", (95, 10), H),
        ("count(disk) == 2", (95, 10), V),
        ("count(disk) < 2", (95, 10), H),
        ("sum(max(disk, 5m)) > 100", (95, 10), V),
    ],
)
def test_each_way_to_join_series(sentence: str, values: tuple[float, ...], expected: Outcome) -> None:
    assert outcome(sentence, target(*disks(*values))) is expected


def test_the_worst_series_is_named_by_the_tags_in_which_they_differ() -> None:
    verdict = judge("disk > 90", target(*disks(92, 97, 10)))
    assert verdict.reason == 'disk{mount="/1"} 97 > 90'
    assert verdict.value == 97


def test_all_series_are_judged_by_the_mildest() -> None:
    assert judge("disk > 90 on all series", target(*disks(92, 97))).reason == (
        'disk{mount="/0"} 92 > 90, as on all 2 series'
    )


def test_a_joined_number_keeps_its_own_name() -> None:
    assert judge("sum(disk) > 100", target(*disks(92, 97))).reason == "sum(disk) 189 > 100"


def test_a_sum_that_overflows_is_unknown() -> None:
    assert outcome("sum(disk) > 100", target(*disks(1.7e308, 1.7e308))) is U


def test_a_stale_series_has_no_say() -> None:
    data = target(series("disk", [95], newest=400, mount="/"), series("disk", [10], mount="/data"))
    assert outcome("disk > 90", data) is H
    assert judge("count(disk) > 0", data).value == 1


@pytest.mark.parametrize(
    ("last", "age", "expected"),
    [(95, 400, U), (95, 3600, U), (95, 3601, H), (50, 400, H)],
    ids=["died in trouble", "within an hour", "long gone", "died healthy"],
)
def test_while_violated_a_series_that_died_in_trouble_is_no_fix(last: float, age: float, expected: Outcome) -> None:
    data = target(series("disk", [last], newest=age, mount="/"), series("disk", [10], mount="/data"))
    assert outcome("disk > 90", data, was_violated=True) is expected


def test_a_windowed_series_that_died_is_judged_by_its_last_window() -> None:
    climbing = series("errors", [0, 100, 200], newest=400, pod="a")
    data = target(climbing, series("errors", [5, 5, 5], pod="b"))
    assert outcome("rate(errors, 1m) > 1", data, was_violated=True) is U
    assert outcome("rate(errors, 1m) > 10", data, was_violated=True) is H
