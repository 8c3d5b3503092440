"""Screening is only faster: the sweep comes to the same with it and without, several sweeps in a row."""

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from actions.models import Action
from metrics import ingest, queries, selections
from metrics.formats.reading import EventReading, Reading
from metrics.selections import Selection
from policies import book, coverage, documents, fitness, intake, readings, screens, sweep
from policies.book import Rule
from policies.engine import screening
from policies.models import Decision, Incident
from tests.integration.policies import cast
from vigil.audit.models import Entry

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
HOSTS = [f"web-{number}" for number in range(6)] + ["db-1"]
METRICS = ("cpu", "load", "errors")
CONDITIONS = [
    "cpu > 90",
    "cpu > 80 for 15s recover at 60",
    'cpu{zone="eu"} >= 90',
    "load > 5 on all series",
    "avg(cpu, 1m) > 70",
    "max(load, 30s) > 8 recover at 3",
    "min(cpu, 1m) < 10",
    "count(load, 1m) < 3",
    "sum(load) > 12",
    "cpu outside 20..85",
    "no errors for 40s",
    "cpu > 80 and load > 5",
    "load > 7 or no errors for 1m",
    "rate(errors, 1m) > 0.2",
    "errors / load > 3",
    "p90(load, 1m) > 7",
    "not cpu > 30",
    "1 deploy_failed event in 1m",
]


def _write(chance: random.Random) -> None:
    for number, condition in enumerate(chance.sample(CONDITIONS, 9)):
        by_zone = {"target_tag": "zone", "target": "*"}
        by_host = {"target": chance.choice(["web-*", "*", "web-1", "web-?", "w*-2", "?b-*", "d*", "all"])}
        fields: dict[str, object] = {
            "name": f"policy-{number}",
            "condition": condition,
            "auto_remediate": chance.random() < 0.7,
            "keep_open_for": chance.choice(["0s", "20s"]),
            "on_no_data": chance.choice(["keep", "open", "resolve"]),
        }
        cast.policy(**fields | (by_zone if chance.random() < 0.15 else by_host))


def _readings(chance: random.Random, at: datetime) -> list[Reading | EventReading]:
    """A batch, a few of it late and a few from a clock that is ahead."""
    readings: list[Reading | EventReading] = [
        Reading(
            name=metric,
            value=chance.choice([0.0, 5.0, 10.0, 50.0, 85.0, 90.0, 95.0]) / (1 if metric == "cpu" else 10),
            tags={"host": host, "zone": chance.choice(["eu", "us"])},
            at=at - chance.choice([0, 0, 0, 5, 50, -20]) * SECOND,
        )
        for host in HOSTS
        for metric in METRICS
        if chance.random() < 0.5
    ]
    if chance.random() < 0.5:
        readings.append(EventReading("deploy_failed", "critical", {"host": "web-1"}, {}, at))
    return readings


def _swept(readings: list[Reading | EventReading], at: datetime, *, screened: bool) -> object:
    """Stored by nobody's leave, and found by the sweep."""
    ingest.store(readings=readings, at=at)
    report = sweep.run(at=at, screened=screened, hand_out=lambda _: None)
    return report.policies, report.targets, report.changed, report.verified, report.errors


