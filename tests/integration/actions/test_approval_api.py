"""Approving and rejecting over HTTP: who may, what is answered, and what there is to see first."""

from typing import Any

import pytest
from django.test import Client

from actions.consent import Asks
from actions.models import ActionType, Approval
from tests.integration.actions import fakes, make
from vigil.access import keys

pytestmark = pytest.mark.usefixtures("remote")


def _key(*scopes: str, name: str, targets: tuple[str, ...] = ()) -> str:
    _, plain = keys.create(name=name, scopes=["read", *scopes], actor="user:ana", targets=targets)
    keys.forget_cache()
    return plain


@pytest.fixture
def approver() -> str:
    return _key("actions:approve", name="bo")


@pytest.fixture
def operator() -> str:
    return _key("actions:write", name="ola")


def _post(key: str, action_id: int, verb: str, body: object = None) -> tuple[int, Any]:
    answer = Client().post(
        f"/api/v1/actions/{action_id}/{verb}",
        data=b"" if body is None else body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}", "X-Request-ID": "night-shift-1"},
    )
    return answer.status_code, answer.json()


def _get(key: str, action_id: int) -> Any:
    return Client().get(f"/api/v1/actions/{action_id}", headers={"Authorization": f"Bearer {key}"}).json()


def test_an_approver_approves_with_a_reason(approver: str) -> None:
    action = make.ordered(asks=Asks.APPROVER)
    status, said = _post(approver, action.id, "approve", {"reason": "go ahead"})
    assert (status, said["state"], said["status"]) == (200, "ready", "pending")
    assert said["approval"]["missing"] == 0
    assert [(one["by"], one["verdict"], one["reason"]) for one in said["approval"]["given"]] == [
        ("key:bo", "approved", "go ahead")
    ]
    assert _get(approver, action.id)["timeline"][-1]["request_id"] == "night-shift-1"


def test_an_operator_clicks_suggestions_and_judges_nothing_else(operator: str) -> None:
    suggested, asked = make.ordered(asks=Asks.OPERATOR), make.ordered(asks=Asks.APPROVER, key="b", target="web-02")
    assert _post(operator, suggested.id, "approve")[0] == 200
    for verb in ("approve", "reject"):
        status, said = _post(operator, asked.id, verb)
        assert (status, said["code"]) == (403, "needs_another_person")
        assert "actions:approve" in said["detail"]


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_what_waits_for_nothing_answers_409(approver: str, verb: str) -> None:
    status, said = _post(approver, make.ordered().id, verb)
    assert (status, said["code"]) == (409, "not_waiting")
    assert said["detail"].endswith("is ready: it does not wait for anybody's word.")


def test_the_same_again_is_the_same_and_the_opposite_is_too_late(approver: str) -> None:
    action = make.ordered(asks=Asks.APPROVER)
    assert [_post(approver, action.id, "reject")[0] for _ in range(2)] == [200, 200]
    assert _post(approver, action.id, "approve")[0] == 409
    assert Approval.objects.count() == 1


@pytest.mark.parametrize("body", [{"why": "x"}, {"reason": 3}, {"reason": "x" * 2_001}])
def test_a_strange_body_is_refused_by_name(approver: str, body: object) -> None:
    action = make.ordered(asks=Asks.APPROVER)
    assert _post(approver, action.id, "approve", body)[0] == 422
    assert make.state(action.id) == "awaiting_approval"


def test_a_key_bound_to_targets_judges_those_alone() -> None:
    bound = _key("actions:approve", name="bo", targets=("db-*",))
    action = make.ordered(asks=Asks.APPROVER)
    assert _post(bound, action.id, "approve")[0] == 404
    assert make.state(action.id) == "awaiting_approval"


def test_before_approving_everything_is_there_to_see(approver: str, remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    action = make.ordered(params={"replicas": 4})
    seen = _get(approver, action.id)
    assert (seen["params"], seen["target"], seen["approvals_needed"]) == ({"replicas": 4}, "web-01", 2)
    asked = seen["approval"]
    assert (asked["needed"], asked["missing"], asked["by"], asked["risk"]) == (2, 2, "approver", "critical")
    assert asked["because"] == ["scale-up has the risk critical: two different people approve it"]
    assert asked["expires_at"] == seen["approval_expires_at"]
    assert asked["now"] == {"wanted": True, "reason": "still violated"}
    assert (asked["given"], asked["before"], asked["evidence"]) == ([], [], {})
    assert _get(approver, make.ordered(target="web-02", kind="restart", key="c").id)["approval"] is None
