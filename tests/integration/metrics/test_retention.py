from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from time_machine import TimeMachineFixture

from metrics import ingest, retention, tasks
from metrics.formats.reading import Reading
from metrics.models import Event, IngestReceipt, Sample, Series
from tests.integration.metrics.cast import NOON, event, sample
from vigil import schedule
from vigil.periodic.models import PeriodicRun

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def two_weeks(settings: Settings) -> None:
    settings.VIGIL_RETENTION_DAYS = 14


def test_what_is_older_than_the_retention_goes() -> None:
    sample(1.0, at=NOON - 15 * DAY)
    event(at=NOON - 15 * DAY)
    kept = sample(2.0, at=NOON - 13 * DAY)
    assert retention.prune(at=NOON) == 2
    assert [one.pk for one in Sample.objects.all()] == [kept.id]
    assert not Event.objects.exists()


def test_exactly_the_retention_is_kept() -> None:
    sample(at=NOON - 14 * DAY)
    assert retention.prune(at=NOON) == 0


def test_a_series_goes_with_its_last_sample() -> None:
    sample(host="gone", at=NOON - 15 * DAY)
    sample(host="stays", at=NOON - DAY)
    retention.prune(at=NOON)
    assert [one.target for one in Series.objects.all()] == ["stays"]


def test_a_series_that_never_had_a_sample_goes_too() -> None:
    Series.objects.create(name="a", tags_hash="h", target="a", created_at=NOON - 15 * DAY)
    young = Series.objects.create(name="b", tags_hash="h", target="a", created_at=NOON)
    retention.prune(at=NOON)
    assert [one.pk for one in Series.objects.all()] == [young.pk]


def test_a_series_is_not_dropped_before_its_samples_are() -> None:
    for number in range(10):
        sample(at=NOON - 15 * DAY + timedelta(seconds=number))
    retention.prune(at=NOON, batch=4, max_batches=1)
    assert (Sample.objects.count(), Series.objects.count()) == (6, 1)


def test_one_call_drops_a_bounded_number() -> None:
    old = NOON - 15 * DAY
    ingest.store(readings=[Reading("a", 1.0, {"n": str(number)}) for number in range(25)], at=old)
    first = retention.prune(at=NOON, batch=5, max_batches=2)
    assert Sample.objects.count() == 15
    assert first + retention.prune(at=NOON, batch=5, max_batches=100) == 25 + 25
    assert (Sample.objects.count(), Series.objects.count()) == (0, 0)


def test_every_statement_drops_at_most_a_batch() -> None:
    ingest.store(readings=[Reading("a", float(number)) for number in range(25)], at=NOON - 15 * DAY)
    with CaptureQueriesContext(connection) as captured:
        retention.prune(at=NOON, batch=10)
    drops = [one["sql"] for one in captured if one["sql"].replace('"', "").startswith("DELETE FROM metrics_sample")]
    assert len(drops) == 3
    assert all("LIMIT 10" in sql for sql in drops)


def test_a_call_that_takes_long_leaves_the_rest_to_the_next_but_everything_gets_its_turn() -> None:
    for number in range(6):
        sample(at=NOON - 15 * DAY + timedelta(seconds=number))
        event(at=NOON - 15 * DAY)
    Series.objects.create(name="b", tags_hash="h", target="a", created_at=NOON - 15 * DAY)
    assert retention.prune(at=NOON, batch=2, patience=timedelta(0)) == 2 + 2 + 1
    assert (Sample.objects.count(), Event.objects.count()) == (4, 4)
    assert retention.prune(at=NOON, batch=2) == 4 + 4 + 1


def test_the_oldest_go_first() -> None:
    for days in (16, 18, 17):
        sample(float(days), at=NOON - days * DAY)
    retention.prune(at=NOON, batch=1, max_batches=2)
    assert [one.value for one in Sample.objects.all()] == [16.0]


def test_receipts_are_kept_for_a_day() -> None:
    for hours in (25, 23):
        IngestReceipt.objects.create(
            actor="key:a", key=f"k{hours}", digest="d", created_at=NOON - timedelta(hours=hours), status=201
        )
    retention.prune(at=NOON)
    assert [one.key for one in IngestReceipt.objects.all()] == ["k23"]


def test_a_series_that_was_pruned_comes_back_with_its_next_sample() -> None:
    first = sample(at=NOON - 15 * DAY)
    retention.prune(at=NOON)
    again = sample(at=NOON)
    assert Series.objects.get().pk == again.series_id
    assert Sample.objects.filter(series_id=first.series_id).count() == (first.series_id == again.series_id)


def test_the_task_runs_once_in_its_slot(time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(NOON, tick=False)
    sample(at=NOON - 15 * DAY)
    tasks.prune()
    sample(at=NOON - 15 * DAY)
    tasks.prune(unknown_argument_of_a_newer_version=1)
    assert Sample.objects.count() == 1
    assert PeriodicRun.objects.filter(job="metrics.prune").count() == 1


def test_beat_and_task_mean_the_same_slot() -> None:
    (job,) = [job for job in schedule.jobs() if job.name == "metrics.prune"]
    assert job.interval == tasks.PRUNE_EVERY
