"""Rollups say what the samples say, however these came; and questions about long times are answered from them."""

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings
from time_machine import TimeMachineFixture

from metrics import ingest, partitions, ranges, resolutions, retention, rollups, tasks
from metrics.formats.reading import Reading
from metrics.models import LateSample, Rollup1h, Rollup1m, Rollup5m, RollupProgress, Sample
from metrics.ranges import Answer, Range
from tests.integration.metrics.cast import NOON, sample
from vigil import schedule
from vigil.kernel.errors import Invalid

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LATER = NOON + 6 * HOUR
"""When the samples of noon and the hours after it have long been rolled up."""


def asked(aggregate: str = "avg", *, step: timedelta = HOUR, since: datetime = NOON - DAY, **more: datetime) -> Answer:
    until = more.get("until", LATER)
    return ranges.read(
        Range(
            metric="cpu_usage",
            target="",
            since=since,
            until=until,
            step=step,
            aggregate=aggregate,
            at=more.get("at", until),
        )
    )


def points(answer: Answer) -> list[tuple[datetime, float]]:
    return [point for one in answer.series for point in one.points]


def arrive(moments: Sequence[datetime], *, value: float = 1.0, host: str = "web-1", at: datetime = LATER) -> None:
    readings = [Reading("cpu_usage", value, {"host": host}, moment) for moment in moments]
    ingest.store(readings=readings, at=at)


