import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from metrics import ingest, series
from metrics.formats.reading import EventReading, Reading
from metrics.models import Event, Sample, Series
from tests.integration.metrics.cast import NOON, ago, event, sample

pytestmark = pytest.mark.django_db


def readings(count: int, *, name: str = "cpu_usage") -> list[Reading]:
    return [Reading(name, number + 0.5, {"host": f"web-{number}"}, NOON) for number in range(count)]


def test_a_reading_is_stored_with_its_target() -> None:
    stored = sample(87.5, host="web-01")
    row = Sample.objects.get(pk=stored.id)
    assert (row.value, row.at, row.series_id) == (87.5, NOON, stored.series_id)
    assert (stored.target, stored.tags, stored.late) == ("web-01", {"host": "web-01"}, False)


def test_without_a_time_the_arrival_counts() -> None:
    stored = ingest.store(readings=[Reading("a", 1.0), EventReading("b")], at=NOON)
    assert stored.samples[0].at == stored.events[0].at == NOON


def test_a_clock_a_little_fast_counts_as_now() -> None:
    ahead = NOON + timedelta(seconds=40)
    stored = ingest.store(readings=[Reading("a", 1.0, {}, ahead), EventReading("b", at=ahead)], at=NOON)
    assert stored.samples[0].at == stored.events[0].at == NOON


def test_answers_come_in_the_order_of_the_readings() -> None:
    sent = list(reversed(readings(300)))
    stored = ingest.store(readings=sent, at=NOON).samples
    assert [(one.value, one.tags) for one in stored] == [(one.value, one.tags) for one in sent]
    assert [Sample.objects.get(pk=one.id).value for one in stored[:5]] == [one.value for one in sent[:5]]


def test_the_largest_batch_fits_into_one_call() -> None:
    stored = ingest.store(readings=readings(5_000), at=NOON).samples
    assert len({one.id for one in stored}) == Sample.objects.count() == Series.objects.count() == 5_000
    assert Sample.objects.get(pk=stored[4_321].id).value == 4_321.5


def test_the_order_of_tags_makes_no_second_series() -> None:
    one = ingest.store(readings=[Reading("a", 1.0, {"x": "1", "y": "2"})], at=NOON).samples[0]
    two = ingest.store(readings=[Reading("a", 1.0, {"y": "2", "x": "1"})], at=NOON).samples[0]
    assert one.series_id == two.series_id


def test_names_and_tags_cannot_be_confused() -> None:
    sent = [
        Reading("a", 1.0, {"b": "c"}),
        Reading("a", 1.0, {"b": 'c","d":"e'}),
        Reading("a", 1.0, {"b": "c", "d": "e"}),
    ]
    assert len({one.series_id for one in ingest.store(readings=sent, at=NOON).samples}) == 3


def test_a_known_batch_takes_the_same_few_statements_however_large() -> None:
    counts = []
    for size in (1, 500, 1_000):
        ingest.store(readings=readings(size), at=NOON)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            ingest.store(readings=readings(size), at=NOON)
        counts.append(len([one for one in queries if "SAVEPOINT" not in one["sql"]]))
    assert counts[0] <= counts[1] == counts[2] <= 4


@pytest.mark.parametrize(
    ("seconds_old", "late"), [(0, False), (299, False), (301, True)], ids=["now", "within staleness", "stale"]
)
def test_what_arrives_after_the_staleness_is_late(seconds_old: int, late: bool) -> None:
    stored = ingest.store(readings=[Reading("a", 1.0, {}, ago(seconds_old))], at=NOON)
    assert stored.samples[0].late is late


def test_a_sample_behind_a_newer_one_is_late_and_changes_nothing() -> None:
    newest = sample(9.0, at=NOON)
    behind = ingest.store(readings=[Reading("cpu_usage", 1.0, {"host": "web-1"}, ago(10))], at=NOON).samples[0]
    row = Series.objects.get(pk=newest.series_id)
    assert behind.late
    assert (row.last_value, row.last_at, row.last_sample_id) == (9.0, NOON, newest.id)


def test_of_two_samples_of_one_time_the_later_one_counts() -> None:
    sample(1.0, at=NOON)
    second = sample(2.0, at=NOON)
    row = Series.objects.get(pk=second.series_id)
    assert not second.late
    assert (row.last_value, row.last_sample_id) == (2.0, second.id)


def test_within_a_batch_only_the_newest_is_remembered() -> None:
    sent = [Reading("a", value, {}, ago(seconds)) for value, seconds in [(1.0, 30), (3.0, 10), (2.0, 20)]]
    stored = ingest.store(readings=sent, at=NOON).samples
    assert [one.late for one in stored] == [False, False, True]
    assert Series.objects.get().last_value == 3.0


def test_an_event_keeps_its_payload() -> None:
    row = Event.objects.get(pk=event().id)
    assert (row.name, row.severity, row.target, row.payload) == (
        "deploy_failed",
        "critical",
        "web-1",
        {"commit": "ab12"},
    )


@pytest.mark.parametrize(
    ("tags", "target"),
    [
        ({}, "default"),
        ({"region": "eu"}, "default"),
        ({"instance": "i", "host": "h"}, "h"),
        ({"host": "h", "pod": "p", "deployment": "d", "service": "s"}, "s"),
        ({"host": "h", "target": "t"}, "t"),
    ],
)
def test_the_first_tag_of_the_setting_names_the_target(tags: dict[str, str], target: str) -> None:
    assert ingest.store(readings=[Reading("a", 1.0, tags)], at=NOON).samples[0].target == target


