"""What the actions' doors and the control switch do with input that means no good."""

import json
from typing import Any

import pytest

from actions import control
from actions.models import Action
from tests.integration.hostile import door as doors
from tests.integration.hostile.door import Door, refused

ACTIONS = "/api/v1/actions"
GOOD: dict[str, Any] = {"action": "restart", "target": "web-01"}


def _but(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def _nested(depth: int) -> object:
    inner: object = 1
    for _ in range(depth):
        inner = {"a": inner}
    return inner


NO_JSON = {
    "H04 empty": b"",
    "H06 truncated": b'{"action":',
    "H07 garbage behind": _but() + b"x",
    "H08 lists": b"[" * 100_000,
    "H09 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "H10 params of 40 levels": _but(action="custom", params=_nested(40)),
    "H28 no UTF-8": b'{"action":"\xff"}',
    "H29 byte order mark": b"\xef\xbb\xbf" + _but(),
}
WRONG = {
    "H11 NaN": b'{"action":"custom","target":"a","params":{"a":NaN}}',
    "H05 null": b"null",
    "H05 a list": b"[]",
    "H05 a number": b"1",
    "H05 nothing": b"{}",
    "H10 params of nine levels": _but(action="custom", params=_nested(9)),
    "H13 1e400": b'{"action":"custom","target":"a","params":{"a":1e400}}',
    "H16 5,000 digits": b'{"action":"custom","target":"a","params":{"a":' + b"9" * 5_000 + b"}}",
    "H18 2^63 replicas": _but(action="scale-up", params={"replicas": 2**63}),
    "H21 the target twice": b'{"action":"restart","target":"a","target":"b"}',
    "H22 dry_runn": _but(dry_runn=True),
    "H22 an escape sequence as a field": _but(**{"\x1b[31m": 1}),
    "H22 a field of 10,000 letters": _but(**{"x" * 10_000: 1}),
    "H23 NUL in the target": _but(target="a\x00"),
    "H23 NUL in the action": _but(action="a\x00"),
    "H25 NUL in params": _but(action="custom", params={"a": ["\x00"]}),
    "H25 NUL in a key of params": _but(action="custom", params={"a\x00": 1}),
    "H25 NUL in the reason": _but(reason="\x00"),
    "H27 half a pair in params": _but(action="custom", params={"a": "\ud800"}),
    "H50 a newline in the target": _but(target="a\nb"),
    "H50 an escape in the target": _but(target="\x1b[31m"),
    "H50 right to left in the target": _but(target="a\u202eb"),
    "H50 an escape in the reason": _but(reason="\x1b[2J"),
    "H50 a fake log line in the reason": _but(reason="ok\r\x1b[A[ERROR]"),
    "H50 an escape in the severity": _but(severity="\x1b[31m"),
    "H50 an escape in params": _but(action="custom", params={"a": "\x1b]0;x\x07"}),
    "H52 an action that is a number": _but(action=5),
    "H52 a target that is a list": _but(target=["web-01"]),
    "P01 no target": b'{"action":"restart"}',
    "P01 an empty target": _but(target=""),
    "P01 a blank target": _but(target="  "),
    "P01 null": _but(target=None),
    "P02 everything": _but(target="*"),
    "P02 all": _but(target="all"),
    "a target of 251": _but(target="a" * 251),
    "P06 an unknown action": _but(action="reboot-the-moon"),
    "P06 exec": _but(action="exec"),
    "P06 an action of 10,000 letters": _but(action="x" * 10_000),
    "P06 no action": b'{"target":"web-01"}',
    "P07 an unknown parameter": _but(params={"cmd": "id"}),
    "P07 an unknown parameter with an escape": _but(params={"\x1b[31m": "id"}),
    "P07 a parameter's name of 10,000": _but(params={"x" * 10_000: "id"}),
    "P07 a shell's semicolon": _but(params={"service": "; rm -rf /"}),
    "P07 an option": _but(params={"service": "-rf"}),
    "P07 nested": _but(params={"service": {"a": 1}}),
    "P07 65 KB": _but(action="custom", params={"a": "x" * 65_000}),
    "P07 params are a text": _but(params="x"),
    "P07 params are null": _but(params=None),
    "P08 a placeholder": _but(params={"service": "{{ secrets.X }}"}),
    "P12 state": _but(state="succeeded"),
    "P12 approved_by": _but(approved_by="user:root"),
    "P12 lease_until": _but(lease_until="2099-01-01T00:00:00Z"),
    "P12 fence": _but(fence=9),
    "P12 dedup_key": _but(dedup_key="policy:x"),
    "P12 policy_name": _but(policy_name="high-cpu-alert"),
    "P12 incident_id": _but(incident_id=1),
    "P12 ordered_by": _but(ordered_by="user:root"),
    "a reason of 2,001": _but(reason="a" * 2_001),
    "an unknown severity": _but(severity="apocalyptic"),
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_a_body_that_is_no_json_is_a_400(door: Door, body: bytes) -> None:
    refused(door.send("POST", ACTIONS, body), 400)


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_an_order_that_cannot_be_meant_is_a_422(door: Door, body: bytes) -> None:
    refused(door.send("POST", ACTIONS, body), 422)


def _ordered(door: Door) -> int:
    answer = door.send("POST", ACTIONS, GOOD)
    assert answer.status == 201, answer.body
    return int(answer.document["id"])


NOTES = {"NUL": "\x00", "an escape": "\x1b[31m", "right to left": "\u202e", "10,001": "a" * 10_001, "a number": 5}


@pytest.mark.parametrize("notes", NOTES.values(), ids=NOTES.keys())
def test_notes_that_would_act_are_refused(door: Door, notes: object) -> None:
    action_id = _ordered(door)
    refused(door.send("PATCH", f"{ACTIONS}/{action_id}", {"notes": notes}), 422)
    refused(door.send("POST", f"{ACTIONS}/{action_id}/notes", {"notes": notes}), 422)


@pytest.mark.parametrize(
    "field", ["state", "status", "attempts", "verification", "params", "fence", "ordered_by", "id"]
)
def test_only_the_notes_of_an_action_can_be_changed(door: Door, field: str) -> None:
    """P12"""
    action_id = _ordered(door)
    refused(door.send("PATCH", f"{ACTIONS}/{action_id}", {"notes": "n", field: "succeeded"}), 422)
    assert Action.objects.get().state == "ready"


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize("body", [b'{"reason":"\\u001b[31m"}', b'{"reason":5}', b'{"force":true}', b"[]", b"null"])
def test_a_verb_with_an_odd_body_does_nothing(door: Door, verb: str, body: bytes) -> None:
    action_id = _ordered(door)
    refused(door.send("POST", f"{ACTIONS}/{action_id}/{verb}", body), 422)
    assert Action.objects.get().state == "ready"


IDS = ["0", "999999999999999999", "9" * 18, "9" * 19, "9" * 5_000, "-1", "1.5", "%00", "1%00", "x", "%D9%A1", "../1"]


@pytest.mark.parametrize("action_id", IDS)
@pytest.mark.parametrize("below", ["", "/cancel", "/retry", "/notes"])
def test_an_action_that_is_not_there_is_a_404(door: Door, below: str, action_id: str) -> None:
    verb, body = ("POST", b'{"notes":""}' if below == "/notes" else b"") if below else ("GET", b"")
    refused(door.send(verb, f"{ACTIONS}/{action_id}{below}", body), 404)


@pytest.mark.parametrize("incident_id", IDS)
@pytest.mark.parametrize("below", ["", "/explain", "/acknowledge", "/resolve"])
def test_nor_is_there_such_an_incident(door: Door, below: str, incident_id: str) -> None:
    verb = "POST" if below in ("/acknowledge", "/resolve") else "GET"
    refused(door.send(verb, f"/api/v1/incidents/{incident_id}{below}"), 404)


@pytest.mark.parametrize("status", ["succeeded", "%00", "..", "%1B[31m", "PENDING", "x" * 5_000, "%FF"])
def test_nor_is_there_such_a_status(door: Door, status: str) -> None:
    refused(door.send("GET", f"{ACTIONS}/status/{status}", content_type=""), 404)


CONTROL = {
    "an unknown mode": b'{"mode":"off"}',
    "no mode": b'{"reason":"x"}',
    "a mode that is true": b'{"mode":true}',
    "an escape in the reason": b'{"mode":"paused","reason":"\\u001b[31m"}',
    "an unknown field": b'{"mode":"paused","by":"user:root"}',
    "null": b"null",
    "a reason of 2,001": b'{"mode":"paused","reason":"' + b"a" * 2_001 + b'"}',
}


@pytest.mark.parametrize("body", CONTROL.values(), ids=CONTROL.keys())
def test_the_switch_stays_where_it_is(door: Door, body: bytes) -> None:
    refused(door.send("PUT", "/api/v1/control", body), 422)
    assert control.state().mode == "active"


def test_a_key_bound_to_targets_orders_for_those_alone(door: Door) -> None:
    """H58"""
    bound = doors.of("actions:write", "read", targets=["web-*"], name="bound")
    refused(bound.send("POST", ACTIONS, {**GOOD, "target": "db-01"}), 403)
    action_id = int(door.send("POST", ACTIONS, {**GOOD, "target": "db-02"}).document["id"])
    refused(bound.send("GET", f"{ACTIONS}/{action_id}", content_type=""), 404)
    refused(bound.send("POST", f"{ACTIONS}/{action_id}/cancel"), 404)
    assert bound.send("POST", ACTIONS, GOOD).status == 201


@pytest.mark.parametrize("text", ["{{ target }}", "${jndi:ldap://x}", "%(x)s", "$(reboot)", "=cmd|' /C calc'!A0"])
def test_parameters_and_reasons_are_data(door: Door, text: str) -> None:
    """H59, P08"""
    answer = door.send("POST", ACTIONS, {"action": "custom", "target": "a", "params": {"a": text}, "reason": text})
    assert answer.status == 201
    kept = Action.objects.get()
    assert (kept.params, kept.reason) == ({"a": text}, text)


SIMULATOR = [b"null", b'{"rate":0}', b'{"rate":true}', b'{"rate":1e400}', b'{"scenario":"\\u001b[31m"}', b'{"x":1}']


@pytest.mark.parametrize("body", SIMULATOR)
def test_the_simulator_starts_nothing_of_that_kind(door: Door, settings: Any, body: bytes) -> None:
    settings.VIGIL_SIMULATOR_ENABLED = True
    refused(door.send("POST", "/api/v1/simulator/start", body), 422)