def expected(aggregate: str, step: timedelta, since: datetime, until: datetime) -> dict[tuple[int, datetime], float]:
    """What the samples themselves say, by series and step, worked out here."""
    seconds = int(step.total_seconds())
    found: dict[tuple[int, datetime], list[Sample]] = defaultdict(list)
    for row in Sample.objects.filter(at__gte=since, at__lte=until).order_by("at", "id"):
        found[row.series_id, datetime.fromtimestamp(row.at.timestamp() // seconds * seconds, UTC)].append(row)
    gather: dict[str, Callable[[list[float]], float]] = {
        "avg": lambda values: sum(values) / len(values),
        "min": min,
        "max": max,
        "sum": sum,
        "count": len,
        "last": lambda values: values[-1],
    }
    return {key: gather[aggregate]([row.value for row in rows]) for key, rows in found.items()}


def told(answer: Answer, ids: Sequence[int]) -> dict[tuple[int, datetime], float]:
    return {(number, at): value for number, one in zip(ids, answer.series, strict=True) for at, value in one.points}


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_is_the_same_as_from_the_samples(seed: int) -> None:
    dice = random.Random(seed)
    begin = NOON - 3 * HOUR
    ids = sorted({sample(host=host, at=begin - DAY).series_id for host in ("a", "b", "c")})
    for minutes in sorted(dice.sample(range(1, 360), 12)):
        now = begin + minutes * MINUTE
        for host in ("a", "b", "c"):
            late = dice.random() < 0.3
            ages = [
                dice.choice([0, 0.25, 30, 59.999999, 3_600, 7_200]) if late else dice.uniform(0, 600) for _ in "123"
            ]
            moments = [now - timedelta(seconds=age) for age in ages]
            arrive(moments, value=dice.uniform(-5, 5), host=host, at=now)
        if dice.random() < 0.7:
            rollups.advance(at=now)
    rollups.advance(at=LATER)
    for step in (MINUTE, 5 * MINUTE, HOUR, 2 * HOUR):
        since = begin - dice.choice([timedelta(0), 61 * MINUTE, timedelta(seconds=90.5)])
        until = begin + dice.choice([4 * HOUR, 301 * MINUTE, timedelta(seconds=9_999.25)])
        for aggregate in ranges.FROM_ROLLUPS:
            answer = asked(aggregate, step=step, since=since, until=until, at=LATER)
            assert answer.resolution > timedelta(0)
            assert told(answer, ids) == pytest.approx(expected(aggregate, step, since, until), abs=1e-12)


@pytest.mark.parametrize(
    ("step", "resolution"),
    [
        (30 * timedelta(seconds=1), timedelta(0)),
        (timedelta(seconds=90), timedelta(0)),
        (MINUTE, MINUTE),
        (3 * MINUTE, MINUTE),
        (10 * MINUTE, 5 * MINUTE),
        (HOUR, HOUR),
        (DAY, HOUR),
    ],
)
def test_the_coarsest_rollup_that_fits_the_step_is_read(step: timedelta, resolution: timedelta) -> None:
    arrive([NOON + minutes * MINUTE for minutes in range(120)])
    rollups.advance(at=LATER)
    answer = asked("count", step=step)
    assert answer.resolution == resolution
    assert sum(value for _, value in points(answer)) == 120


def test_rollups_answer_when_the_samples_are_gone() -> None:
    arrive([NOON + minutes * MINUTE for minutes in range(60)])
    rollups.advance(at=LATER)
    Sample.objects.all().delete()
    assert points(asked("count")) == [(NOON, 60.0)]


def test_what_is_no_longer_kept_is_told(settings: Settings) -> None:
    settings.VIGIL_RETENTION_DAYS, settings.VIGIL_ROLLUP_1H_DAYS = 14, 400
    long_ago = LATER - 500 * DAY
    assert asked(step=HOUR, since=LATER - 30 * DAY).missing_before is None
    assert asked(step=timedelta(seconds=7), since=LATER - 1 * DAY).missing_before is None
    assert asked(step=timedelta(seconds=1_000), since=LATER - 30 * DAY).missing_before == LATER - 14 * DAY
    assert asked(step=DAY, since=long_ago).missing_before == LATER - 400 * DAY


def test_what_rollups_cannot_tell_comes_from_samples_while_these_are_kept(settings: Settings) -> None:
    settings.VIGIL_RETENTION_DAYS = 14
    for value in (1.0, 2.0, 4.0):
        arrive([NOON + value * MINUTE], value=value)
    rollups.advance(at=LATER)
    answer = asked("p50", since=LATER - 30 * DAY)
    assert points(answer) == [(NOON, 2.0)]
    assert (answer.resolution, answer.missing_before) == (timedelta(0), LATER - 14 * DAY)
    with pytest.raises(Invalid, match=r"p50 needs samples, which are kept since 2026-01-05T18:00:00Z; .* avg, min"):
        asked("p50", until=LATER - 15 * DAY, since=LATER - 16 * DAY, at=LATER)


def test_so_many_samples_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "SAMPLES_MOST", 2)
    arrive([NOON, NOON + MINUTE])
    assert points(asked("stddev")) == [(NOON, 0.0)]
    arrive([NOON + 2 * MINUTE])
    with pytest.raises(Invalid, match="more than 2 samples"):
        asked("stddev")


def test_a_database_that_had_samples_before_gets_their_rollups_too() -> None:
    arrive([NOON - 3 * DAY + minutes * MINUTE for minutes in range(180)])
    rollups.advance(at=LATER)
    Sample.objects.all().delete()
    assert [value for _, value in points(asked("count", since=NOON - 4 * DAY))] == [60.0, 60.0, 60.0]


def test_a_late_sample_counts_in_every_rollup_of_its_time() -> None:
    arrive([NOON])
    rollups.advance(at=LATER)
    arrive([NOON + 30 * timedelta(seconds=1)], value=7.0)
    assert LateSample.objects.count() == 1
    rollups.advance(at=LATER)
    assert not LateSample.objects.exists()
    for model in (Rollup1m, Rollup5m, Rollup1h):
        row = model.objects.get()
        assert (row.count, row.total, row.low, row.high, row.last) == (2, 8.0, 1.0, 7.0, 7.0)
        assert row.last_at == NOON + 30 * timedelta(seconds=1)


def test_a_sample_on_time_costs_no_note() -> None:
    rollups.advance(at=LATER)
    arrive([LATER - MINUTE], at=LATER)
    assert not LateSample.objects.exists()


def test_a_late_sample_of_a_time_whose_samples_are_gone_changes_nothing() -> None:
    arrive([NOON, NOON + timedelta(seconds=1)])
    rollups.advance(at=LATER)
    Sample.objects.all().delete()
    arrive([NOON])
    rollups.advance(at=LATER + 14 * DAY)
    assert Rollup1m.objects.get().count == 2
    assert not LateSample.objects.exists()


def test_values_too_large_to_be_added_have_no_sum_and_all_the_rest() -> None:
    arrive([NOON, NOON + MINUTE], value=1.7e308)
    rollups.advance(at=LATER)
    assert points(asked("max")) == [(NOON, 1.7e308)]
    assert {model.objects.get(bucket=resolutions.number(NOON, s)).total for model, s in _TABLES} == {None}


_TABLES: list[tuple[type[Rollup1m | Rollup5m | Rollup1h], int]] = [(Rollup1m, 60), (Rollup5m, 300), (Rollup1h, 3_600)]


def test_much_to_do_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "_SERIES_AT_ONCE", 2)
    monkeypatch.setattr(rollups, "_LATE_AT_ONCE", 3)
    rollups.advance(at=NOON)
    for host in "abcde":
        arrive([NOON + minutes * 20 * MINUTE for minutes in range(6)], host=host, at=LATER)
    calls = 0
    while (
        RollupProgress.objects.get().until < resolutions.number(LATER - rollups.LAG, 60) or LateSample.objects.exists()
    ):
        rollups.advance(at=LATER, patience=timedelta(0))
        calls += 1
    assert calls > 3
    arrive([NOON], host="a")
    arrive([NOON], host="e")
    rollups.advance(at=LATER)
    assert sum(row.count for row in Rollup1h.objects.all()) == 32


