"""Does a remediator keep the contract? Twenty checks that call it as Vigil would, and as an attacker might.

    REMEDIATOR_SECRET=... manage.py check_remediator http://host:port --action restart

The checks carry the action out a few times on a target made up for the purpose. Do not give the name of a target that
Vigil manages: the fences seen here would be higher than Vigil's own.
"""

import argparse
import concurrent.futures
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
    must: bool = True
    """Whether the contract in question asks for it; what only the strict one asks for is advice under the basic one."""
    rule: str = ""
    """What is asked for, in a sentence."""

    @property
    def spoils(self) -> bool:
        """Whether the remediator does not keep its contract because of this."""
        return self.must and not self.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The remediator to check, and something harmless that it can do."""

    url: str
    secret: str = field(repr=False)
    action: str
    params: Mapping[str, object] = field(default_factory=dict)
    target: str = field(default_factory=lambda: f"conformance-{uuid.uuid4().hex[:8]}")
    strict: bool = True
    """Which contract it is held to; of the basic one only BASIC is a must."""
    burst: int = 0
    """When above 0, this many calls in a row must meet the remediator's own cap (429)."""
    ca_file: str = ""


class Broken(Exception):
    """A rule was not kept; the text says what was seen and what was expected."""


def check(subject: Subject, *, at: datetime) -> list[Check]:
    """Every rule in turn. Each uses keys of its own; none raises for what the remediator does.

    When nobody answers the very first question, no rule is tried, and all of them are broken.
    """
    probe = _Probe(subject, at)
    rules = [*RULES, *([refuses_more_than_its_cap] if subject.burst else [])]
    silence = probe.silence()
    if silence:
        return [_told(rule, probe, passed=False, sentence=silence) for rule in rules]
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


def refuses_a_malformed_body(probe: "_Probe") -> str:
    """What cannot be read is refused (4xx), signed or not; it neither crashes anything nor counts as a run."""
    call = probe.call()
    for body in (b'{"action": ', b"[]", b"\xff\xfe"):
        _refused(probe.post(probe.headers(call, body), body), f"the body {body!r}")
    probe.expect_nothing_done(call)
    return "bodies that cannot be read were refused"


def accepts_one_signature_of_several(probe: "_Probe") -> str:
    """While one secret replaces another there are two signatures, and any that matches counts."""
    call = probe.call()
    body = probe.body(call)
    headers = probe.headers(call, body)
    foreign = probe.headers(call, body, secret="x" * 32)
    both = f"{foreign['webhook-signature']} {headers.get('webhook-signature', '')}".strip()
    probe.finish(call, headers={**headers, "webhook-signature": both})
    return "a right signature behind a foreign one counted"


def refuses_a_question_that_is_not_signed(probe: "_Probe") -> str:
    """What became of a key is nobody else's business: questions are signed, each for its key."""
    call = probe.call()
    probe.finish(call)
    _refused(probe.question(call.uid, {}), "a question without signature")
    about_another = http.ask_headers(str(uuid.uuid4()), at=probe.at, secret=probe.subject.secret)
    _refused(probe.question(call.uid, about_another), "a question signed for another key")
    return "questions that were not signed for their key were refused"


def understands_an_unusual_target(probe: "_Probe") -> str:
    """In Vigil-Fence a target is percent-encoded, in the body it is as it is; both are the same target."""
    probe.finish(probe.call(target=f"{probe.subject.target} \u00fc;50%"))
    return "a target with a space, an umlaut, a semicolon and a percent sign was served"


def answers_twins_alike(probe: "_Probe") -> str:
    """Two copies of one call at the same moment are one run: the same answer, or that it runs."""
    call = probe.call()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers_ = list(pool.map(lambda attempt: probe.send(replace(call, attempt=attempt)), (1, 2)))
    judged = [(answer, probe.judge(answer, call)) for answer in answers_]
    for answer, outcome in judged:
        is_busy = outcome.kind == "failed" and outcome.retryable
        _expect(
            outcome.kind in {"succeeded", "accepted"} or is_busy,
            f"one of two copies sent at once was answered {answer.status}; answer 202, or the same as to the other",
        )
    done = {answer.body for answer, outcome in judged if outcome.kind == "succeeded"}
    _expect(len(done) <= 1, "two copies sent at once got two different answers; run a key once")
    probe.finish(replace(call, attempt=3))
    return "two copies at the same moment were one run"


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
    refuses_a_malformed_body,
    accepts_one_signature_of_several,
    refuses_a_question_that_is_not_signed,
    understands_an_unusual_target,
    answers_twins_alike,
)

