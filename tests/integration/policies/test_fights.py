"""Policies that can fight are told of when saved, and those that do are frozen where they do."""

import json
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.test import Client

from actions import queries
from actions.models import Action, ActionType
from policies import authoring, conflicts, explaining, oscillation, remedies, story, transfer
from policies.intake import Accepted
from policies.models import Freeze, Incident
from policies.oscillation import UnableToLift
from policies.remedies import Settled
from tests.integration.policies import cast
from vigil.access import keys
from vigil.audit import entries
from vigil.kernel import clock
from vigil.kernel.database import database_now

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LOW = {"name": "low-cpu", "condition": "cpu_usage < 95", "action": "scale-down"}
FREE = {"cooldown": "1s", "common_cause": {"percent": 100}}


def _turns(*policies: str, target: str = "web-01", every: timedelta = MINUTE) -> list[int]:
    """Effects of these policies on the target, one after the other up to now."""
    now, kind = database_now(), ActionType.objects.get(name="restart")
    made = []
    for number, name in enumerate(policies):
        at = now - every * (len(policies) - number)
        row = Action.objects.create(
            dedup_key=f"policy:{name}:incident:0:step:{number}", action_type=kind, target=target, state="succeeded",
            policy_name=name, policy_version=1, ordered_by=f"policy:{name}", run_after=at, created_at=at,
            started_at=at, finished_at=at, deadline=at + MINUTE, attempt_no=1, verification="effective",
        )  # fmt: skip
        made.append(row.pk)
    return made


def _of(accepted: Accepted, name: str) -> Settled:
    [settled] = [one for one in accepted.settled if one.judgement.rule.name == name]
    return settled


def _fight(at: datetime, *turns: str) -> Settled:
    cast.policy(**FREE)
    cast.policy(**LOW | FREE, description="It undoes the other.")
    _turns(*turns)
    return _of(cast.post(92, at=at), "high-cpu-alert")


def _call(client: Client, method: str, path: str, body: object = None) -> tuple[int, Any]:
    content = "" if body is None else json.dumps(body)
    answer = client.generic(method, f"/api/v1/{path}", content, content_type="application/json")
    return answer.status_code, json.loads(answer.content)


@pytest.fixture
def client(db: None) -> Client:
    _, plain = keys.create(name="all", scopes=["read", "policies:write", "actions:write"], actor="user:ana")
    keys.forget_cache()
    return Client(headers={"Authorization": f"Bearer {plain}"})


def test_saving_tells_of_a_policy_it_can_fight_with_and_refuses_nothing(client: Client) -> None:
    assert _call(client, "POST", "policies", cast.HIGH_CPU)[1]["warnings"] == []
    status, saved = _call(client, "POST", "policies", cast.HIGH_CPU | LOW)
    assert status == 201
    assert saved["warnings"] == [
        {
            "code": "conflict",
            "with": "high-cpu-alert",
            "message": "high-cpu-alert covers some of the same targets (web-*) and orders scale-up, which undoes "
            "scale-down",
        }
    ]
    assert len(_call(client, "PATCH", "policies/high-cpu-alert", {"severity": "info"})[1]["warnings"]) == 1
    assert _call(client, "PUT", "policies/low-cpu", {"target": "db-*"})[1]["warnings"] == []


def test_policies_that_are_off_fight_with_nobody(db: None) -> None:
    cast.policy()
    cast.policy(**LOW)
    authoring.disable(name="low-cpu", actor="user:ana", at=clock.now())
    assert conflicts.of("high-cpu-alert") == conflicts.of("low-cpu") == []


def test_a_type_that_undoes_another_is_known_by_what_it_says(db: None) -> None:
    ActionType.objects.filter(name="drain-pod").update(rollback="rebalance")
    cast.policy(action="drain-pod", params={})
    cast.policy(name="other", action="rebalance", params={})
    [found] = conflicts.of("other")
    assert found.message.endswith("orders drain-pod, which undoes rebalance")


def test_a_page_fights_with_nothing(db: None) -> None:
    cast.policy()
    cast.policy(name="page-too", condition="cpu_usage < 10", action="page", params={})
    assert conflicts.of("page-too") == []


def test_an_import_is_told_of_too(db: None) -> None:
    cast.policy()
    content = transfer.written_out([cast.HIGH_CPU | LOW | {"condition": "cpu_usage < 95"}]).encode()
    transfer.load(content=content, actor="user:ana", at=clock.now())
    assert [one.other for one in conflicts.of("low-cpu")] == ["high-cpu-alert"]


def _imported(content: str, tmp_path: Path, *options: str) -> list[str]:
    """The warnings of an import."""
    file, said = tmp_path / "policies.yaml", StringIO()
    file.write_text(content)
    call_command("import_policies", str(file), *options, stdout=said)
    return [line for line in said.getvalue().splitlines() if line.startswith("warning")]


