"""The signed callback: how a remediator says by itself that its work ended."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from actions import dispatch, queries, steering
from actions.claims import Intent, intend
from actions.models import Action, ActionType, Circuit, Remediator
from actions.remediators import signing
from tests.integration.actions import fakes, make
from vigil.kernel import clock

SECRET = "a-secret-of-more-than-twenty-four-bytes"


@pytest.fixture(autouse=True)
def signing_remote(remote: fakes.Fake) -> fakes.Fake:
    """A remediator that has a secret and answers 202."""
    row = Remediator.objects.get(name="fake")
    row.secret = SECRET
    row.save(update_fields=["secret"])
    remote.outcomes = [fakes.ACCEPTED]
    return remote


def accepted(**order: Any) -> queries.ActionView:
    action = make.ordered(**order)
    make.run(action.id)
    assert make.state(action.id) == "accepted"
    return action


def report(action: queries.ActionView, **said: object) -> dict[str, object]:
    return {"key": str(action.uid), "status": "success", "message": "restarted", **said}


def send(
    client: Client, action_id: int, body: Mapping[str, object], *, secret: str = SECRET, at: datetime | None = None
) -> tuple[int, Any]:
    raw = json.dumps(body).encode()
    headers = signing.headers(secret=secret, message_id="any-id", at=at or clock.now(), body=raw)
    url = f"/api/v1/actions/{action_id}/result"
    answer = client.post(url, data=raw, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("word", "state"), [("success", "succeeded"), ("completed", "succeeded"), ("error", "failed")])
def test_a_report_ends_what_was_accepted(client: Client, word: str, state: str) -> None:
    action = accepted()
    status, shown = send(client, action.id, report(action, status=word, details={"pid": 7}))
    assert (status, shown["state"], shown["details"]) == (200, state, "restarted")
    (attempt,) = queries.attempts_of(action.id)
    assert (attempt.outcome, attempt.message, attempt.details) == (state, "restarted", {"pid": 7})
    assert make.story(action.id)[-2:] == ["accepted", state]
    assert (queries.get(action.id).verify_after is not None) is (state == "succeeded")


def test_the_same_report_again_changes_nothing(client: Client) -> None:
    action = accepted()
    first, again = (send(client, action.id, report(action)) for _ in range(2))
    assert (first[0], again) == (200, first)
    assert make.story(action.id)[-2:] == ["accepted", "succeeded"]


@pytest.mark.parametrize("state", ["unknown", "needs_human"])
def test_a_report_settles_a_doubt(client: Client, state: str) -> None:
    action = accepted()
    Action.objects.filter(pk=action.id).update(state=state)
    assert send(client, action.id, report(action, status="failed"))[1]["state"] == "failed"


def test_a_report_counts_for_the_circuit_of_its_remediator_as_an_answer_does(
    client: Client, signing_remote: fakes.Fake
) -> None:
    signing_remote.outcomes = [fakes.ACCEPTED, fakes.REFUSED]
    first, second = (make.ordered(target=name, key=f"policy:x:incident:7:step:{name}") for name in ("a", "b"))
    for action in (first, second):
        make.run(action.id)
    assert Circuit.objects.get().failures == 1
    for _ in range(2):
        assert send(client, first.id, report(first, status="failed"))[0] == 200
    assert Circuit.objects.get().failures == 0  # one that reports a failure works


def test_failures_that_are_reported_count_for_the_circuit_of_the_policy(client: Client) -> None:
    for number in range(5):
        action = accepted(target=f"web-{number:02}", key=f"policy:high-cpu:incident:{number}:step:0")
        assert send(client, action.id, report(action, status="failed"))[0] == 200
    held = make.answer(key="policy:high-cpu:incident:9:step:0", target="web-09")
    assert isinstance(held, dispatch.Held)
    assert (held.guard, held.numbers["failures"]) == ("circuit", 5)


def test_a_report_while_the_call_is_being_sent_comes_too_early(client: Client) -> None:
    action = make.ordered()
    assert isinstance(intend(make.leased(action.id)), Intent)
    assert send(client, action.id, report(action))[0] == 409
    assert make.state(action.id) == "executing"


def test_what_is_over_or_not_begun_waits_for_no_report(client: Client) -> None:
    over, waiting = accepted(), make.by_hand(target="web-02")
    send(client, over.id, report(over))
    for action, said in ((over, {"status": "failed"}), (waiting, {})):
        status, error = send(client, action.id, report(action, **said))
        assert (status, error["code"]) == (409, "unable_to_settle")
    assert (make.state(over.id), make.state(waiting.id)) == ("succeeded", "ready")


def test_a_cancelled_doubt_stays_cancelled(client: Client) -> None:
    action = accepted()
    Action.objects.filter(pk=action.id).update(state="needs_human")
    steering.cancel(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    assert send(client, action.id, report(action))[0] == 409


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"key": "another"}, "key"),
        ({"run_id": "run-2"}, "run_id"),
        ({"status": "running"}, "status"),
        ({"action_id": 999_999}, "action_id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_report_about_something_else_is_refused(client: Client, said: dict[str, object], path: str) -> None:
    action = accepted()
    status, error = send(client, action.id, report(action, **said))
    assert (status, error["errors"][0]["path"]) == (422, path)
    assert make.state(action.id) == "accepted"


def test_only_the_actions_own_remediator_may_report(client: Client) -> None:
    action = accepted()
    hour_ago = clock.now() - timedelta(hours=1)
    for status, _ in (
        send(client, action.id, report(action), secret="x" * 32),
        send(client, action.id, report(action), secret=""),
        send(client, action.id, report(action), at=hour_ago),
        send(client, action.id + 1_000, report(action)),
    ):
        assert status == 401
    assert make.state(action.id) == "accepted"


def test_a_remediator_without_a_secret_cannot_report(client: Client) -> None:
    action = accepted()
    ActionType.objects.update(remediator=Remediator.objects.create(name="unsigned", kind="fake"))
    assert send(client, action.id, report(action))[0] == 401