def test_a_setting_says_which_tag_names_the_target(settings: Settings) -> None:
    settings.VIGIL_TARGET_TAGS = ["region"]
    assert (
        ingest.store(readings=[EventReading("a", tags={"host": "h", "region": "eu"})], at=NOON).events[0].target == "eu"
    )


def test_too_many_series_are_refused_and_nothing_is_stored(settings: Settings) -> None:
    settings.VIGIL_CARDINALITY_MAX = 3
    ingest.store(readings=readings(2), at=NOON)
    with pytest.raises(ingest.CardinalityExceeded) as refused:
        ingest.store(readings=readings(4), at=NOON)
    assert (refused.value.status, refused.value.code) == (429, "cardinality")
    assert refused.value.retry_after is not None
    assert (Series.objects.count(), Sample.objects.count()) == (2, 2)


def test_series_that_went_make_room_for_others(settings: Settings) -> None:
    settings.VIGIL_CARDINALITY_MAX = 3
    for host in ("a", "b", "c"):
        sample(1.0, host=host)
    Series.objects.filter(target="b").delete()
    sample(1.0, host="d")
    with pytest.raises(ingest.CardinalityExceeded):
        sample(1.0, host="e")


def test_one_sender_may_bring_so_many_new_series_a_day(settings: Settings) -> None:
    settings.VIGIL_NEW_SERIES_PER_KEY = 2
    at = datetime(2026, 5, 1, 23, 59, tzinfo=UTC)

    def bring(*hosts: str, actor: str, at: datetime = at) -> None:
        ingest.store(readings=[Reading("cpu", 1, {"host": host}) for host in hosts], at=at, actor=actor)

    bring("a", "b", actor="key:one")
    bring("a", "b", actor="key:one")  # these are there
    with pytest.raises(ingest.CardinalityExceeded, match="key:one may bring 2 new series a day, and with these"):
        bring("a", "c", actor="key:one")
    assert Sample.objects.count() == 4
    bring("c", actor="key:two")
    bring("c", actor="key:one")
    bring("d", "e", actor="key:one", at=at + timedelta(minutes=1))  # tomorrow
    assert Series.objects.count() == 5


def test_readings_that_share_a_commit_count_for_their_own_senders(settings: Settings) -> None:
    settings.VIGIL_NEW_SERIES_PER_KEY = 1
    at = datetime(2026, 5, 1, tzinfo=UTC)
    two = [(Reading("cpu", 1, {"host": host}), at) for host in ("a", "b")]
    ingest.store_together(readings=two, actors=["key:one", "key:two"])
    more = [(Reading("cpu", 1, {"host": host}), at) for host in ("a", "c")]
    with pytest.raises(ingest.CardinalityExceeded, match="key:two"):
        ingest.store_together(readings=more, actors=["key:one", "key:two"])


def test_known_series_go_on_when_there_are_too_many(settings: Settings) -> None:
    ingest.store(readings=readings(3), at=NOON)
    settings.VIGIL_CARDINALITY_MAX = 1
    assert len(ingest.store(readings=readings(3), at=NOON).samples) == 3


def test_a_series_that_was_rolled_back_is_made_again() -> None:
    with transaction.atomic():
        sample(1.0, name="a")
        transaction.set_rollback(True)
    sample(5.0, name="b")  # may well get the id that "a" had
    again = sample(2.0, name="a")
    assert Series.objects.get(pk=again.series_id).name == "a"
    assert Series.objects.get(name="a").last_value == 2.0


def test_a_series_that_was_dropped_is_made_again() -> None:
    first = sample()
    Sample.objects.all().delete()
    Series.objects.all().delete()
    assert Series.objects.get(pk=sample().series_id).pk != first.series_id or True
    assert Series.objects.count() == 1


def test_a_process_remembers_a_bounded_number_of_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "REMEMBERED_MOST", 100)
    ingest.store(readings=readings(500), at=NOON)
    assert len(series._remembered) <= 100
    assert len(ingest.store(readings=readings(500), at=NOON).samples) == 500
    assert Series.objects.count() == 500


def test_a_series_with_very_long_tags_is_not_remembered_and_works_all_the_same() -> None:
    long = Reading("a", 1.0, {f"k{number}": "v" * 256 for number in range(32)})
    ids = {ingest.store(readings=[long], at=NOON).samples[0].series_id for _ in range(2)}
    assert len(ids) == 1
    assert series.key_of(long.name, long.tags) not in series._remembered


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_each_series_once() -> None:
    sent = readings(50)
    failures: list[BaseException] = []

    def store(backwards: bool) -> None:
        try:
            series.forget([series.key_of(one.name, one.tags) for one in sent])
            ingest.store(readings=sent[::-1] if backwards else sent, at=NOON)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=store, args=(number % 2 == 0,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (Series.objects.count(), Sample.objects.count()) == (50, 400)
    assert not Sample.objects.exclude(series_id__in=Series.objects.values("id")).exists()


def test_a_value_the_database_refuses_stores_nothing_of_the_batch() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ingest.store(readings=[Reading("a", 1.0), Reading("b", float("inf"))], at=NOON)
    assert not Sample.objects.exists()


def test_a_future_sample_does_not_stop_the_next_from_counting_when_it_is_newer() -> None:
    sample(1.0, at=NOON + timedelta(seconds=30))
    assert not sample(2.0, at=NOON + timedelta(seconds=31)).late
