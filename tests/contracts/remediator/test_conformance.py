"""The conformance checks pass on the reference remediator, and each one catches a remediator that breaks its rule."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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


class Late(r.Remediator):
    """Looks at no deadline."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        true_read_call = r.read_call

        def read(headers: Mapping[str, str], body: bytes) -> r.Call:
            return replace(true_read_call(headers, body), deadline=float("inf"))

        r.read_call = read
        try:
            return super().post(headers, body)
        finally:
            r.read_call = true_read_call


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
        r.SKEW_SECONDS = 86_400
        try:
            return super().post(headers, body)
        finally:
            r.SKEW_SECONDS = 300


class AnyKey(r.Remediator):
    """Does not compare the key with the signed message id."""

    def post(self, headers: Mapping[str, str], body: bytes) -> r.Reply:
        true_check, r.check_key = r.check_key, lambda *_: None
        try:
            return super().post(headers, body)
        finally:
            r.check_key = true_check


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
    "any key": ({"base": AnyKey}, {"refuses_a_key_that_was_not_signed"}),
}


def test_the_reference_remediator_keeps_every_rule(tmp_path: Path) -> None:
    results = checked(remediator(tmp_path, cap=60), burst=70)
    assert [name for name, passed in results.items() if not passed] == []
    assert len(results) == len(conformance.RULES) + 1


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