BASIC = frozenset({answers_a_call, understands_an_unusual_target})
"""What the basic contract asks for as well."""


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
        return answers.outcome(answer, call=call, strict=self.subject.strict)

    def ask(self, uid: str) -> base.Answer:
        answer = self.question(uid, http.ask_headers(uid, at=self.at, secret=self.subject.secret))
        return answers.answer(answer, uid=uid, run_id="", strict=self.subject.strict)

    def question(self, uid: str, headers: Mapping[str, str]) -> transport.Exchange:
        return self._exchange("GET", http.ask_url(self.subject.url, uid=uid), headers, b"")

    def silence(self) -> str:
        """Why nobody answers at all; "" when somebody does."""
        uid = str(uuid.uuid4())
        answer = self.question(uid, http.ask_headers(uid, at=self.at, secret=self.subject.secret))
        if answer.status is not None:
            return ""
        return f"nobody answers at {self.subject.url}: {answer.explanation}; start it, or correct the URL"

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
        return _told(rule, probe, passed=True, sentence=rule(probe))
    except Broken as broken:
        return _told(rule, probe, passed=False, sentence=str(broken))


def _told(rule: Rule, probe: _Probe, *, passed: bool, sentence: str) -> Check:
    return Check(
        name=rule.__name__,
        passed=passed,
        sentence=sentence,
        must=probe.subject.strict or rule in BASIC,
        rule=(rule.__doc__ or "").strip(),
    )


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


def _refused(answer: transport.Exchange, what: str) -> None:
    status = answer.status if answer.status is not None else answer.explanation
    _expect(answer.status is not None and 400 <= answer.status < 500, f"{what} was answered {status}; refuse it (4xx)")


def subject(
    *, url: str, secret: str, action: str, params: str = "{}", strict: bool = True, ca_file: str = "", burst: int = 0
) -> Subject:
    """The subject that a command line names; VigilError when that makes no sense."""
    read = strict_json.decode_as(params.encode(), dict[str, object])
    http.make(config={"url": url, "ca_file": ca_file}, secret=secret, commands={})
    if strict and not secret:
        raise base.wrong(path="secret", message="The strict contract needs the secret that calls are signed with.")
    return Subject(url=url, secret=secret, action=action, params=read, strict=strict, burst=burst, ca_file=ca_file)


def line(result: Check) -> str:
    """A result as people read it: what was seen and, where a rule is broken, what it asks for."""
    word = "kept  " if result.passed else "BROKEN" if result.must else "advice"
    asks = "" if result.passed else f" The rule: {result.rule}"
    return f"{word}  {result.name}: {result.sentence.rstrip('.')}{'' if result.passed else '.'}{asks}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line without Django; 0 when every rule was kept."""
    parser = argparse.ArgumentParser(prog="python -m actions.remediators.conformance", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        wanted = of_options(vars(options))
    except VigilError as error:
        parser.error(error.detail)
    results = check(wanted, at=clock.now())
    sys.stdout.write("".join(f"{line(result)}\n" for result in results))
    return 1 if any(result.spoils for result in results) else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said on a command line."""
    parser.add_argument("url")
    parser.add_argument("--action", default="restart", help="an action it can do without harm (restart)")
    parser.add_argument("--params", default="{}", help="its parameters, as JSON")
    parser.add_argument("--secret", default="", help="what signs calls; better: the environment's REMEDIATOR_SECRET")
    contract = parser.add_mutually_exclusive_group()
    contract.add_argument(
        "--strict", action="store_true", default=True, help="hold it to the strict contract (default)"
    )
    contract.add_argument("--basic", dest="strict", action="store_false", help="to the basic one; the rest is advice")
    parser.add_argument("--ca-file", default="", help="certificates to trust instead of the public ones: a PEM file")
    parser.add_argument("--burst", type=int, default=0, help="calls in a row that must meet the remediator's own cap")


def of_options(options: Mapping[str, object]) -> Subject:
    """The subject of a parsed command line; VigilError when it makes no sense."""
    return subject(
        url=str(options["url"]),
        secret=str(options["secret"] or os.environ.get("REMEDIATOR_SECRET", "")),
        action=str(options["action"]),
        params=str(options["params"]),
        strict=options["strict"] is True,
        ca_file=str(options["ca_file"]),
        burst=int(str(options["burst"])),
    )


if __name__ == "__main__":
    sys.exit(main())
