"""What the policies' doors do with input that means no good."""

import json
import time
from typing import Any

import pytest

from policies.models import Policy
from tests.integration.hostile import door as doors
from tests.integration.hostile.door import Door, refused

POLICIES = "/api/v1/policies"
GOOD: dict[str, Any] = {
    "name": "high-cpu-alert",
    "target": "web-*",
    "condition": {"type": "metric_exceeds", "metric": "cpu_percent", "threshold": 90},
    "action": "scale-up",
    "params": {"replicas": 2},
}
HUGE = 10**18


def _but(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def _without(*fields: str) -> bytes:
    return json.dumps({name: value for name, value in GOOD.items() if name not in fields}).encode()


def _if(**fields: object) -> bytes:
    return _but(condition={**GOOD["condition"], **fields})


def _raw(field: str, value: str) -> bytes:
    """A field whose value is raw JSON, so that it can be no JSON at all."""
    return _but(**{field: "PLACE"}).replace(b'"PLACE"', value.encode())


def _raw_if(field: str, value: str) -> bytes:
    return _if(**{field: "PLACE"}).replace(b'"PLACE"', value.encode())


def _tree(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = dict(GOOD["condition"])
    for _ in range(depth - 1):
        inner = {"type": "not", "condition": inner}
    return inner


NO_JSON = {
    "H04 empty": b"",
    "H06 truncated": b'{"name":',
    "H07 garbage behind": _but() + b"x",
    "H08 lists": b"[" * 100_000,
    "H08 closed lists": b"[" * 100_000 + b"]" * 100_000,
    "H09 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "H09 a condition of 30,000 levels": _raw("condition", '{"type":"not","condition":' * 30_000 + "1" + "}" * 30_000),
    "H28 no UTF-8": b'{"name":"\xff\xfe"}',
    "H29 byte order mark": b"\xef\xbb\xbf" + _but(),
}
WRONG = {
    "H11 NaN": _raw_if("threshold", "NaN"),
    "H11 Infinity": _raw_if("threshold", "Infinity"),
    "H05 null": b"null",
    "H05 a list": b"[]",
    "H05 a text": b'"x"',
    "H05 true": b"true",
    "H05 nothing": b"{}",
    "H13 1e400": _raw_if("threshold", "1e400"),
    "H16 5,000 digits": _raw_if("threshold", "9" * 5_000),
    "H17 4,000 digits in a count": _raw("max_attempts", "1" * 4_000),
    "H18 2^63 in a count": _but(max_attempts=2**63),
    "H18 2^63 in a rate": _but(rate={"count": 2**63, "per": "10m"}),
    "H18 2^63 in an event's count": _but(condition={"type": "event_matches", "event": "e", "count": 2**63}),
    "H19 42 characters": _raw_if("threshold", "0.1" + "0" * 38 + "1"),
    "H21 the name twice": _but().replace(b'"name":', b'"name": "a", "name":', 1),
    "H21 a key twice in params": _raw("params", '{"replicas":1,"replicas":2}'),
    "H22 dry_runn": _but(dry_runn=True),
    "H22 is_admin": _but(is_admin=True),
    "H22 an escape sequence as a field": _but(**{"\x1b[31m": 1}),
    "H22 a right-to-left field": _but(**{"a\u202eb": 1}),
    "H22 a field of 10,000 letters": _but(**{"x" * 10_000: 1}),
    "H22 10,000 fields": _but(**{f"x{n}": 1 for n in range(10_000)}),
    "H23 NUL in the name": _but(name="a\x00b"),
    "H25 NUL in params": _but(action="custom", params={"a": "\x00"}),
    "H25 NUL in a key of params": _but(action="custom", params={"a\x00": 1}),
    "H27 half a pair in params": _but(action="custom", params={"a": "\ud800"}),
    "H50 an escape in the description": _but(description="\x1b[2Jall is well"),
    "H50 right to left in the description": _but(description="a\u202eb"),
    "H50 an escape in the note": _but(note="\x1b[31m"),
    "H50 an escape in the group": _but(group={"name": "\x1b[31m", "max": 1}),
    "H50 an escape in the metric": _if(metric="\x1b[31m"),
    "H50 a newline in the name": _but(name="a\n"),
    "H50 a newline in the metric": _if(metric="cpu\nusage"),
    "H50 a newline in the group": _but(group={"name": "a\nb", "max": 1}),
    "H51 Cyrillic": _but(name="high-cpu-\u0430lert"),
    "P01 no target": _without("target"),
    "P01 an empty list": _but(target=[]),
    "P01 null": _but(target=None),
    "P01 an empty text": _but(target=""),
    "P01 blank": _but(target="  "),
    "P02 .*": _but(target=".*"),
    "P02 **": _but(target="**"),
    "P02 ?*": _but(target="?*"),
    "P02 ***": _but(target="***"),
    "P03 40 stars": _but(target="*a" * 40),
    "P03 a doubling group": _but(target="(a+)+$"),
    "P03 recursion": _but(target="(?R)"),
    "P03 a back reference": _but(target="\\1"),
    "P03 a look behind": _but(target="(?<=a)b"),
    "P03 500 characters": _but(target="a" * 500),
    "P03 a control character": _but(target="web-\x07*"),
    "P03 a newline": _but(target="web-\n*"),
    "P03 a look behind in a tag": _if(tags={"host": {"regex": "(?<=a)b"}}),
    "P03 a back reference in a tag": _if(tags={"host": {"regex": "(a)\\1"}}),
    "P03 an enormous repeat in a tag": _if(tags={"host": {"regex": "(a{1000}){1000}"}}),
    "P03 an unclosed regex in a tag": _if(tags={"host": {"regex": "("}}),
    "P04 a threshold as text": _if(threshold="90"),
    "P04 a threshold that is true": _if(threshold=True),
    "P04 no threshold": _but(condition={"type": "metric_exceeds", "metric": "cpu"}),
    "P04 a null threshold": _if(threshold=None),
    "P04 for -1": _if(**{"for": -1}),
    "P04 for '5'": _if(**{"for": "5"}),
    "P04 for 1e9": _if(**{"for": 1e9}),
    "P04 for PT5M": _if(**{"for": "PT5M"}),
    "P04 for -5m": _if(**{"for": "-5m"}),
    "P04 for a thousand years": _if(**{"for": "365000d"}),
    "P04 for 10^30 days": _if(**{"for": f"{10**30}d"}),
    "P04 for fullwidth digits": _if(**{"for": "\uff15m"}),
    "P05 cooldown 0": _but(cooldown=0),
    "P05 cooldown 0s": _but(cooldown="0s"),
    "P05 cooldown -1": _but(cooldown=-1),
    "P05 cooldown -1s": _but(cooldown="-1s"),
    "P05 cooldown 1e18": _but(cooldown=HUGE),
    "P05 cooldown 1e18s": _but(cooldown=f"{HUGE}s"),
    "P05 max_targets": _but(max_targets=0),
    "P05 rate 0": _but(rate={"count": 0, "per": "10m"}),
    "P05 rate -1": _but(rate={"count": -1, "per": "10m"}),
    "P05 rate 10^9": _but(rate={"count": 10**9, "per": "10m"}),
    "P05 group 0": _but(group={"name": "db", "max": 0}),
    "P05 group 150%": _but(group={"name": "db", "max": "150%"}),
    "P05 max_attempts 0": _but(max_attempts=0),
    "P05 max_attempts 10^9": _but(max_attempts=10**9),
    "P05 deadline 0s": _but(deadline="0s"),
    "P05 settle -1s": _but(settle="-1s"),
    "P06 an unknown action": _but(action="reboot-the-moon"),
    "P06 exec": _but(action="exec"),
    "P06 an action with an escape": _but(action="\x1b[31m"),
    "P06 an action that is a list": _but(action=["restart"]),
    "P06 an unknown second action": _but(then=[{"action": "exec"}]),
    "P06 an unknown condition": _but(condition={"type": "python", "code": "1"}),
    "P06 an empty condition": _but(condition={}),
    "P06 a sentence that is none": _but(condition="rm -rf /"),
    "P06 an empty sentence": _but(condition=""),
    "P06 a sentence of 100,000 letters": _but(condition="cpu > 1 and " * 8_000 + "cpu > 1"),
    "P06 a sentence of 10,000 brackets": _but(condition="(" * 10_000 + "cpu > 1" + ")" * 10_000),
    "P06 a sentence of 10,000 nots": _but(condition="not " * 10_000 + "cpu > 1"),
    "P07 an unknown parameter": _but(params={"replicas": 2, "cmd": "id"}),
    "P07 a shell's semicolon": _but(action="restart", params={"service": "; rm -rf /"}),
    "P07 an option": _but(action="restart", params={"service": "--force"}),
    "P07 nested": _but(params={"replicas": {"a": 1}}),
    "P07 65 KB": _but(action="custom", params={"a": "x" * 65_000}),
    "P07 nine levels": _but(action="custom", params={"a": _tree(9)}),
    "P07 params are a list": _but(params=[1]),
    "P07 replicas are true": _but(params={"replicas": True}),
    "P07 replicas are 2.5": _but(params={"replicas": 2.5}),
    "P08 secrets": _but(action="restart", params={"service": "{{ secrets.X }}"}),
    "P08 a class": _but(action="restart", params={"service": "{{ target.__class__ }}"}),
    "P08 unclosed": _but(action="restart", params={"service": "{{ target"}),
    "P08 10,000 placeholders": _but(action="restart", params={"service": "{{a}}" * 10_000}),
    "P09 nine levels": _but(condition=_tree(9)),
    "P09 51 conditions": _but(condition={"type": "all", "conditions": [GOOD["condition"]] * 51}),
    "P09 500 conditions": _but(condition={"type": "any", "conditions": [GOOD["condition"]] * 500}),
    "P09 no conditions": _but(condition={"type": "all", "conditions": []}),
    "P09 a not of two": _but(condition={"type": "not", "conditions": [GOOD["condition"]] * 2}),
    "P09 a condition that is a number": _but(condition=5),
    "P09 nine steps": _but(then=[{"action": "restart"}] * 9),
    "P10 a URL": _but(url="http://169.254.169.254/latest/meta-data"),
    "P10 a remediator": _but(remediator={"url": "file:///etc/passwd"}),
    "P12 id": _but(id=1),
    "P12 state": _but(state="approved"),
    "P12 digest": _but(digest="0"),
    "P12 created_by": _but(created_by="user:root"),
    "P12 approved": _but(approved=True),
    "P12 deleted_at": _but(deleted_at=None),
    "P12 current_id": _but(current_id=1),
    "an API word as a name": _but(name="evaluate"),
    "a path as a name": _but(name="../../etc/passwd"),
    "a name of 101": _but(name="a" * 101),
    "a description of 2,001": _but(description="a" * 2_001),
    "enabled as text": _but(enabled="yes"),
    "two modes": _but(mode="observe", auto_remediate=True),
    "an unknown severity": _but(severity="apocalyptic"),
    "a target tag with a space": _but(target_tag="a b"),
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_a_body_that_is_no_json_is_a_400(door: Door, body: bytes) -> None:
    refused(door.send("POST", POLICIES, body), 400)


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_a_policy_that_cannot_be_meant_is_a_422(door: Door, body: bytes) -> None:
    started = time.monotonic()
    refused(door.send("POST", POLICIES, body), 422)
    assert time.monotonic() - started < 5


CHANGES = {name: body for name, body in WRONG.items() if name not in ("H05 nothing", "P01 no target", "two modes")}
"""A partial body may leave things out; of two words for one switch the changed one wins."""


@pytest.mark.parametrize("body", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
def test_and_no_way_to_change_one(door: Door, verb: str, body: bytes) -> None:
    assert door.send("POST", POLICIES, GOOD).status == 201
    refused(door.send(verb, f"{POLICIES}/{GOOD['name']}", body), 422)
    assert door.send("GET", f"{POLICIES}/{GOOD['name']}", content_type="").document["version"] == 1


@pytest.mark.parametrize("field", ["sentence", "created_at", "author"])
def test_what_vigil_writes_nobody_else_does(door: Door, field: str) -> None:
    """P12"""
    door.send("POST", POLICIES, GOOD)
    refused(door.send("PATCH", f"{POLICIES}/{GOOD['name']}", {field: "user:root"}), 422)


@pytest.mark.parametrize("field", ["updated_at", "health"])
def test_what_moves_by_itself_is_not_moved_by_a_body(door: Door, field: str) -> None:
    """P12: these come back from whoever sends a policy as it was read."""
    door.send("POST", POLICIES, GOOD)
    before = door.send("GET", f"{POLICIES}/{GOOD['name']}", content_type="").document
    answer = door.send("PATCH", f"{POLICIES}/{GOOD['name']}", {field: {"disabled_by_error": True}})
    assert (answer.status, answer.left) == (200, {})
    assert answer.document == {**before, "warnings": []}


VERSIONS = {"an older one": '"0"', "a newer one": '"2"', "weak and wrong": 'W/"7"', "a huge one": f'"{10**30}"'}
VERSIONS |= {"garbage": "x", "two": '"1", "2"', "SQL": "1 OR 1=1", "unquoted": "1"}


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
@pytest.mark.parametrize(
    ("verb", "body"), [("PUT", {"enabled": False}), ("PATCH", {"enabled": False}), ("DELETE", b"")]
)
def test_a_stale_or_odd_version_changes_nothing(door: Door, verb: str, body: object, version: str) -> None:
    """P13"""
    door.send("POST", POLICIES, GOOD)
    refused(door.send(verb, f"{POLICIES}/{GOOD['name']}", body, headers=door.with_key(If_Match=version)), 412)


@pytest.mark.parametrize("version", [0, 2, -1, 2**63, 2**70])
def test_nor_does_one_in_the_body(door: Door, version: int) -> None:
    """P13"""
    door.send("POST", POLICIES, GOOD)
    refused(door.send("PATCH", f"{POLICIES}/{GOOD['name']}", {"version": version, "enabled": False}), 412)


NAMES = {
    "unknown": "nothing-here",
    "NUL": "a%00b",
    "newline": "a%0Ab",
    "escape": "%1B[31m",
    "no UTF-8": "%FF%FE",
    "a path": "..%2F..%2Fetc%2Fpasswd",
    "dots": "%2e%2e",
    "SQL": "'%20OR%20'1'='1",
    "template": "{{7*7}}",
    "8,000 letters": "a" * 8_000,
    "right to left": "a%E2%80%AEb",
    "half a pair": "%ED%A0%80",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize(
    ("verb", "below"),
    [("GET", ""), ("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", "/enable"), ("PUT", "/disable")],
)
def test_a_policy_that_is_not_there_is_a_404(door: Door, verb: str, below: str, name: str) -> None:
    refused(door.send(verb, f"{POLICIES}/{name}{below}", b"{}"), 404)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_nor_is_there_such_a_severity(door: Door, name: str) -> None:
    refused(door.send("GET", f"{POLICIES}/severity/{name}", content_type=""), 404)


def test_a_key_without_the_scope_switches_nothing_on(door: Door) -> None:
    """P12"""
    door.send("POST", POLICIES, {**GOOD, "enabled": False})
    reader = doors.of("read", "ingest", "actions:write", name="reader")
    refused(reader.send("PATCH", f"{POLICIES}/{GOOD['name']}", {"enabled": True}), 403)
    refused(reader.send("PUT", f"{POLICIES}/{GOOD['name']}/enable"), 403)
    assert not Policy.objects.get().enabled


EVALUATE = {
    "H05 null": b"null",
    "H05 nothing": b"{}",
    "no metrics": b'{"metrics":{}}',
    "H12 a value as text": b'{"metrics":{"cpu":"95"}}',
    "H13 1e400": b'{"metrics":{"cpu":1e400}}',
    "H14 true": b'{"metrics":{"cpu":true}}',
    "H20 null": b'{"metrics":{"cpu":null}}',
    "H21 twice": b'{"metrics":{"cpu":1,"cpu":2}}',
    "H22 unknown": b'{"metrics":{"cpu":1},"dry_runn":true}',
    "H23 NUL": b'{"metrics":{"cpu\\u0000":1}}',
    "H26 half a pair": b'{"metrics":{"\\ud800":1}}',
    "H46 33 tags": json.dumps({"metrics": {"cpu": 1}, "tags": {f"k{n}": "v" for n in range(33)}}).encode(),
    "101 metrics": json.dumps({"metrics": {f"m{n}": 1 for n in range(101)}}).encode(),
    "an empty target": b'{"metrics":{"cpu":1},"target":""}',
    "a target of 251": b'{"metrics":{"cpu":1},"target":"' + b"a" * 251 + b'"}',
    "policies as text": b'{"metrics":{"cpu":1},"policies":"all"}',
}


@pytest.mark.parametrize("body", EVALUATE.values(), ids=EVALUATE.keys())
def test_a_trial_with_wrong_values_is_a_422(door: Door, body: bytes) -> None:
    refused(door.send("POST", f"{POLICIES}/evaluate", body), 422)


def test_a_trial_of_a_policy_that_is_not_there_is_a_404(door: Door) -> None:
    refused(door.send("POST", f"{POLICIES}/evaluate", {"metrics": {"cpu": 1}, "policies": ["nothing-here"]}), 404)


def test_a_name_that_is_taken_is_a_409(door: Door) -> None:
    assert door.send("POST", POLICIES, GOOD).status == 201
    refused(door.send("POST", POLICIES, GOOD), 409)


PLACEHOLDERS = ["{{ target }}", "{{ tags.x }}", "{0.__class__}", "%(x)s", "${jndi:ldap://x}", "#{7*7}", "{% debug %}"]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_parameters_are_data(door: Door, text: str) -> None:
    """P08: where any parameter is taken, it is kept and shown as written; `{{` is for the table's names alone."""
    answer = door.send("POST", POLICIES, {**GOOD, "action": "custom", "params": {"a": text}, "description": text})
    assert answer.status == 201
    assert (answer.document["params"], answer.document["description"]) == ({"a": text}, text)


@pytest.mark.parametrize(
    "text", ["{{ {{x}} }}", "{{ target.__class__ }}", "{{ 7*7 }}", "{{ config }}", "{{", "{{{ target }}}"]
)
def test_what_opens_like_a_placeholder_and_is_none_is_a_422(door: Door, text: str) -> None:
    answer = door.send("POST", POLICIES, {**GOOD, "action": "custom", "params": {"a": text}})
    refused(answer, 422)
    assert {error["path"] for error in answer.document["errors"]} == {"params.a"}
