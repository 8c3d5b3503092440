"""Does a remediator keep the strict contract? Reusable checks that call it as Vigil would, and as an attacker might.

    REMEDIATOR_SECRET=... python -m actions.remediators.conformance http://host:port --action restart

The checks carry the action out a few times on a target made up for the purpose. Do not give the name of a target that
Vigil manages: the fences seen here would be higher than Vigil's own.
"""

import argparse
import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from actions.remediators import answers, base, http, payload, transport
from vigil.http import strict_json
from vigil.kernel import clock
from vigil.kernel.errors import VigilError

PATIENCE_SECONDS = 30.0
"""How long a run that answered 202 may take."""


class Check(NamedTuple):
    """One rule of the contract and whether it was kept."""

    name: str
    passed: bool
    sentence: str
    """What was seen; for a rule that was broken, what the remediator should have done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The remediator to check, and something harmless that it can do."""

    url: str
    secret: str = field(repr=False)
    action: str
    params: Mapping[str, object] = field(default_factory=dict)
    target: str = field(default_factory=lambda: f"conformance-{uuid.uuid4().hex[:8]}")
    burst: int = 0
    """When above 0, this many calls in a row must meet the remediator's own cap (429)."""
    ca_file: str = ""


class Broken(Exception):
    """A rule was not kept; the text says what was seen and what was expected."""


def check(subject: Subject, *, at: datetime) -> list[Check]:
    """Every rule in turn. Each uses keys of its own; none raises for what the remediator does."""
    probe = _Probe(subject, at)
    rules = [*RULES, *([refuses_more_than_its_cap] if subject.burst else [])]
    return [_checked(rule, probe) for rule in rules]


def answers_a_call(probe: "_Probe") -> str:
    """A good call succeeds, and its answer carries the action_id and the key."""
    probe.finish(probe.call())
    return "a good call succeeded, with its ids"


def repeats_its_answer(probe: "_Probe") -> str:
    """The same key and body give the same answer; a later attempt differs in its number only."""
    call = probe.call()
    probe.finish(call)
    first, second = (probe.send(replace(call, attempt=attempt)) for attempt in (2, 3))
    _expect(first.status == second.status and first.body == second.body, "the same key got two different answers")
    _expect(probe.judge(first, call).kind == "succeeded", f"a finished key was answered {first.status} when sent again")
    return "the same key and body got the same answer again"


def refuses_a_key_with_another_body(probe: "_Probe") -> str:
    """A key that comes back with another body is a mistake: 422."""
    call = probe.call()
    probe.finish(call)
    answer = probe.send(replace(call, reason="another reason", attempt=2))
    _expect(answer.status == 422, f"the key with another body was answered {answer.status}; answer 422")
    return "a key with another body was answered 422"


def tells_what_became_of_a_key(probe: "_Probe") -> str:
    """GET /runs/{key} says done for a finished run."""
    call = probe.call()
    probe.finish(call)
    state = probe.ask(call.uid).state
    _expect(state == "done", f"GET /runs/<key> of a finished run says {state}; say done")
    return "GET /runs/<key> said done"


def knows_no_foreign_key(probe: "_Probe") -> str:
    """GET /runs/{key} says not_found, in JSON, for a key that never came."""
    answer = probe.ask(str(uuid.uuid4()))
    _expect(answer.state == "not_found", f"GET /runs/<unknown key> is {answer.state} ({answer.message}); say not_found")
    return "GET /runs/<unknown key> said not_found"


def refuses_a_stale_fence(probe: "_Probe") -> str:
    """A fence lower than the highest seen for the target means that its sender was overtaken."""
    call = probe.call()
    probe.finish(call)
    late = probe.call(fence=call.fence - 1)
    outcome = probe.outcome(late)
    _expect(
        outcome.http_status == 409 and outcome.error_class == "stale_fence",
        f"a lower fence was answered {outcome.http_status} {outcome.message!r}; answer 409 with code stale_fence",
    )
    probe.expect_nothing_done(late)
    return "a lower fence was answered 409 stale_fence"


def keeps_fences_apart(probe: "_Probe") -> str:
    """The fence of one target says nothing about another's."""
    probe.finish(probe.call())
    outcome = probe.outcome(probe.call(fence=1, target=f"{probe.subject.target}-other-{uuid.uuid4().hex[:6]}"))
    _expect(
        outcome.kind in {"succeeded", "accepted"},
        f"a low fence on another target was {outcome.kind}: {outcome.message}",
    )
    return "each target has its own fence"