def _judged_at_once(readings: list[Reading | EventReading], at: datetime, *, screened: bool) -> object:
    """Let in as the API does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "SCREENED_FROM", 0 if screened else 1_000_000)
        accepted = intake.accept(readings=readings, at=at)
    return accepted.evaluated, sum(one.news for one in accepted.settled)


def _comes_to(
    moments: Sequence[datetime], *, screened: bool, seed: int, way: Callable[..., object] = _swept
) -> list[object]:
    """Everything that is left behind, and then as if nothing had been."""
    chance = random.Random(seed)
    with transaction.atomic():
        cast.forget()
        fitness._seen.clear()
        reports = []
        for moment in moments:
            with cast.the_database_says(moment):
                reports.append(way(_readings(chance, moment), moment, screened=screened))
        order = {pk: place for place, pk in enumerate(Incident.objects.order_by("id").values_list("id", flat=True))}
        about = "policy__name", "target", "status", "resolution", "since", "opened_at", "healthy_since", "resolved_at"
        left: list[object] = [
            reports,
            list(Incident.objects.order_by("id").values_list(*about, "value", "status_reason", "last_evaluated_at")),
            [
                (order[incident], *rest)
                for incident, *rest in Decision.objects.order_by("id").values_list(
                    "incident_id", "answer", "guard", "at"
                )
            ],
            list(Action.objects.order_by("id").values_list("action_type_id", "target", "policy_name", "state")),
            list(Entry.objects.order_by("id").values_list("kind", "actor", "from_state", "to_state")),
        ]
        transaction.set_rollback(True)
    return left


@pytest.mark.parametrize("seed", cast.seeds(6))
def test_the_same_incidents_decisions_and_actions(at: datetime, seed: int) -> None:
    chance = random.Random(seed)
    _write(chance)
    moments = [at + gap * SECOND for gap in (0, 15, 30, 45, 60, 300, 315, 700)]
    screened = _comes_to(moments, screened=True, seed=seed)
    assert screened == _comes_to(moments, screened=False, seed=seed)
    with override_settings(VIGIL_SWEEP_SHARD_TARGETS=2):
        assert screened == _comes_to(moments, screened=True, seed=seed)
    assert screened[1], "nothing happened, so nothing was compared"


@pytest.mark.parametrize("seed", range(6, 9))
def test_the_same_without_looking_at_other_targets_series(at: datetime, seed: int) -> None:
    _write(random.Random(seed))
    moments = [at + gap * SECOND for gap in (0, 15, 30, 300, 315)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "of", _everything)
        everything = _comes_to(moments, screened=False, seed=seed)
    assert _comes_to(moments, screened=True, seed=seed) == everything
    assert _comes_to(moments, screened=False, seed=seed) == everything
    with override_settings(VIGIL_SWEEP_SHARD_TARGETS=2):
        assert _comes_to(moments, screened=True, seed=seed) == everything
    assert everything[1], "nothing happened, so nothing was compared"


@pytest.mark.parametrize("seed", cast.seeds(6))
def test_the_same_when_a_large_batch_is_screened_at_the_door(at: datetime, seed: int) -> None:
    _write(random.Random(seed))
    moments = [at + gap * SECOND for gap in (0, 15, 30, 45, 60, 300, 315, 700)]
    screened = _comes_to(moments, screened=True, seed=seed, way=_judged_at_once)
    assert screened == _comes_to(moments, screened=False, seed=seed, way=_judged_at_once)
    assert screened[1], "nothing happened, so nothing was compared"


def test_healthy_targets_are_counted_and_their_samples_are_not_read(at: datetime) -> None:
    for number in range(5):
        cast.policy(name=f"policy-{number}", condition=f"avg(cpu, 5m) > {60 + number}")
    _store_values(at, {f"web-{number}": 50.0 for number in range(20)} | {"web-7": 62.5})
    with CaptureQueriesContext(connection) as seen:
        report = sweep.run(at=at)
    assert (report.targets, report.changed) == (20, 3)
    summed = [query["sql"] for query in seen if "sum(value)" in query["sql"]]
    assert len(summed) == 1
    [points] = [query["sql"] for query in seen if "ORDER BY series_id, at, id" in query["sql"]]
    assert "web-7" in points
    assert "web-8" not in points


def test_series_of_targets_that_no_policy_covers_are_not_read(at: datetime) -> None:
    cast.policy(condition="avg(cpu, 5m) > 60", target="web-*")
    cast.policy(name="other", condition="max(cpu, 5m) > 60", target="db-1")
    cast.policy(name="slow", condition="not cpu < 60", target="db-1")
    _store_values(at, {"web-1": 50.0, "web-2": 70.0, "wec-1": 90.0, "db-1": 50.0, "db-10": 90.0})
    rules = book.current(at).rules.values()
    read = readings.load(rules=list(rules), at=at).series["cpu"]
    assert sorted(target for target, _ in read) == ["db-1", "web-1", "web-2"]
    with CaptureQueriesContext(connection) as seen:
        assert sweep.run(at=at).targets == 3
    assert len([query for query in seen if "sum(value)" in query["sql"]]) == 1


def test_a_policy_by_a_tag_of_its_own_has_every_series_read(at: datetime) -> None:
    cast.policy(condition="max(cpu, 5m) > 60", target="eu*", target_tag="zone")
    cast.policy(name="other", condition="max(cpu, 5m) > 60", target="db-1")
    ingest.store(readings=[Reading("cpu", 70.0, {"host": "web-1", "zone": "eu"}, at)], at=at)
    sweep.run(at=at)
    assert Incident.objects.get().target == "eu"


def test_a_sum_too_large_for_the_database_is_no_error(at: datetime) -> None:
    cast.policy(condition="sum(cpu, 5m) > 1")
    for offset in range(3):
        _store_values(at + offset * SECOND, {"web-1": 1.7e308, "web-2": -1.7e308, "web-3": 0.5})
    assert sweep.run(at=at + 5 * SECOND).errors == 0
    assert Incident.objects.get().target == "web-3"


def test_summaries_leave_out_of_sums_only_what_screening_leaves_alone() -> None:
    assert screening.HUGE <= queries.SUMMABLE


def test_a_pattern_means_the_same_targets_here_as_anywhere() -> None:
    names = ["", "a", "web", "web-", "web-1", "web-11", "web-2.eu", "wec", "x-web-1", "wéb-1"]
    for pattern in ("*", "all", "web-*", "web-1", "web-?", "w*-1", "*-1", "?eb*", "web-*.eu", "we"):
        rule = book.provisional(documents.read(cast.HIGH_CPU | {"target": pattern}).document)
        chosen = screens.Names(sorted(names)).covered_by(rule)
        assert chosen == {name for name in names if rule.covers(name)}


def _everything(rules: Iterable[Rule]) -> dict[str, Selection]:
    """As if no pattern said anything about where to look."""
    return {metric: selections.EVERYTHING for rule in rules for metric in rule.needs.metrics}


def _store_values(at: datetime, values: dict[str, float]) -> None:
    ingest.store(readings=[Reading("cpu", value, {"host": host}, at) for host, value in values.items()], at=at)
