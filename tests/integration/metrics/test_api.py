from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from time_machine import TimeMachineFixture

from metrics import ingest
from metrics.formats.reading import Reading
from tests.integration.metrics.cast import NOON, ago, sample
from vigil.access import keys
from vigil.http import pagination

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(time_machine: TimeMachineFixture) -> Client:
    time_machine.move_to(NOON, tick=False)
    _, plain = keys.create(name="reader", scopes=["read"], actor="user:ana")
    keys.forget_cache()
    return Client(headers={"authorization": f"Bearer {plain}"})


def get(agent: Client, path: str, **query: Any) -> Any:
    answer = agent.get(f"/api/v1/{path}", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def refused(agent: Client, path: str, **query: Any) -> Any:
    answer = agent.get(f"/api/v1/{path}", query)
    assert answer.status_code == 422, answer.content
    return answer.json()


def test_series_are_listed_with_their_newest_value(agent: Client) -> None:
    stored = sample(87.5, host="web-01")
    assert get(agent, "metrics") == {
        "count": 1,
        "next": None,
        "previous": None,
        "metrics": [
            {
                "id": stored.series_id,
                "name": "cpu_usage",
                "tags": {"host": "web-01"},
                "target": "web-01",
                "last_value": 87.5,
                "last_at": "2026-01-19T12:00:00Z",
            }
        ],
    }


def test_the_list_comes_in_pages(agent: Client) -> None:
    ingest.store(readings=[Reading("a", 1.0, {"host": f"h{number}"}) for number in range(5)], at=NOON)
    first = get(agent, "metrics", limit=2)
    assert (first["count"], len(first["metrics"]), first["previous"]) == (5, 2, None)
    second = agent.get(first["next"]).json()
    assert [one["target"] for one in second["metrics"]] == ["h2", "h3"]


def test_of_very_many_the_first_are_counted_and_all_have_pages(agent: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "COUNTED_MOST", 3)
    ingest.store(readings=[Reading("a", 1.0, {"host": f"h{number}"}) for number in range(6)], at=NOON)
    with CaptureQueriesContext(connection) as asked:
        page = get(agent, "metrics", limit=2)
    counting = [query["sql"] for query in asked if "COUNT(*)" in query["sql"]]
    assert [sql.count("LIMIT 4") for sql in counting] == [1]
    seen = [one["target"] for one in page["metrics"]]
    while page["next"]:
        assert page["count"] == 4
        page = agent.get(page["next"]).json()
        seen += [one["target"] for one in page["metrics"]]
    assert seen == [f"h{number}" for number in range(6)]


@pytest.mark.parametrize(
    ("query", "found"),
    [({}, 3), ({"name": "cpu"}, 2), ({"target": "a"}, 2), ({"name": "cpu", "target": "a"}, 1), ({"name": "x"}, 0)],
)
def test_the_list_is_filtered_by_name_and_target(agent: Client, query: dict[str, str], found: int) -> None:
    for name, host in [("cpu", "a"), ("cpu", "b"), ("mem", "a")]:
        sample(name=name, host=host)
    assert get(agent, "metrics", **query)["count"] == found


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1e9"}, {"offset": "-1"}, {"nam": "cpu"}, {"name": "a\x00"}]
)
def test_a_strange_filter_is_a_422_with_a_sentence(agent: Client, query: dict[str, str]) -> None:
    answer = refused(agent, "metrics", **query)
    assert answer["errors"][0]["path"] in query


@pytest.mark.parametrize("path", ["metrics", "metrics/", "metrics/query?metric=a", "metrics/query/?metric=a"])
def test_reading_takes_the_scope_to_read(path: str, agent: Client) -> None:
    _, plain = keys.create(name="writer", scopes=["ingest"], actor="user:ana")
    keys.forget_cache()
    assert Client().get(f"/api/v1/{path}").status_code == 401
    assert Client().get(f"/api/v1/{path}", headers={"authorization": f"Bearer {plain}"}).status_code == 403
    assert agent.get(f"/api/v1/{path}").status_code == 200


def two_minutes() -> None:
    for seconds, value in [(120, 1.0), (90, 3.0), (60, 10.0), (30.5, 20.0), (30, 30.0)]:
        sample(value, at=ago(seconds))


@pytest.mark.parametrize(
    ("aggregate", "values"),
    [
        ("avg", [2.0, 20.0]),
        ("min", [1.0, 10.0]),
        ("max", [3.0, 30.0]),
        ("sum", [4.0, 60.0]),
        ("count", [2, 3]),
        ("last", [3.0, 30.0]),
        ("stddev", [1.0, pytest.approx(8.16496580927726)]),
        ("p50", [2.0, 20.0]),
        ("p90", [2.8, 28.0]),
    ],
)
def test_samples_are_gathered_into_steps(agent: Client, aggregate: str, values: list[float]) -> None:
    two_minutes()
    answer = get(agent, "metrics/query", metric="cpu_usage", target="web-1", step="60s", aggregate=aggregate)
    assert (answer["metric"], answer["step_seconds"], answer["aggregate"]) == ("cpu_usage", 60, aggregate)
    (found,) = answer["series"]
    assert found["tags"] == {"host": "web-1"}
    assert found["points"] == [["2026-01-19T11:58:00Z", values[0]], ["2026-01-19T11:59:00Z", values[1]]]
    assert (answer["resolution_seconds"], answer["missing_before"]) == (0, None)


