"""The contract that every kind of remediator keeps, whatever it does underneath."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import pytest
import structlog
from django.core.exceptions import ImproperlyConfigured

from actions.remediators import base, registry
from tests.unit.remediators import peers

type Build = Callable[[str], base.Remediator]


class Echo:
    """A kind from somebody else's package, named by dotted path."""

    kind = "echo"
    durable_keys = True

    def __init__(self, *, config: object, secret: str, commands: base.Commands) -> None:
        self.config = config

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        return base.Outcome(kind="succeeded", message=call.reason, first_byte_at_monotonic=time.monotonic())

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        return base.Answer(state="not_found")


EXTRA = {"echo": f"{__name__}.Echo"}


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """A working remediator of each kind."""
    with ExitStack() as stack:
        good = peers.answer(json.dumps({"status": "success"}).encode())
        peer = stack.enter_context(peers.listening(lambda line: line.sendall(good)))
        commands = {"remedy": str(peers.executable(tmp_path, "echo done"))}
        configs: dict[str, dict[str, object]] = {"http": {"url": peer.url}, "command": {"command": "remedy"}}

        def make(kind: str) -> base.Remediator:
            return registry.build(kind=kind, config=configs.get(kind, {}), commands=commands, extra=EXTRA)

        yield make


@pytest.fixture(params=sorted(registry.kinds(EXTRA) - {"pull"}))  # nobody calls that one: see test_pulling
def remediator(request: pytest.FixtureRequest, build: Build) -> base.Remediator:
    return build(request.param)


def test_it_carries_a_call_out_and_says_when_it_began(remediator: base.Remediator) -> None:
    began = time.monotonic()
    outcome = remediator.call(peers.call(), deadline_monotonic=began + 5)
    assert (outcome.kind, outcome.error_class, outcome.retryable) == ("succeeded", "", False)
    assert outcome.first_byte_at_monotonic is not None
    assert began <= outcome.first_byte_at_monotonic <= time.monotonic()
    assert outcome.message


def test_its_outcome_can_be_stored(remediator: base.Remediator) -> None:
    outcome = remediator.call(peers.call(), deadline_monotonic=time.monotonic() + 5)
    assert len(outcome.excerpt.encode()) <= base.EXCERPT_LIMIT_BYTES
    assert len(outcome.message.encode()) <= base.MESSAGE_LIMIT_BYTES
    assert len(json.dumps(outcome.details)) <= base.DETAILS_LIMIT_BYTES


def test_a_deadline_in_the_past_does_not_hang_or_raise(remediator: base.Remediator) -> None:
    began = time.monotonic()
    outcome = remediator.call(peers.call(), deadline_monotonic=began - 1)
    assert outcome.kind in {"succeeded", "failed", "ambiguous"}
    assert time.monotonic() - began < 2


def test_it_answers_a_question_about_a_key_it_never_saw(remediator: base.Remediator) -> None:
    answer = remediator.ask("uid-0", "", deadline_monotonic=time.monotonic() + 5)
    assert answer.state in {"not_found", "cannot_say", "done"}  # this peer answers everything with success


def test_strange_but_possible_calls_do_not_raise(remediator: base.Remediator) -> None:
    call = peers.call(target="wéb;01\n%", uid="a b/ü\r\n", params={"deep": {"x": [None, 1.5]}, "text": "\ud800\0"})
    assert remediator.call(call, deadline_monotonic=time.monotonic() + 5).kind == "succeeded"


def test_it_says_its_kind_and_whether_its_keys_last(remediator: base.Remediator) -> None:
    assert remediator.kind in registry.kinds(EXTRA)
    assert isinstance(remediator.durable_keys, bool)


@pytest.mark.parametrize("kind", sorted(registry.BUILT_IN))
def test_an_unknown_field_of_its_configuration_is_refused(kind: str) -> None:
    good: dict[str, dict[str, object]] = {"http": {"url": "http://localhost"}, "command": {"command": "x"}}
    with pytest.raises(base.ConfigurationError, match="surprise"):
        registry.build(kind=kind, config={**good.get(kind, {}), "surprise": 1}, commands={"x": "/bin/true"})


