"""The simulated remediator's judgement: the strict contract, point by point."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from simulator import scenarios
from simulator.configuration import Chaos
from simulator.desk import Desk, Reply
from simulator.physics import Fault
from simulator.world import World
from vigil.kernel import clock

SECRET = "whsec_c2ltdWxhdG9yLXRlc3Qtc2VjcmV0LTMyLWJ5dGVzIQ=="


def make_desk(*, secret: str = "", chaos: Chaos | None = None, scenario: str = "cpu-spike") -> Desk:
    at = clock.now()
    world = World(scenario=scenarios.find(scenario), targets=1, seed=1, at=at - timedelta(seconds=5))
    world.readings(targets=["web-01"], at=at)
    return Desk(world=world, secret=secret, chaos=chaos or Chaos())


def call(
    desk: Desk,
    *,
    key: str = "k1",
    attempt: int = 1,
    action: str = "scale-up",
    target: str = "web-01",
    params: dict[str, object] | None = None,
    at: datetime | None = None,
    **headers: str,
) -> Reply:
    body = {"action_id": 456, "action": action, "target": target, "params": params or {}, "attempt": attempt}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return desk.take(
        headers={"idempotency-key": key, **named}, body=json.dumps(body).encode(), at=at if at else clock.now()
    )


def test_a_call_is_carried_out_and_answered_with_its_ids() -> None:
    desk = make_desk()
    reply = call(desk)
    assert reply.status == 200
    assert reply.body["status"] == "success"
    assert (reply.body["action_id"], reply.body["key"]) == (456, "k1")
    assert desk.world.faults() == {}


def test_the_same_key_acts_once_and_is_answered_the_same() -> None:
    desk = make_desk()
    first = call(desk)
    assert call(desk, attempt=2) == first
    assert [one.kind for one in desk.world.happenings()] == ["broke", "remedied"]


def test_the_same_key_for_another_call_is_refused() -> None:
    desk = make_desk()
    call(desk)
    reply = call(desk, params={"replicas": 9})
    assert (reply.status, reply.body["code"]) == (422, "key_reused")


def test_a_failure_is_repeated_to_the_same_attempt_and_tried_anew_for_the_next() -> None:
    desk = make_desk()
    assert call(desk, target="nobody").body["status"] == "failed"
    call(desk, target="nobody")
    assert len(desk.world.happenings()) == 2
    call(desk, target="nobody", attempt=2)
    assert len(desk.world.happenings()) == 3


def test_an_older_fence_is_refused_and_changes_nothing() -> None:
    desk = make_desk()
    assert call(desk, key="new", action="custom", vigil_fence="web-01;7").status == 200
    reply = call(desk, key="old", vigil_fence="web-01;6")
    assert (reply.status, reply.body["code"]) == (409, "stale_fence")
    assert desk.world.faults() == {"web-01": Fault.LOAD}


def test_fences_are_kept_for_each_target() -> None:
    desk = make_desk()
    call(desk, key="a", target="db-01", vigil_fence="db-01;99")
    assert call(desk, key="b", vigil_fence="web-01;1").status == 200


def test_a_passed_deadline_is_refused() -> None:
    desk = make_desk()
    at = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
    reply = call(desk, at=at, vigil_deadline="2026-01-19T11:59:59Z")
    assert (reply.status, reply.body["code"]) == (409, "deadline_passed")
    assert call(desk, at=at, vigil_deadline="2026-01-19T12:00:01Z").status == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b'{"action_id": 1, "action": "restart", "target": "web-01"}', 400),
        ({"idempotency-key": "k"}, b"{", 400),
        ({"idempotency-key": "k"}, b"[]", 400),
        ({"idempotency-key": "k"}, b"\xff", 400),
        ({"idempotency-key": "k"}, b'{"action_id": 1, "action": "restart"}', 422),
        ({"idempotency-key": "k"}, b'{"action": "restart", "target": "web-01"}', 422),
        ({"idempotency-key": "k"}, b'{"action_id": 1, "action": "restart", "target": "web-01", "params": 3}', 422),
        (
            {"idempotency-key": "k", "vigil-fence": "web-01;x"},
            b'{"action_id": 1, "action": "restart", "target": "web-01"}',
            400,
        ),
        (
            {"idempotency-key": "k", "vigil-deadline": "2026-01-19T12:00:00"},
            b'{"action_id": 1, "action": "restart", "target": "web-01"}',
            422,
        ),
    ],
)
def test_what_is_no_sound_call_is_refused(headers: dict[str, str], body: bytes, status: int) -> None:
    desk = make_desk()
    assert desk.take(headers=headers, body=body, at=clock.now()).status == status
    assert desk.world.faults() == {"web-01": Fault.LOAD}


def signed(body: bytes, *, secret: str = SECRET, at: datetime | None = None, key_id: str = "k1") -> dict[str, str]:
    moment = at or clock.now()
    key = secret if secret.startswith("whsec_") else secret.encode()
    mark = Webhook(key).sign(msg_id=f"{key_id}.1", timestamp=moment, data=body.decode())
    return {
        "idempotency-key": key_id,
        "webhook-id": f"{key_id}.1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": mark,
    }


BODY = b'{"action_id": 1, "action": "scale-up", "target": "web-01"}'


def test_a_good_signature_is_taken() -> None:
    assert make_desk(secret=SECRET).take(headers=signed(BODY), body=BODY, at=clock.now()).status == 200


def test_a_secret_that_is_no_base64_signs_as_it_is() -> None:
    plain = "a plain secret?".replace(" ", "-") + "-of-more-than-24-bytes"
    desk = make_desk(secret=plain)
    assert desk.take(headers=signed(BODY, secret=plain), body=BODY, at=clock.now()).status == 200


def test_both_secrets_count_while_one_replaces_the_other() -> None:
    desk = make_desk(secret=f"whsec_{'A' * 44} {SECRET}")
    assert desk.take(headers=signed(BODY), body=BODY, at=clock.now()).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"idempotency-key": "k1"},
        signed(BODY, secret="whsec_" + "A" * 44),
        signed(BODY + b" "),
        signed(BODY, at=datetime(2020, 1, 1, tzinfo=UTC)),
        signed(BODY) | {"webhook-signature": "v1,not base64!"},
        signed(BODY) | {"webhook-signature": "nonsense"},
        signed(BODY) | {"idempotency-key": "another"},
    ],
    ids=["none", "other secret", "other body", "old", "not base64", "nonsense", "a key of its own"],
)
def test_any_other_signature_is_refused(headers: dict[str, str]) -> None:
    desk = make_desk(secret=SECRET)
    reply = desk.take(headers=headers, body=BODY, at=clock.now())
    assert (reply.status, reply.body["code"]) == (401, "bad_signature")
    assert desk.world.faults() == {"web-01": Fault.LOAD}


def test_an_unknown_action_is_refused_and_not_remembered() -> None:
    desk = make_desk()
    reply = call(desk, action="pray")
    assert (reply.status, reply.body["code"]) == (422, "unknown_action")
    assert "restart-service" in str(reply.body["message"])
    assert desk.run(key="k1", at=clock.now()).status == 404


def test_a_slow_action_runs_on_and_can_be_asked_about() -> None:
    desk = make_desk(scenario="quiet")
    at = clock.now()
    assert call(desk, action="snapshot", at=at).status == 202
    assert desk.run(key="k1", at=at).body["status"] == "running"
    assert call(desk, action="snapshot", at=at, attempt=2).status == 202
    assert desk.world.happenings() == []
    done = desk.run(key="k1", at=at + timedelta(seconds=1))
    assert (done.status, done.body["status"]) == (200, "done")
    assert [one.kind for one in desk.world.happenings()] == ["remedied"]


def test_a_slow_action_ends_without_being_asked_about() -> None:
    desk = make_desk(scenario="quiet")
    at = clock.now()
    call(desk, action="snapshot", at=at)
    desk.settle(at=at + timedelta(seconds=2))
    assert [one.kind for one in desk.world.happenings()] == ["remedied"]


def test_an_unknown_key_is_not_found() -> None:
    reply = make_desk().run(key="never", at=clock.now())
    assert (reply.status, reply.body["status"]) == (404, "not_found")


def test_chaos_fails_before_anything_is_done() -> None:
    desk = make_desk(chaos=Chaos(failure=100))
    reply = call(desk)
    assert (reply.status, reply.body["code"]) == (503, "chaos")
    assert desk.world.faults() == {"web-01": Fault.LOAD}
    assert desk.run(key="k1", at=clock.now()).status == 404


def test_chaos_stays_silent_after_it_was_done_and_the_key_tells() -> None:
    desk = make_desk(chaos=Chaos(timeout=100))
    assert call(desk).silence
    assert desk.world.faults() == {}
    assert desk.run(key="k1", at=clock.now()).body["status"] == "done"


def test_chaos_takes_about_its_share_and_the_same_share_again() -> None:
    def failed() -> list[int]:
        desk = make_desk(chaos=Chaos(failure=20))
        return [n for n in range(500) if call(desk, key=f"k{n}", action="custom").status == 503]

    once = failed()
    assert 60 <= len(once) <= 140
    assert failed() == once