def test_last_is_by_time_and_not_by_arrival(agent: Client) -> None:
    sample(2.0, at=ago(10))
    sample(1.0, at=ago(20))
    (found,) = get(agent, "metrics/query", metric="cpu_usage", step="1h", aggregate="last")["series"]
    assert found["points"] == [["2026-01-19T11:00:00Z", 2.0]]


def test_last_knows_fractions_of_a_second(agent: Client) -> None:
    sample(2.0, at=ago(9.5))
    sample(1.0, at=ago(10))
    (found,) = get(agent, "metrics/query", metric="cpu_usage", step="1h", aggregate="last")["series"]
    assert found["points"] == [["2026-01-19T11:00:00Z", 2.0]]


def test_the_last_hour_in_300_steps_is_what_nobody_asked_for(agent: Client) -> None:
    sample(1.0, at=NOON - timedelta(minutes=61))
    sample(2.0, at=NOON)
    answer = get(agent, "metrics/query", metric="cpu_usage")
    assert (answer["step_seconds"], answer["aggregate"]) == (12, "avg")
    assert [point[1] for point in answer["series"][0]["points"]] == [2.0]


def test_since_and_until_are_part_of_the_answer(agent: Client) -> None:
    two_minutes()
    query = {"since": "2026-01-19T11:58:30Z", "until": str(int(ago(60).timestamp())), "step": "1s"}
    (found,) = get(agent, "metrics/query", metric="cpu_usage", **query)["series"]
    assert [point[1] for point in found["points"]] == [3.0, 10.0]


def test_epoch_seconds_may_have_a_fraction(agent: Client) -> None:
    two_minutes()
    query = {"since": f"{ago(31).timestamp()}", "until": f"{ago(30.25).timestamp():.2f}", "step": "1s"}
    (found,) = get(agent, "metrics/query", metric="cpu_usage", **query)["series"]
    assert [point[1] for point in found["points"]] == [20.0]


def test_each_series_of_a_metric_answers_for_itself(agent: Client) -> None:
    sample(1.0, host="a")
    sample(2.0, host="b")
    found = get(agent, "metrics/query", metric="cpu_usage", step="1h")["series"]
    assert [(one["target"], one["points"][0][1]) for one in found] == [("a", 1.0), ("b", 2.0)]


def test_an_unknown_metric_has_no_series(agent: Client) -> None:
    assert get(agent, "metrics/query", metric="nothing")["series"] == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({}, "metric"),
        ({"metric": "a b"}, "metric"),
        ({"metric": "a", "step": "60"}, "step"),
        ({"metric": "a", "step": "0s"}, "step"),
        ({"metric": "a", "step": "-1s"}, "step"),
        ({"metric": "a", "step": "999999d"}, "step"),
        ({"metric": "a", "step": "1" * 200 + "s"}, "step"),
        ({"metric": "a", "aggregate": "p42"}, "aggregate"),
        ({"metric": "a", "since": "2026-01-19T12:00:01Z"}, "since"),
        ({"metric": "a", "since": "yesterday"}, "since"),
        ({"metric": "a", "until": "2026-01-19T12:00:00"}, "until"),
        ({"metric": "a", "until": "0001-01-01T00:00:00Z"}, "until"),
        ({"metric": "a", "steps": "1s"}, "steps"),
    ],
)
def test_a_strange_question_is_a_422_with_a_sentence(agent: Client, query: dict[str, str], path: str) -> None:
    assert refused(agent, "metrics/query", **query)["errors"][0]["path"] == path


def test_too_many_points_are_refused_with_what_to_ask_instead(agent: Client) -> None:
    sample()
    query = {"since": "2026-01-01T00:00:00Z", "step": "1s"}
    answer = refused(agent, "metrics/query", metric="cpu_usage", **query)
    assert "longer step" in answer["detail"]


def test_values_too_large_to_be_added_are_a_422(agent: Client) -> None:
    sample(1.7e308, at=ago(1))
    sample(1.7e308, at=NOON)
    answer = refused(agent, "metrics/query", metric="cpu_usage", step="1d", aggregate="sum")
    assert answer["errors"][0]["path"] == "aggregate"


def test_values_too_large_to_be_added_still_have_a_largest(agent: Client) -> None:
    sample(1.7e308, at=ago(1))
    sample(1.6e308, at=ago(2))
    (found,) = get(agent, "metrics/query", metric="cpu_usage", step="1d", aggregate="max")["series"]
    assert found["points"][0][1] == 1.7e308


def test_large_values_have_an_average_all_the_same(agent: Client) -> None:
    sample(1e200, at=ago(1))
    sample(3e200, at=NOON)
    (found,) = get(agent, "metrics/query", metric="cpu_usage", step="1d")["series"]
    assert found["points"][0][1] == pytest.approx(2e200)