@pytest.mark.parametrize(
    ("kind", "config", "path"),
    [
        ("http", {"url": 5}, "url"),
        ("http", {"url": "http://localhost", "contract": "loose"}, "contract"),
        ("http", {"url": "http://localhost", "ca_file": "/no/such.pem"}, "ca_file"),
        ("command", {"command": "x", "arguments": {"restart": "service"}}, "arguments[...]"),
        ("command", {"command": "other"}, "command"),
        ("carrier-pigeon", {}, "kind"),
    ],
)
def test_a_configuration_that_cannot_work_names_the_place(kind: str, config: dict[str, object], path: str) -> None:
    with pytest.raises(base.ConfigurationError) as refused:
        registry.build(kind=kind, config=config, commands={"x": "/bin/true"})
    assert refused.value.errors[0].path == path
    assert refused.value.errors[0].message


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(base.ConfigurationError, match="command, http, log"):
        registry.build(kind="ssh", config={})


def test_a_plug_in_that_is_not_there_says_so() -> None:
    with pytest.raises(ImproperlyConfigured, match="no_such_package"):
        registry.build(kind="x", config={}, extra={"x": "no_such_package.Remediator"})


def test_a_plug_in_cannot_take_the_place_of_a_built_in_kind() -> None:
    assert registry.build(kind="log", config={}, extra={"log": f"{__name__}.Echo"}).kind == "log"


@pytest.mark.parametrize(
    ("config", "lasting"),
    [({}, False), ({"durable_keys": True}, True), ({"contract": "strict"}, True)],
    ids=["basic", "declared", "strict"],
)
def test_http_keys_last_when_promised(config: dict[str, object], lasting: bool) -> None:
    assert registry.build(kind="http", config={"url": "http://localhost", **config}).durable_keys is lasting


def test_log_writes_the_call_down_and_changes_nothing() -> None:
    with structlog.testing.capture_logs() as lines:
        outcome = registry.build(kind="log", config={}).call(peers.call(), deadline_monotonic=0)
    assert [(line["event"], line["target"]) for line in lines] == [("actions.remediator.logged", "web-01")]
    assert "Nothing was changed" in outcome.message


def test_headers_and_body_are_those_of_the_contract() -> None:
    good = peers.answer(b'{"status": "success"}')
    with peers.listening(lambda line: line.sendall(good)) as peer:
        remediator = registry.build(kind="http", config={"url": f"{peer.url}/heal"}, secret="s" * 32)
        remediator.call(peers.call(params={"replicas": 2}, attempt=2), deadline_monotonic=time.monotonic() + 5)
    head, _, body = peer.requests[0].decode().partition("\r\n\r\n")
    line, *rest = head.split("\r\n")
    headers = dict(one.split(": ", 1) for one in rest)
    assert line == "POST /heal HTTP/1.1"
    assert headers["Idempotency-Key"] == "uid-1"
    assert headers["Vigil-Attempt"] == "2"
    assert headers["Vigil-Fence"] == "web-01;3"
    assert headers["Vigil-Deadline"] == "2026-03-01T12:15:00Z"
    assert headers["X-Request-ID"] == "request-1"
    assert headers["webhook-id"] == "uid-1-2"
    assert headers["webhook-timestamp"] == str(int(peers.AT.timestamp()))
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["Accept-Encoding"] == "identity"
    assert json.loads(body) == {
        "action_id": 456,
        "action": "restart",
        "target": "web-01",
        "params": {"replicas": 2},
        "policy": "high-cpu-alert",
        "severity": "warning",
        "incident_id": 7,
        "reason": "cpu_usage 92 > 90",
        "attempt": 2,
        "deadline": "2026-03-01T12:15:00Z",
    }


def test_a_question_is_asked_below_the_url_and_signed() -> None:
    said = peers.answer(b'{"status": "running", "key": "uid-1"}')
    with peers.listening(lambda line: line.sendall(said)) as peer:
        remediator = registry.build(kind="http", config={"url": f"{peer.url}/heal/"}, secret="s" * 32)
        answer = remediator.ask("uid-1", "", deadline_monotonic=time.monotonic() + 5)
    assert answer.state == "running"
    assert peer.requests[0].startswith(b"GET /heal/runs/uid-1 HTTP/1.1\r\n")
    assert b"webhook-id: uid-1-ask-" in peer.requests[0]


def test_a_call_and_its_outcome_are_values() -> None:
    assert {field.name for field in fields(base.Outcome)} >= {"kind", "retryable", "error_class", "message", "run_id"}
    with pytest.raises(AttributeError):
        peers.call().attempt = 2  # type: ignore[misc]