def refuses_a_passed_deadline(probe: "_Probe") -> str:
    """After the deadline nobody wants the effect any more."""
    call = probe.call(deadline=probe.at - timedelta(seconds=60))
    _refused(probe.send(call), "a call after its deadline")
    probe.expect_nothing_done(call)
    return "a call after its deadline was refused"


def refuses_an_unknown_action(probe: "_Probe") -> str:
    """What it cannot do, it says at once."""
    _refused(probe.send(probe.call(kind=f"no-such-action-{uuid.uuid4().hex[:6]}")), "an unknown action")
    return "an unknown action was refused"


def refuses_what_is_not_signed(probe: "_Probe") -> str:
    """Anybody may reach the port; only Vigil can sign."""
    call = probe.call()
    _refused(probe.send(call, secret=""), "a call without signature")
    probe.expect_nothing_done(call)
    return "a call without signature was refused"


def refuses_a_foreign_signature(probe: "_Probe") -> str:
    """A signature made with another secret is worth nothing."""
    call = probe.call()
    _refused(probe.send(call, secret="x" * 32), "a call signed with another secret")
    probe.expect_nothing_done(call)
    return "a call signed with another secret was refused"


def refuses_a_changed_body(probe: "_Probe") -> str:
    """The signature covers the body."""
    call = probe.call()
    headers = probe.headers(call, probe.body(call))
    _refused(probe.post(headers, probe.body(replace(call, reason="changed on the way"))), "a changed body")
    probe.expect_nothing_done(call)
    return "a body changed on the way was refused"


def refuses_an_old_signature(probe: "_Probe") -> str:
    """Signatures are good for five minutes, in both directions."""
    for minutes in (-10, 10):
        call = probe.call(at=probe.at + timedelta(minutes=minutes))
        _refused(probe.send(call), f"a call signed {minutes} minutes from now")
        probe.expect_nothing_done(call)
    return "signatures ten minutes away were refused"


def survives_a_replay(probe: "_Probe") -> str:
    """The very same message again has no effect: it is refused, or gets the answer that it got."""
    call = probe.call()
    body = probe.body(call)
    headers = probe.headers(call, body)
    probe.finish(call, headers=headers)
    again = probe.post(headers, body)
    same = probe.judge(again, call)
    _expect(
        same.error_class == "replayed" or same.kind == "succeeded",
        f"a recorded message sent again was answered {again.status}; refuse it with 409 and code replayed",
    )
    return "a recorded message had no effect"


def refuses_a_key_that_was_not_signed(probe: "_Probe") -> str:
    """The signed message id begins with the key; a key put on another message is somebody's forgery."""
    call, key = probe.call(), str(uuid.uuid4())
    body = probe.body(call)
    _refused(probe.post({**probe.headers(call, body), "Idempotency-Key": key}, body), "a key that was not signed")
    probe.expect_nothing_done(replace(call, uid=key))
    return "a key that the signed message id does not carry was refused"


def refuses_more_than_its_cap(probe: "_Probe") -> str:
    """A brake of its own: Vigil's caps are not the only ones."""
    statuses = {probe.send(probe.call(target=f"{probe.subject.target}-{i}")).status for i in range(probe.subject.burst)}
    _expect(429 in statuses, f"{probe.subject.burst} calls in a row were all taken; answer 429 above a cap of your own")
    return "its own cap stopped a burst"


type Rule = Callable[["_Probe"], str]

RULES: Sequence[Rule] = (
    answers_a_call,
    repeats_its_answer,
    refuses_a_key_with_another_body,
    tells_what_became_of_a_key,
    knows_no_foreign_key,
    refuses_a_stale_fence,
    keeps_fences_apart,
    refuses_a_passed_deadline,
    refuses_an_unknown_action,
    refuses_what_is_not_signed,
    refuses_a_foreign_signature,
    refuses_a_changed_body,
    refuses_an_old_signature,
    survives_a_replay,
    refuses_a_key_that_was_not_signed,
)


