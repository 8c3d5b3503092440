"""A batch that travels a column at a time ends as one that is stored row by row."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from metrics import columns, ingest, rollups, rows, series
from metrics.formats.reading import Reading
from metrics.models import LateSample, Sample, Series
from tests.integration.metrics.cast import NOON, ago
from vigil.kernel import statements
from vigil.kernel.postgresql import arrays

pytestmark = [pytest.mark.django_db, pytest.mark.postgres_only]

HOSTS = 60
SEVERAL = 200
type Outcome = tuple[list[bool], list[tuple[float | None, datetime | None]], set[tuple[str, int]]]


@pytest.fixture
def by_columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many samples were copied a column at a time."""
    copied: list[int] = []
    copy = columns.copy

    def counting(ids: Sequence[int], *rest: Any) -> None:
        copied.append(len(ids))
        copy(ids, *rest)

    monkeypatch.setattr(columns, "copy", counting)
    return lambda: sum(copied)


@pytest.mark.parametrize("numbers", [[], [0], [1, -1, 2**63 - 1, -(2**63)], list(range(1_000))], ids=len)
def test_whole_numbers_arrive_as_they_were(numbers: list[int]) -> None:
    with statements.planned(connection) as cursor:
        cursor.execute("SELECT %s", [arrays.whole(numbers)])
        assert cursor.fetchone() == (numbers,)


@pytest.mark.parametrize("numbers", [[], [0.1, -1e308, 5e-324, 1e22], [n / 7 for n in range(1_000)]], ids=len)
def test_real_numbers_arrive_as_they_were(numbers: list[float]) -> None:
    with statements.planned(connection) as cursor:
        cursor.execute("SELECT %s", [arrays.real(numbers)])
        assert cursor.fetchone() == (numbers,)


def test_ids_rise_and_are_given_once() -> None:
    first, second = columns.take_ids(5), columns.take_ids(3)
    assert (len(set(first)), len(set(second))) == (5, 3)
    assert list(first) == sorted(first)
    assert max(first) < min(second)


def test_samples_keep_their_values_and_times_to_the_microsecond(by_columns: Callable[[], int]) -> None:
    store("a", [(host, 0.0, 0.0) for host in range(HOSTS)] * 2)
    sent = [(number % HOSTS, number / 7, number * 1.000_001) for number in range(SEVERAL)]
    before = by_columns()
    stored = store("a", sent)
    assert by_columns() == before + SEVERAL
    for one, (_, value, seconds) in zip(stored.samples[:20], sent[:20], strict=True):
        row = Sample.objects.get(pk=one.id)
        assert (row.series_id, row.value, row.at, row.received_at) == (one.series_id, value, ago(seconds), NOON)


@pytest.mark.parametrize("seed", range(4))
def test_it_ends_as_row_by_row(seed: int, monkeypatch: pytest.MonkeyPatch, by_columns: Callable[[], int]) -> None:
    rollups.advance(at=NOON - timedelta(minutes=1))
    chance = random.Random(seed)
    batches = [
        [(chance.randrange(HOSTS), chance.random(), float(chance.randrange(600))) for _ in range(SEVERAL)]
        for _ in range(2)
    ]
    everyone = [(host, 0.0, 300.0) for host in range(HOSTS)]
    store("a", everyone)
    before = by_columns()
    one = [outcome("a", batch) for batch in batches]
    assert by_columns() == before + 2 * SEVERAL
    monkeypatch.setattr(rows, "COPY_FROM", 1_000_000)
    store("b", everyone)
    assert [outcome("b", batch) for batch in batches] == one
    assert any(late for lates, _, _ in one for late in lates)


def test_a_series_that_was_dropped_meanwhile_is_made_again(by_columns: Callable[[], int]) -> None:
    sent = [(host, 1.0, 0.0) for host in range(HOSTS)] * 2
    store("a", sent)
    store("a", sent)
    assert by_columns()
    Series.objects.filter(tags={"host": "web-7"}).delete()
    stored = store("a", sent)
    assert {one.series_id for one in stored.samples} == set(Series.objects.values_list("id", flat=True))
    assert len({one.series_id for one in stored.samples}) == HOSTS


def test_one_whose_row_is_another_now_is_not_written_to() -> None:
    sent = [(host, 1.0, 0.0) for host in range(HOSTS)] * 2
    store("a", sent)
    other = Series.objects.get(tags={"host": "web-7"})
    Series.objects.filter(pk=other.pk).update(tags={"host": "another"}, tags_hash=series.digest(("a", ())))
    stored = store("a", sent)
    assert other.pk not in {one.series_id for one in stored.samples}


def store(name: str, sent: list[tuple[int, float, float]]) -> ingest.Stored:
    readings = [Reading(name, value, {"host": f"web-{host}"}, ago(seconds)) for host, value, seconds in sent]
    return ingest.store(readings=readings, at=NOON)


def outcome(name: str, sent: list[tuple[int, float, float]]) -> Outcome:
    """What each sample was said to be, what the series remember, and which minutes are to be rolled up again."""
    late = [one.late for one in store(name, sent).samples]
    kept = Series.objects.filter(name=name).order_by("target")
    hosts = {one.pk: one.target for one in kept}
    noted = LateSample.objects.filter(series_id__in=hosts).values_list("series_id", "minute")
    newest = [(one.last_value, one.last_at) for one in kept]
    for one in kept[:5]:
        assert one.last_sample_id is not None
        assert Sample.objects.get(pk=one.last_sample_id).value == one.last_value
    return late, newest, {(hosts[number], minute) for number, minute in noted}
