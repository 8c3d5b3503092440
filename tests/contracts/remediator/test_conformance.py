"""The conformance checks pass on the reference remediator, and each one catches a remediator that breaks its rule."""

import io
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from actions.remediators import conformance
from examples.remediator import reference_remediator as r
from tests.contracts.remediator import reference
from vigil.kernel import clock


def checked(remediator: r.Remediator, *, burst: int = 0) -> dict[str, bool]:
    with reference.served(remediator) as url:
        subject = conformance.Subject(url=url, secret=reference.SECRET, action="restart", burst=burst)
        return {check.name: check.passed for check in conformance.check(subject, at=clock.now())}


def remediator(
    directory: Path, *, base: type[r.Remediator] = r.Remediator, memory: type[r.Memory] = r.Memory, **options: Any
) -> r.Remediator:
    actions = r.load_actions("")
    return base(
        actions=options.pop("actions", actions),
        memory=memory(str(directory / "memory.sqlite3")),
        secret=reference.SECRET,
        **{"cap": 1000, **options},
    )


class Forgetful(r.Memory):
    """Keeps no answers."""

    def find(self, key: str) -> None:
        return None

    def begin(self, *_: Any) -> bool:
        return True


class Fenceless(r.Memory):
    def refuse_overtaken(self, *_: Any) -> None:
        """Lets everybody in."""


class OneFence(r.Memory):
    """One fence for all targets."""

    def note_fence(self, call: r.Call) -> None:
        super().note_fence(replace(call, target="all"))


class ReplayRunsAgain(r.Remediator):
    """Takes each message for a new one."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        self._count = getattr(self, "_count", 0) + 1
        reply = super().post({**headers}, body)
        return r.Reply(status=reply.status, body={**reply.body, "details": {"run": self._count}})


class Unsigned(r.Remediator):
    """Believes everybody, but pretends to look."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        if not headers.get("webhook-signature") and self.wants_a_signature:
            raise r.Refused(401, "unsigned", "not signed")
        secret, self._secret = self._secret, ""
        try:
            return super().post(headers, body)
        finally:
            self._secret = secret

    wants_a_signature = True


class TakesUnsigned(Unsigned):
    wants_a_signature = False


class NoEcho(r.Remediator):
    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        reply = super().post(headers, body)
        return r.Reply(status=reply.status, body={k: v for k, v in reply.body.items() if k != "action_id"})


class OtherBodyIsFine(r.Remediator):
    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        try:
            return super().post(headers, body)
        except r.Refused as refused:
            if refused.reply.body["code"] != "key_reused":
                raise
            return r.Reply(status=200, body={**refused.reply.body, "status": "success"})


class Mute(r.Remediator):
    """Has no /runs."""

    def get(self, headers: Mapping[str, str], key: str) -> r.Reply:
        return r.Reply(status=404, body={"detail": "Not found."})


class AllIsDone(r.Remediator):
    """Says done for whatever it is asked."""

    def get(self, headers: Mapping[str, str], key: str) -> r.Reply:
        return r.Reply(status=200, body={"status": "done", "key": key})


_READ_CALL = r.read_call
_swapping = threading.Lock()
"""Two copies come at the same moment: the second to put its own in must not keep the first one's as the true one."""


class Late(r.Remediator):
    """Looks at no deadline."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        def read(headers: Mapping[str, str], body: bytes) -> r.Call:
            return replace(_READ_CALL(headers, body), deadline=float("inf"))

        with _swapping, mock.patch.object(r, "read_call", read):
            return super().post(headers, body)


class CrashesOnTheUnknown(r.Remediator):
    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        try:
            return super().post(headers, body)
        except r.Refused as refused:
            if refused.reply.body["code"] != "unknown_action":
                raise
            return r.Reply(status=500, body={})


class AnyTime(r.Remediator):
    """Its clock tolerance is a day."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        with _swapping, mock.patch.object(r, "SKEW_SECONDS", 86_400):
            return super().post(headers, body)


class AnyKey(r.Remediator):
    """Does not compare the key with the signed message id."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        with _swapping, mock.patch.object(r, "check_key", return_value=None):
            return super().post(headers, body)


class RunsEveryCopy(r.Remediator):
    """Takes a copy that comes while the first one runs for another call, and says so."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        reply = super().post(headers, body)
        if reply.status != 202:
            return reply
        return r.Reply(status=200, body={**reply.body, "status": "success", "message": "done once more"})