def test_old_rollups_go_each_in_its_time(settings: Settings) -> None:
    settings.VIGIL_RETENTION_DAYS, settings.VIGIL_ROLLUP_1M_DAYS, settings.VIGIL_ROLLUP_5M_DAYS = 14, 30, 90
    arrive([NOON])
    rollups.advance(at=LATER)
    left = []
    for days in (1, 40, 100, 500):
        retention.prune(at=NOON + days * DAY)
        left.append([model.objects.count() for model in (Rollup1m, Rollup5m, Rollup1h)])
    assert left == [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]


def test_the_step_that_nobody_named_fits_the_rollups_of_long_times() -> None:
    for span in (HOUR, 7 * HOUR, 3 * DAY, 40 * DAY, 400 * DAY):
        step = ranges.step_for(since=LATER - span, until=LATER)
        assert span / step <= 301
        assert step < MINUTE or step % MINUTE == timedelta(0)
    assert ranges.step_for(since=LATER - 40 * DAY, until=LATER) == 4 * HOUR


def test_rollups_are_made_anew_on_request(time_machine: TimeMachineFixture, capsys: pytest.CaptureFixture[str]) -> None:
    time_machine.move_to(LATER, tick=False)
    arrive([NOON])
    rollups.advance(at=LATER)
    Sample.objects.update(value=5.0)
    call_command("rollup", since="2026-01-19T12:00:00Z")
    assert "358 minutes" in capsys.readouterr().out
    assert [model.objects.get().total for model, _ in _TABLES] == [5.0, 5.0, 5.0]


@pytest.mark.parametrize("since", ["yesterday", "2026-01-19T12:00:00"])
def test_a_time_that_is_none_is_refused_with_a_sentence(since: str) -> None:
    with pytest.raises(CommandError, match="--since"):
        call_command("rollup", since=since)


def test_beat_and_task_mean_the_same_slot() -> None:
    (job,) = [job for job in schedule.jobs() if job.name == "metrics.roll_up"]
    assert job.interval == tasks.ROLL_UP_EVERY


@pytest.mark.postgres_only
def test_rollups_are_in_parts_too() -> None:
    for one in resolutions.FINEST_FIRST:
        partitions.ensure(one.table, kept_from=NOON - DAY, at=NOON)
        starts = [part.since for part in partitions.parts(one.table) if part.since is not None]
        assert all(until - since >= 7 * DAY for since, until in pairwise(sorted(starts)))
    arrive([NOON])
    rollups.advance(at=LATER)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM metrics_rollup_1m")
        [(part,)] = cursor.fetchall()
    assert part.startswith("metrics_rollup_1m_2026")


@pytest.mark.postgres_only
@pytest.mark.django_db(transaction=True)
def test_who_stores_while_a_minute_is_rolled_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    arrive([NOON])
    rollups.advance(at=NOON)
    storing, go_on = threading.Event(), threading.Event()

    def store_slowly() -> None:
        with transaction.atomic():
            known, locked = ingest._locked_series([("cpu_usage", (("host", "web-1"),))], NOON, senders={})
            reading = Reading("cpu_usage", 5.0, {"host": "web-1"}, NOON)
            ingest._samples([(reading, NOON)], list(known.values()), locked)
            storing.set()
            go_on.wait(10)
        connection.close()

    thread = threading.Thread(target=store_slowly)
    thread.start()
    storing.wait(10)
    monkeypatch.setattr(rollups, "_SETTLE_SECONDS", 0.1)
    rollups.advance(at=LATER)
    assert not Rollup1m.objects.exists()
    go_on.set()
    thread.join()
    rollups.advance(at=LATER)
    assert Rollup1m.objects.get(bucket=resolutions.number(NOON, 60)).total == 6.0
