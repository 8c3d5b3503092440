"""What is held and stays held costs a few queries in all, however many policies hold; and nothing is missed by it."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actions import control
from actions.models import Action, Budget
from policies import sweep
from policies.models import Decision
from tests.integration.policies import cast
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def _guards() -> list[str]:
    return list(Decision.objects.order_by("id").values_list("guard", flat=True))


def _policies(count: int, **fields: object) -> None:
    for number in range(count):
        cast.policy(name=f"policy-{number:02}", condition=f"cpu_usage > {60 + number / 10}", **fields)


@pytest.mark.parametrize("fields", [{}, {"auto_remediate": False}])
def test_a_reading_costs_the_same_however_many_policies_hold(at: datetime, fields: dict[str, object]) -> None:
    spent = []
    for count, host in ((5, "web-05"), (25, "web-25")):
        for number in range(count):
            cast.policy(name=f"{host}-{number}", target=host, condition=f"cpu_usage > {60 + number / 10}", **fields)
        cast.post(92, at=at, host=host)
        cast.post(92, at=at + SECOND, host=host)
        before = len(_guards())
        with CaptureQueriesContext(connection) as seen:
            cast.post(92, at=at + 2 * SECOND, host=host)
        spent.append(len(seen))
        assert len(_guards()) == before
    assert spent[1] <= spent[0] + 3
    assert spent[1] < 60


def test_a_hold_ends_when_its_reason_does(at: datetime) -> None:
    _policies(2)
    cast.post(92, at=at)
    cast.post(92, at=at + SECOND)
    assert _guards() == ["", "target_busy", "in_progress"]
    Action.objects.update(state="failed", finished_at=at + 2 * SECOND)
    cast.post(92, at=at + 3 * SECOND)
    assert set(Action.objects.values_list("policy_name", flat=True)) == {"policy-00", "policy-01"}


def test_another_reason_to_hold_is_written_down(at: datetime) -> None:
    _policies(2)
    cast.post(92, at=at)
    control.set_mode(mode="paused", reason="a storm", actor="user:ana", at=at)
    cast.post(92, at=at + SECOND)
    cast.post(92, at=at + 2 * SECOND)
    assert _guards()[2:] == ["in_progress", "kill_switch"]


def test_a_full_rate_is_foreseen_and_its_end_is_not_missed(at: datetime) -> None:
    _policies(1, rate={"count": 1, "per": "10m"}, target="web-*")
    cast.post(92, at=at)
    cast.post(92, at=at, host="web-02")
    assert _guards() == ["", "rate"]
    with CaptureQueriesContext(connection) as seen:
        cast.post(92, at=at + SECOND, host="web-02")
    assert not any("FOR UPDATE" in query["sql"] and "actions_budget" in query["sql"] for query in seen)
    Action.objects.update(state="cancelled", finished_at=at)
    sweep.run(at=at + 2 * SECOND)
    assert Action.objects.filter(target="web-02").count() == 1
    assert Budget.objects.filter(scope="policy:policy-00").exists()


def test_a_foreseen_hold_is_counted_like_any_other(at: datetime) -> None:
    def count() -> float:
        return float(telemetry.guard_decisions_total.labels(guard="target_busy", answer="hold")._value.get())

    _policies(3)
    cast.post(92, at=at)
    before = count()
    cast.post(92, at=at + SECOND)
    assert count() - before == 2