class CrashesOnNonsense(r.Remediator):
    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        try:
            return super().post(headers, body)
        except r.Refused as refused:
            if refused.reply.body["code"] != "malformed":
                raise
            return r.Reply(status=500, body={})


class FirstSignatureOnly(r.Remediator):
    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        first = (headers.get("webhook-signature") or "").split()[:1]
        return super().post({**headers, "webhook-signature": "".join(first)}, body)


class TellsAnybody(r.Remediator):
    """Answers questions without looking at who asks."""

    def get(self, headers: Mapping[str, str], key: str) -> r.Reply:
        secret, self._secret = self._secret, ""
        try:
            return super().get(headers, key)
        finally:
            self._secret = secret


class PlainTargets(r.Remediator):
    """Takes what stands in Vigil-Fence for the target as it is."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        if "%" in (headers.get("vigil-fence") or ""):
            raise r.Refused(422, "malformed", "Vigil-Fence is about another target than the body.")
        return super().post(headers, body)


BROKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no ids in its answers": ({"base": NoEcho}, {"answers_a_call"}),
    "keeps no answers": (
        {"memory": Forgetful},
        {"refuses_a_key_with_another_body", "tells_what_became_of_a_key"},
    ),
    "another answer each time": ({"base": ReplayRunsAgain}, {"repeats_its_answer"}),
    "same key for another body": ({"base": OtherBodyIsFine}, {"refuses_a_key_with_another_body"}),
    "no /runs": ({"base": Mute}, {"tells_what_became_of_a_key", "knows_no_foreign_key"}),
    "everything is done": ({"base": AllIsDone}, {"knows_no_foreign_key"}),
    "no fences": ({"memory": Fenceless}, {"refuses_a_stale_fence"}),
    "one fence for all": ({"memory": OneFence}, {"keeps_fences_apart"}),
    "no deadlines": ({"base": Late}, {"refuses_a_passed_deadline"}),
    "500 for an unknown action": ({"base": CrashesOnTheUnknown}, {"refuses_an_unknown_action"}),
    "no signature needed": ({"base": TakesUnsigned}, {"refuses_what_is_not_signed"}),
    "signatures are not compared": (
        {"base": Unsigned},
        {"refuses_a_foreign_signature", "refuses_a_changed_body", "refuses_an_old_signature"},
    ),
    "signatures of any age": ({"base": AnyTime}, {"refuses_an_old_signature"}),
    "runs every copy": ({"base": RunsEveryCopy, "latency": 0.1}, {"answers_twins_alike"}),
    "any key": ({"base": AnyKey}, {"refuses_a_key_that_was_not_signed"}),
    "500 for nonsense": ({"base": CrashesOnNonsense}, {"refuses_a_malformed_body"}),
    "one signature": ({"base": FirstSignatureOnly}, {"accepts_one_signature_of_several"}),
    "tells anybody": ({"base": TellsAnybody}, {"refuses_a_question_that_is_not_signed"}),
    "targets as they are": ({"base": PlainTargets}, {"understands_an_unusual_target"}),
}


def test_the_reference_remediator_keeps_every_rule(tmp_path: Path) -> None:
    results = checked(remediator(tmp_path, cap=60), burst=70)
    assert [name for name, passed in results.items() if not passed] == []
    assert len(results) == len(conformance.RULES) + 1 == 21


def test_it_keeps_them_when_every_run_takes_longer_than_an_answer(tmp_path: Path) -> None:
    results = checked(remediator(tmp_path, answer_within=0.05, latency=0.15))
    assert [name for name, passed in results.items() if not passed] == []


@pytest.mark.parametrize(("variant", "rules"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_remediator_is_caught(variant: dict[str, Any], rules: set[str], tmp_path: Path) -> None:
    results = checked(remediator(tmp_path, **variant))
    assert rules <= {name for name, passed in results.items() if not passed}


def test_a_remediator_without_a_cap_is_caught(tmp_path: Path) -> None:
    assert not checked(remediator(tmp_path, cap=10_000), burst=20)["refuses_more_than_its_cap"]


def test_replayed_messages_that_run_again_are_caught(tmp_path: Path) -> None:
    """A broken replay guard alone does no harm, since keys are remembered; without both, the effect doubles."""

    class Nothing(Forgetful):
        def note_message(self, message_id: str, now: float) -> None:
            """Every message is new."""

    ran: list[str] = []

    def restart(target: str, params: dict[str, Any]) -> None:
        ran.append(target)
        if len(ran) % 2 == 0:
            raise RuntimeError("cannot be done twice")

    results = checked(remediator(tmp_path, memory=Nothing, actions={"restart": restart}))
    assert not results["survives_a_replay"]


def test_every_rule_has_a_remediator_that_breaks_it() -> None:
    caught = set().union(*(rules for _, rules in BROKEN.values()))
    apart = {"survives_a_replay"}
    assert {rule.__name__ for rule in conformance.RULES} == caught | apart


def test_nobody_there_breaks_every_rule_without_raising() -> None:
    subject = conformance.Subject(url="http://127.0.0.1:9", secret=reference.SECRET, action="restart")
    assert not any(check.passed for check in conformance.check(subject, at=clock.now()))


@pytest.mark.parametrize("is_broken", [False, True])
def test_the_command_line_tells_each_rule_and_exits_accordingly(
    is_broken: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMEDIATOR_SECRET", reference.SECRET)
    with reference.served(remediator(tmp_path, base=Mute if is_broken else r.Remediator)) as url:
        code = conformance.main([url, "--action", "restart"])
    lines = capsys.readouterr().out.splitlines()
    assert code == int(is_broken)
    assert len(lines) == len(conformance.RULES)
    assert any(line.startswith("BROKEN") for line in lines) is is_broken


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--params", "[1]"], "must be an object, not a list"),
        (["--params", "{"], "not JSON"),
        (["--ca-file", "/no/such.pem"], "no such file"),
    ],
)
def test_the_command_line_refuses_what_makes_no_sense(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        conformance.main(["http://127.0.0.1:9", "--action", "restart", *options])
    assert said in capsys.readouterr().err


SECRET_OF = {"secret": reference.SECRET}


def command(url: str, *options: str) -> tuple[int, str]:
    """What `manage.py check_remediator` exits with, and prints."""
    out = io.StringIO()
    try:
        call_command("check_remediator", url, *options, secret=reference.SECRET, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_20_of_20_of_the_reference(tmp_path: Path) -> None:
    with reference.served(remediator(tmp_path)) as url:
        code, said = command(url)
    assert (code, said.splitlines()[-1]) == (0, "20 of 20 kept; the strict contract is kept."), said
    assert said.count("kept    ") == 20


def test_the_command_says_what_was_seen_and_what_to_do_about_it(tmp_path: Path) -> None:
    with reference.served(remediator(tmp_path, memory=Fenceless)) as url:
        code, said = command(url)
    [broken] = [one for one in said.splitlines() if one.startswith("BROKEN")]
    assert code == 1
    assert "refuses_a_stale_fence: a lower fence was answered 200" in broken
    assert "answer 409 with code stale_fence" in broken
    assert "The rule: A fence lower than" in broken
    assert said.splitlines()[-1] == "19 of 20 kept; the strict contract is BROKEN: refuses_a_stale_fence."


def test_what_only_the_strict_contract_asks_for_is_advice_under_the_basic_one(tmp_path: Path) -> None:
    with reference.served(remediator(tmp_path, base=Mute)) as url:
        code, said = command(url, "--basic", "--json")
    told = json.loads(said)
    assert (code, told["ok"], told["contract"]) == (0, True, "basic")
    advice = [one["name"] for one in told["checks"] if not one["kept"]]
    assert advice
    assert not any(one["must"] for one in told["checks"] if one["name"] in advice)


def test_the_basic_contract_can_be_broken_too(tmp_path: Path) -> None:
    class SaysNothing(r.Remediator):
        def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
            return r.Reply(status=200, body={"message": "who knows"})

    with reference.served(remediator(tmp_path, base=SaysNothing)) as url:
        code, said = command(url, "--basic", "--json")
    assert (code, json.loads(said)["ok"]) == (1, False)


def test_the_command_says_that_nobody_answers(tmp_path: Path) -> None:
    code, said = command("http://127.0.0.1:9")
    assert code == 1
    assert said.count("nobody answers at http://127.0.0.1:9") == 20


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("ftp://x", {}, "must begin with http"),
        ("http://127.0.0.1:9", {"params": "{"}, "not JSON"),
        ("http://127.0.0.1:9", {"secret": ""}, "needs the secret"),
        ("http://127.0.0.1:9", {"secret": "short"}, "at least 24 bytes"),
        ("http://169.254.169.254/", {}, "169.254.169.254"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    url: str, options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMEDIATOR_SECRET", raising=False)
    with pytest.raises(CommandError, match=said) as caught:
        call_command("check_remediator", url, **{**SECRET_OF, **options})
    assert caught.value.returncode == 2