class _Probe:
    """Calls the subject the way the http remediator does, with a hand on every part of the request."""

    def __init__(self, subject: Subject, at: datetime) -> None:
        self.subject = subject
        self._start, self._started = at, time.monotonic()
        self._fences: Iterator[int] = itertools.count(int(at.timestamp() * 1000), 10)

    @property
    def at(self) -> datetime:
        """Now: the checks may take longer than a signature lasts."""
        return self._start + timedelta(seconds=time.monotonic() - self._started)

    def call(self, **changes: object) -> base.Call:
        """A good call with a key of its own and the next fence."""
        call = base.Call(
            action_id=uuid.uuid4().int % 1_000_000,
            uid=str(uuid.uuid4()),
            kind=self.subject.action,
            target=self.subject.target,
            params=self.subject.params,
            policy="conformance",
            severity="info",
            incident_id=None,
            reason="conformance check",
            attempt=1,
            fence=next(self._fences),
            deadline=self.at + timedelta(minutes=10),
            request_id=uuid.uuid4().hex,
            at=self.at,
        )
        return replace(call, **changes)  # type: ignore[arg-type]  # each rule names fields of Call

    def body(self, call: base.Call) -> bytes:
        return json.dumps(payload.of(call)).encode()

    def headers(self, call: base.Call, body: bytes, *, secret: str | None = None) -> dict[str, str]:
        return http.call_headers(call, body=body, secret=self.subject.secret if secret is None else secret)

    def send(self, call: base.Call, *, secret: str | None = None) -> transport.Exchange:
        body = self.body(call)
        return self.post(self.headers(call, body, secret=secret), body)

    def post(self, headers: Mapping[str, str], body: bytes) -> transport.Exchange:
        return self._exchange("POST", self.subject.url, headers, body)

    def outcome(self, call: base.Call) -> base.Outcome:
        return self.judge(self.send(call), call)

    def judge(self, answer: transport.Exchange, call: base.Call) -> base.Outcome:
        return answers.outcome(answer, call=call, strict=True)

    def ask(self, uid: str) -> base.Answer:
        headers = http.ask_headers(uid, at=self.at, secret=self.subject.secret)
        answer = self._exchange("GET", http.ask_url(self.subject.url, uid=uid), headers, b"")
        return answers.answer(answer, uid=uid, run_id="", strict=True)

    def finish(self, call: base.Call, *, headers: Mapping[str, str] | None = None) -> None:
        """Send a good call and see it through, now or by asking."""
        body = self.body(call)
        outcome = self.judge(self.post(headers or self.headers(call, body), body), call)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while outcome.kind == "accepted" and time.monotonic() < give_up:
            state = self.ask(call.uid).state
            if state == "done":
                return
            _expect(state == "running", f"a run that was accepted is {state}")
            time.sleep(0.1)
        _expect(outcome.kind == "succeeded", f"a good call was {outcome.kind}: {outcome.message}")

    def expect_nothing_done(self, call: base.Call) -> None:
        """What was refused must not be known as a run either: Vigil would take it for one."""
        state = self.ask(call.uid).state
        _expect(state == "not_found", f"a call that was refused is {state} when asked for; say not_found")

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> transport.Exchange:
        return transport.exchange(
            method=method,
            url=url,
            headers=headers,
            body=body,
            deadline_monotonic=time.monotonic() + base.CALL_SECONDS,
            ca_file=self.subject.ca_file,
        )


def _checked(rule: Rule, probe: _Probe) -> Check:
    try:
        return Check(rule.__name__, True, rule(probe))
    except Broken as broken:
        return Check(rule.__name__, False, str(broken))


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


def _refused(answer: transport.Exchange, what: str) -> None:
    status = answer.status if answer.status is not None else answer.explanation
    _expect(answer.status is not None and 400 <= answer.status < 500, f"{what} was answered {status}; refuse it (4xx)")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every rule was kept."""
    parser = argparse.ArgumentParser(prog="python -m actions.remediators.conformance", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--action", required=True, help="an action it can do without harm")
    parser.add_argument("--params", default="{}", help="its parameters, as JSON")
    parser.add_argument("--ca-file", default="", help="certificates to trust instead of the public ones: a PEM file")
    parser.add_argument("--burst", type=int, default=0, help="calls in a row that must meet the remediator's own cap")
    options = parser.parse_args(arguments)
    secret = os.environ.get("REMEDIATOR_SECRET", "")
    try:
        params = strict_json.decode_as(options.params.encode(), dict[str, object])
        http.make(config={"url": options.url, "ca_file": options.ca_file}, secret=secret, commands={})
    except VigilError as error:
        parser.error(error.detail)
    subject = Subject(
        url=options.url,
        secret=secret,
        action=options.action,
        params=params,
        burst=options.burst,
        ca_file=options.ca_file,
    )
    results = check(subject, at=clock.now())
    for result in results:
        sys.stdout.write(f"{'kept  ' if result.passed else 'BROKEN'}  {result.name}: {result.sentence}\n")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
