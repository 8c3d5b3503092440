"""A large fleet is swept in shards: whoever does them, each is done, and the sweep tells of it as one."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from django.test.utils import override_settings

from metrics import ingest
from metrics.formats.reading import Reading
from policies import shards, sweep, tasks
from policies.engine import comparing
from policies.models import Incident, PolicyHealth, SweepShard
from policies.sweep import SweepReport
from tests.integration.policies import cast
from vigil.periodic.models import PeriodicRun

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
HOSTS = 10


@pytest.fixture(autouse=True)
def _small_shards() -> Iterator[None]:
    with override_settings(VIGIL_SWEEP_SHARD_TARGETS=4):
        yield


@pytest.fixture
def fleet(at: datetime) -> None:
    """Ten hosts, of which web-3 and web-8 are bad, and readings that nobody judged."""
    cast.policy()
    cast.policy(name="slow", condition="not cpu_usage < 95")
    values = {f"web-{number}": 96.0 if number in (3, 8) else 40.0 for number in range(HOSTS)}
    ingest.store(readings=[Reading("cpu_usage", value, {"host": host}, at) for host, value in values.items()], at=at)


def _nobody(_: Sequence[int]) -> None:
    """No other process takes a shard."""


def _bad() -> list[tuple[str, str]]:
    return list(Incident.objects.order_by("policy__name", "target").values_list("policy__name", "target"))


EVERYTHING = [("high-cpu-alert", "web-3"), ("high-cpu-alert", "web-8"), ("slow", "web-3"), ("slow", "web-8")]


def _check(report: SweepReport) -> None:
    assert (report.shards, report.policies, report.targets, report.changed) == (3, 2, HOSTS, 4)
    assert _bad() == EVERYTHING
    assert not SweepShard.objects.exists()


@pytest.mark.usefixtures("fleet")
def test_alone_it_does_every_shard_itself(at: datetime) -> None:
    _check(sweep.run(at=at, hand_out=_nobody))
    jobs = PeriodicRun.objects.filter(finished_at__isnull=False, error="").values_list("job", flat=True)
    assert sorted(jobs) == [f"policies.sweep:{number}/3" for number in (1, 2, 3)]


@pytest.mark.usefixtures("fleet")
def test_what_others_did_is_not_done_again(at: datetime) -> None:
    done: list[bool] = []

    def others(ids: Sequence[int]) -> None:
        done.extend(tasks.sweep_shard(shard_id=shard_id) for shard_id in ids[:2])

    _check(sweep.run(at=at, hand_out=others))
    assert done == [True, True]
    assert PeriodicRun.objects.count() == 3


@pytest.mark.usefixtures("fleet")
def test_a_broker_that_is_away_costs_nothing_but_time(at: datetime) -> None:
    def refused(_: Sequence[int]) -> None:
        raise ConnectionError("refused")

    _check(sweep.run(at=at, hand_out=refused))


@pytest.mark.usefixtures("fleet")
def test_a_shard_whose_process_died_is_done_in_the_end(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PATIENCE_SECONDS", 0.05)

    def dies(ids: Sequence[int]) -> None:
        PeriodicRun.objects.create(job="policies.sweep:2/3", slot=int(at.timestamp() // 15), started_at=at)

    _check(sweep.run(at=at, hand_out=dies))


@pytest.mark.usefixtures("fleet")
def test_a_shard_done_with_other_policies_is_done_again(at: datetime) -> None:
    def outdated(ids: Sequence[int]) -> None:
        PeriodicRun.objects.create(job="policies.sweep:1/3", slot=int(at.timestamp() // 15), started_at=at)
        nothing = {"suspects": {"0": []}, "settled": {}, "targets": []}
        SweepShard.objects.filter(pk=ids[0]).update(found=nothing)

    _check(sweep.run(at=at, hand_out=outdated))


@pytest.mark.usefixtures("fleet")
def test_a_shard_that_comes_too_late_does_nothing(at: datetime) -> None:
    ids: list[int] = []
    sweep.run(at=at, hand_out=ids.extend)
    assert len(ids) == 3
    assert not any(tasks.sweep_shard(shard_id=shard_id) for shard_id in ids)


@pytest.mark.usefixtures("fleet")
def test_a_policy_that_fails_in_every_shard_failed_once(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of the test's own making")

    monkeypatch.setattr(comparing, "judged", fails)
    report = sweep.run(at=at, hand_out=_nobody)
    assert (report.shards, report.errors) == (3, 2)
    assert set(PolicyHealth.objects.values_list("consecutive_errors", flat=True)) == {1}
    assert sweep.status().policy_errors == 2


@pytest.mark.usefixtures("fleet")
def test_without_anybody_to_offer_them_to_there_are_no_shards(at: datetime) -> None:
    assert sweep.run(at=at).shards == 1
    assert _bad() == EVERYTHING


@pytest.mark.usefixtures("fleet")
def test_a_small_fleet_is_swept_at_once(at: datetime) -> None:
    with override_settings(VIGIL_SWEEP_SHARD_TARGETS=HOSTS):
        report = sweep.run(at=at, hand_out=_nobody)
    assert (report.shards, report.targets, _bad()) == (1, HOSTS, EVERYTHING)
    assert not PeriodicRun.objects.exists()


def test_silence_is_noticed_in_every_shard(at: datetime) -> None:
    cast.policy(condition="no heartbeat for 1m", target="*", action="restart", params={})
    hosts = [f"web-{number}" for number in range(HOSTS)]
    old, new = at - timedelta(minutes=2), at
    readings = [Reading("heartbeat", 1.0, {"host": host}, old if host in ("web-1", "web-9") else new) for host in hosts]
    ingest.store(readings=readings, at=at)
    assert sweep.run(at=at + SECOND, hand_out=_nobody).shards == 3
    assert [target for _, target in _bad()] == ["web-1", "web-9"]
