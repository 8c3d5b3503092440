from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metrics import ingest, queries, selections
from metrics.formats.reading import Reading
from metrics.selections import Selection
from tests.integration.metrics.cast import NOON, ago, event, sample

pytestmark = pytest.mark.django_db


def statements(ask: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        ask()
    return len(captured)


def test_latest_gives_the_newest_sample_of_each_series_whatever_its_age() -> None:
    old = sample(1.0, host="a", at=ago(86_400))
    sample(2.0, host="b", at=ago(60))
    new = sample(3.0, host="b", at=NOON)
    found = {one.target: one for one in queries.latest(metrics=["cpu_usage"])}
    assert found["a"].points == (queries.Point(old.id, ago(86_400), 1.0),)
    assert found["b"].points == (queries.Point(new.id, NOON, 3.0),)
    assert (found["b"].name, found["b"].tags, found["b"].series_id) == ("cpu_usage", {"host": "b"}, new.series_id)


def test_latest_is_for_the_named_metrics_and_targets_only() -> None:
    for name, host in [("cpu", "a"), ("cpu", "b"), ("mem", "a"), ("disk", "a")]:
        sample(name=name, host=host)
    found = queries.latest(metrics={"cpu", "mem"}, targets={"a"})
    assert sorted((one.name, one.target) for one in found) == [("cpu", "a"), ("mem", "a")]


@pytest.mark.parametrize("targets", [None, [], ["nobody"]])
def test_nothing_is_found_where_nothing_is(targets: list[str] | None) -> None:
    sample(name="other")
    assert queries.latest(metrics=["cpu_usage"], targets=targets) == []
    assert queries.window(metrics=["cpu_usage"], since=ago(60), until=NOON, targets=targets) == []


def test_no_targets_is_not_all_targets() -> None:
    sample()
    assert queries.latest(metrics=["cpu_usage"], targets=[]) == []


def test_a_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    for value, seconds in [(1.0, 60), (2.0, 59.5), (3.0, 30), (4.0, 0)]:
        sample(value, at=ago(seconds))
    sample(5.0, at=ago(-1))
    (found,) = queries.window(metrics=["cpu_usage"], since=ago(60), until=NOON)
    assert [(point.at, point.value) for point in found.points] == [(ago(59.5), 2.0), (ago(30), 3.0), (NOON, 4.0)]


def test_a_late_sample_takes_its_place_in_the_window() -> None:
    sample(2.0, at=ago(10))
    ingest.store(readings=[Reading("cpu_usage", 1.0, {"host": "web-1"}, ago(20))], at=NOON)
    (found,) = queries.window(metrics=["cpu_usage"], since=ago(60), until=NOON)
    assert [point.value for point in found.points] == [1.0, 2.0]


def test_microseconds_and_doubles_come_back_exactly() -> None:
    at = NOON.replace(microsecond=123_457)
    value = 0.1 + 0.2
    stored = sample(value, at=at)
    (window,) = queries.window(metrics=["cpu_usage"], since=NOON, until=at)
    (latest,) = queries.latest(metrics=["cpu_usage"])
    assert window.points == latest.points == (queries.Point(stored.id, at, value),)
    assert latest.points[0].at.utcoffset() == NOON.utcoffset()


def test_any_number_of_series_and_targets_takes_the_same_statements() -> None:
    ingest.store(readings=[Reading("cpu_usage", 1.0, {"host": f"web-{n}"}) for n in range(300)], at=NOON)
    everyone = [f"web-{n}" for n in range(40_000)]  # more than SQLite takes variables
    assert statements(lambda: queries.latest(metrics=["cpu_usage"], targets=everyone)) == 1
    assert statements(lambda: queries.window(metrics=["cpu_usage"], since=ago(9), until=NOON, targets=everyone)) == 2
    assert statements(lambda: queries.events(names=["x"], since=ago(9), until=NOON, targets=everyone)) == 1
    assert len(queries.window(metrics=["cpu_usage"], since=ago(9), until=NOON, targets=everyone)) == 300


def test_names_and_targets_are_never_read_as_sql() -> None:
    sample(host="it's")
    strange = ["'; DROP TABLE metrics_series --", '"]', "%s", "it's", "\u65e5\u672c"]
    assert [one.target for one in queries.latest(metrics=["cpu_usage", *strange], targets=strange)] == ["it's"]


def test_events_are_found_by_name_time_and_target() -> None:
    first, second = event(at=ago(60)), event(at=ago(30))
    event("deploy_done", at=ago(30))
    event(host="web-2", at=ago(30))
    found = queries.events(names=["deploy_failed"], since=ago(90), until=NOON, targets=["web-1"])
    assert [one.id for one in found] == [first.id, second.id]
    assert (found[0].severity, found[0].tags, found[0].at) == ("critical", {"host": "web-1"}, ago(60))


def test_the_span_of_events_is_open_at_its_start() -> None:
    event(at=ago(60))
    assert queries.events(names=["deploy_failed"], since=ago(60), until=NOON) == []
    assert len(queries.events(names=["deploy_failed"], since=ago(61), until=ago(60))) == 1


def test_known_targets_were_heard_of_since() -> None:
    sample(host="old", at=ago(600))
    sample(host="b", at=ago(10))
    sample(name="mem", host="b", at=ago(10))
    event(host="a", at=ago(5))
    assert queries.known_targets(since=ago(60)) == ["a", "b"]


def test_series_are_counted() -> None:
    sample(host="a")
    sample(host="b")
    assert queries.series_total() == 2


def test_every_microsecond_comes_back_exactly() -> None:
    ats = [ago(3_600 * number).replace(microsecond=(number * 142_857 + 1) % 1_000_000) for number in range(1, 300)]
    ingest.store(readings=[Reading("a", 1.0, {}, at) for at in ats], at=NOON)
    (found,) = queries.window(metrics=["a"], since=ago(3_600 * 301), until=NOON)
    assert [point.at for point in found.points] == sorted(ats)


ODD = (
    "web-",
    "web-1",
    "web-10",
    "Web-1",
    "wec",
    "we",
    "wéb-1",
    "web\ud7ff-1",
    "web\ue000-1",
    "web\U0010ffff",
    "%",
    "_x",
)
BEGINNINGS = ("web-", "we", "w", "web-1", "wé", "web\ud7ff", "web\U0010ffff", "%", "_", "x")


def test_targets_that_begin_with_something_are_found_by_code_points() -> None:
    ingest.store(readings=[Reading("cpu_usage", 1.0, {"host": target}, NOON) for target in ODD], at=NOON)
    for beginning in BEGINNINGS:
        among = {"cpu_usage": Selection(beginnings=frozenset({beginning}))}
        found = queries.targets(metrics=["cpu_usage"], among=among)
        assert found == sorted(target for target in ODD if target.startswith(beginning)), beginning


def test_each_metric_is_read_among_its_own_targets() -> None:
    for name in ("cpu_usage", "load", "disk"):
        for host in ("web-1", "web-2", "db-1", "mail"):
            sample(1.0, name=name, host=host)
    among = {
        "cpu_usage": Selection(names=frozenset({"mail"}), beginnings=frozenset({"web-", "d"})),
        "load": Selection(names=frozenset({"db-1"})),
    }
    found = {(one.name, one.target) for one in queries.latest(metrics=["cpu_usage", "load", "disk"], among=among)}
    assert found == {
        *(("cpu_usage", host) for host in ("web-1", "web-2", "db-1", "mail")),
        ("load", "db-1"),
        *(("disk", host) for host in ("web-1", "web-2", "db-1", "mail")),
    }
    some = queries.summaries(metrics=["load"], since=ago(60), until=NOON, among=among)
    assert len(some) == 1
    assert queries.latest(metrics=["cpu_usage"], targets={"web-1", "x"}, among=among)[0].target == "web-1"


def test_nothing_selected_is_nothing_read() -> None:
    sample(1.0, host="a")
    assert queries.latest(metrics=["cpu_usage"], among={"cpu_usage": Selection()}) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="says something about PostgreSQL alone")
def test_an_index_finds_the_targets_that_begin_with_something() -> None:
    web_or_db = Selection(beginnings=frozenset({"web-1", "db-1"}))
    where, parameters = selections.condition(["cpu_usage"], {"cpu_usage": web_or_db})
    with connection.cursor() as cursor:
        cursor.execute("""
            INSERT INTO metrics_series (name, tags, tags_hash, target, created_at)
            SELECT 'cpu_usage', '{}', kind || number, kind || number, now()
            FROM generate_series(1000, 9999) AS number, unnest(ARRAY['web-', 'db-', 'x-']) AS kind
        """)
        cursor.execute("ANALYZE metrics_series")
        cursor.execute(f"EXPLAIN SELECT id FROM metrics_series WHERE {where}", parameters)  # noqa: S608
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count("Index Scan on series_by_name_and_beginning") == 2, plan