@pytest.mark.parametrize(
    ("written", "warnings"),
    [
        ([LOW], 1),
        ([LOW | {"enabled": False}], 0),
        ([LOW | {"target": "db-*"}], 0),
        ([LOW, LOW | {"name": "lower-cpu", "action": "restart", "params": {}, "condition": "disk > 9"}], 1),
        ([LOW, {"enabled": False}], 0),  # the one that it would fight goes out of force in the same file
        ([{"condition": "cpu_usage > 80"}], 0),  # nobody fights with an earlier version of oneself
        ([LOW, {"condition": "cpu_usage > 99"}], 2),
    ],
)
def test_a_dry_run_warns_of_what_an_import_would_warn_of(
    written: list[dict[str, object]], warnings: int, tmp_path: Path
) -> None:
    cast.policy()
    content = transfer.written_out([cast.HIGH_CPU | one for one in written])
    foreseen = _imported(content, tmp_path, "--dry-run")
    assert len(foreseen) == warnings
    assert _imported(content, tmp_path) == foreseen


def test_two_that_took_turns_are_held_on_that_target_with_the_numbers(at: datetime) -> None:
    settled = _fight(at, "high-cpu-alert", "low-cpu", "high-cpu-alert", "low-cpu")
    freeze = Freeze.objects.get()
    assert settled.decided is not None
    assert (settled.decided.answer, settled.decided.guard) == ("hold", "oscillation")
    assert settled.decided.reason == oscillation.reason(freeze)
    assert settled.decided.numbers is not None
    assert settled.decided.numbers["actions"] == freeze.evidence
    assert freeze.policies == ["high-cpu-alert", "low-cpu"]
    assert freeze.until - freeze.since == timedelta(hours=1)
    [entry] = entries.of(f"freeze:{freeze.pk}")
    assert entry.kind == "freeze.began"
    low = Incident.objects.get(policy__name="low-cpu")
    assert low.decisions.latest("id").guard == "oscillation", "both are held by the one freeze"


def test_it_is_seen_on_the_incident_in_explain_and_at_the_gate(at: datetime) -> None:
    settled = _fight(at, "high-cpu-alert", "low-cpu", "high-cpu-alert", "low-cpu")
    assert settled.incident is not None
    assert story.of(settled.incident.pk, at=at).freeze == Freeze.objects.get()
    told = explaining.of_pair(policy_name="high-cpu-alert", target="web-01", now=at + SECOND)
    [gate] = [one for one in told.gates if one.name == "oscillation"]
    assert not gate.passed
    [action] = queries.some([Action.objects.latest("id").pk])
    answer = remedies.still_wanted(
        action_id=action.id, incident_id=settled.incident.pk, policy_name="high-cpu-alert", target="web-01",
        kind="scale-up", at=at + SECOND,
    )  # fmt: skip
    assert answer.reason.startswith("Frozen until")


@pytest.mark.parametrize(
    "turns",
    [
        ("high-cpu-alert", "low-cpu", "high-cpu-alert"),
        ("high-cpu-alert", "high-cpu-alert", "low-cpu", "high-cpu-alert"),
        ("one", "other", "one", "other"),
    ],
    ids=["too few", "not in turn", "of others"],
)
def test_anything_less_freezes_nothing(at: datetime, turns: tuple[str, ...]) -> None:
    settled = _fight(at, *turns)
    assert settled.decided is not None
    assert settled.decided.answer == "order"
    assert not Freeze.objects.exists()


def test_other_targets_go_on(at: datetime) -> None:
    _fight(at, "high-cpu-alert", "low-cpu", "high-cpu-alert", "low-cpu")
    settled = _of(cast.post(99, at=at, host="web-02"), "high-cpu-alert")
    assert settled.decided is not None
    assert settled.decided.answer == "order"


def test_a_person_lifts_it_and_earlier_turns_do_not_count_again(at: datetime, client: Client) -> None:
    _fight(at, "high-cpu-alert", "low-cpu", "high-cpu-alert", "low-cpu")
    [shown] = _call(client, "GET", "freezes?state=live")[1]["freezes"]
    status, lifted = _call(client, "POST", f"freezes/{shown['id']}/lift", {"note": "Sorted out."})
    assert (status, lifted["lifted_by"]) == (200, "key:all")
    assert _call(client, "POST", f"freezes/{shown['id']}/lift")[0] == 409
    assert _call(client, "GET", "freezes?state=live")[1]["freezes"] == []
    again = _of(cast.post(93, at=at + SECOND), "high-cpu-alert")
    assert again.decided is not None
    assert again.decided.answer == "order"
    assert [one.kind for one in entries.of(f"freeze:{shown['id']}")] == ["freeze.began", "freeze.lifted"]
    assert Freeze.objects.count() == 1


def test_what_is_over_cannot_be_lifted(at: datetime) -> None:
    _fight(at, "high-cpu-alert", "low-cpu", "high-cpu-alert", "low-cpu")
    freeze = Freeze.objects.get()
    Freeze.objects.update(since=freeze.since - timedelta(hours=2), until=freeze.since - timedelta(hours=1))
    with pytest.raises(UnableToLift):
        oscillation.lift(freeze_id=freeze.pk, actor="user:ana", note="", at=at)


def test_the_setting_can_switch_it_off(at: datetime, settings: LazySettings) -> None:
    settings.VIGIL_OSCILLATION_EFFECTS = 0
    settled = _fight(at, "high-cpu-alert", "low-cpu", "high-cpu-alert", "low-cpu")
    assert settled.decided is not None
    assert settled.decided.answer == "order"
