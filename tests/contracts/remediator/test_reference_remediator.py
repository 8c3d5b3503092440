"""What the reference remediator promises beyond one connection: restarts, twins, brakes, evidence."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actions.remediators import base, registry
from examples.remediator import reference_remediator as r
from tests.contracts.remediator import reference
from vigil.kernel import clock


def call(*, uid: str, target: str = "web-01", fence: int = 1, attempt: int = 1, kind: str = "restart") -> base.Call:
    now = clock.now()
    return base.Call(
        action_id=1,
        uid=uid,
        kind=kind,
        target=target,
        params={"service": "nginx"},
        policy="",
        severity="",
        incident_id=None,
        reason="",
        attempt=attempt,
        fence=fence,
        deadline=now.replace(microsecond=0) + timedelta(minutes=10),
        request_id="r",
        at=now,
    )


def client(url: str) -> base.Remediator:
    return registry.build(kind="http", config={"url": url, "contract": "strict"}, secret=reference.SECRET)


def send(url: str, one: base.Call) -> base.Outcome:
    return client(url).call(one, deadline_monotonic=time.monotonic() + 10)


def ask(url: str, uid: str) -> str:
    return client(url).ask(uid, "", deadline_monotonic=time.monotonic() + 5).state


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """The URL of a remediator in this process; its functions are given."""
    running = []

    def start(action: Callable[[str, dict[str, Any]], object], **options: Any) -> str:
        remediator = r.Remediator(
            actions={"restart": action},
            memory=options.pop("memory", r.Memory)(str(tmp_path / "memory.sqlite3")),
            secret=reference.SECRET,
            **options,
        )
        context = reference.served(remediator)
        running.append(context)
        return context.__enter__()

    yield start
    for context in running:
        context.__exit__(None, None, None)


def test_the_function_gets_target_and_params_and_its_words_come_back(serve: Callable[..., str]) -> None:
    url = serve(lambda target, params: f"restarted {params['service']} on {target}")
    assert send(url, call(uid="a")).message == "restarted nginx on web-01"


def test_details_that_the_function_returns_come_back(serve: Callable[..., str]) -> None:
    assert send(serve(lambda *_: {"pid": 7}), call(uid="a")).details == {"pid": 7}


def test_an_exception_is_a_failure_that_is_remembered(serve: Callable[..., str]) -> None:
    ran: list[str] = []

    def fails(target: str, params: dict[str, Any]) -> None:
        ran.append(target)
        raise RuntimeError("no such unit")

    url = serve(fails)
    one = call(uid="a")
    outcomes = [send(url, replace(one, attempt=attempt)) for attempt in (1, 2)]
    assert [(o.kind, o.retryable, o.message) for o in outcomes] == [("failed", False, "RuntimeError: no such unit")] * 2
    assert (len(ran), ask(url, "a")) == (1, "failed")


def test_a_failure_that_promises_nothing_was_done_may_be_tried_again(serve: Callable[..., str], tmp_path: Path) -> None:
    class Busy(Exception):
        retryable = True

    ran: list[str] = []
    journal = tmp_path / "journal"

    def once_busy(target: str, params: dict[str, Any]) -> None:
        ran.append(target)
        if len(ran) == 1:
            raise Busy("locked by the package manager")

    url = serve(once_busy, journal=str(journal))
    one = call(uid="a")
    first, second = (send(url, replace(one, attempt=attempt)) for attempt in (1, 2))
    assert (first.kind, first.retryable) == ("failed", True)
    assert second.kind == "succeeded"
    assert [json.loads(line)["what"] for line in journal.read_text().splitlines()] == ["begun", "ended"] * 2


def test_twins_sent_at_once_have_one_effect(serve: Callable[..., str]) -> None:
    ran: list[str] = []

    def slow(target: str, params: dict[str, Any]) -> None:
        ran.append(target)
        time.sleep(0.3)

    url = serve(slow, answer_within=0.1)
    one = call(uid="a")
    outcomes: list[base.Outcome] = []
    twins = [
        threading.Thread(target=lambda n=n: outcomes.append(send(url, replace(one, attempt=n)))) for n in range(1, 9)
    ]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join()
    assert len(ran) == 1
    assert {outcome.kind for outcome in outcomes} <= {"accepted", "succeeded"}


def test_a_long_run_answers_202_then_done(serve: Callable[..., str]) -> None:
    gate = threading.Event()
    url = serve(lambda *_: gate.wait(10) and None, answer_within=0.1)
    outcome = send(url, call(uid="a"))
    assert (outcome.kind, outcome.run_id, ask(url, "a")) == ("accepted", "a", "running")
    gate.set()
    give_up = time.monotonic() + 5
    while ask(url, "a") == "running" and time.monotonic() < give_up:
        time.sleep(0.02)
    assert ask(url, "a") == "done"


def test_two_effects_on_one_target_do_not_overlap(serve: Callable[..., str]) -> None:
    gate = threading.Event()
    url = serve(lambda *_: gate.wait(10) and None, answer_within=0.1)
    send(url, call(uid="a", fence=1))
    second = send(url, call(uid="b", fence=2))
    elsewhere = send(url, call(uid="c", target="web-02"))
    gate.set()
    assert (second.kind, second.retryable) == ("failed", True)
    assert elsewhere.kind == "accepted"


def test_a_call_overtaken_after_its_fence_was_noted_does_nothing(serve: Callable[..., str]) -> None:
    ran: list[str] = []

    class Overtaken(r.Memory):
        def begin(self, *given: Any) -> bool:
            if given[0].key == "late":
                send(url, call(uid="early", fence=2))
            return super().begin(*given)

    url = serve(lambda target, params: ran.append(target), memory=Overtaken)
    assert send(url, call(uid="late", fence=1)).error_class == "stale_fence"
    assert (len(ran), ask(url, "late"), ask(url, "early")) == (1, "not_found", "done")


def test_what_waited_for_a_worker_until_its_deadline_is_not_begun(serve: Callable[..., str]) -> None:
    ran: list[str] = []

    def slow(target: str, params: dict[str, Any]) -> None:
        ran.append(target)
        time.sleep(1.2)

    url = serve(slow, workers=1, answer_within=0.05)
    send(url, call(uid="a"))
    soon = clock.now() + timedelta(seconds=1)
    assert send(url, replace(call(uid="b", target="web-02"), deadline=soon)).kind == "accepted"
    give_up = time.monotonic() + 5
    while ask(url, "b") == "running" and time.monotonic() < give_up:
        time.sleep(0.02)
    assert (ask(url, "b"), ran) == ("failed", ["web-01"])


def test_the_cap_answers_429_and_when_to_come_back(serve: Callable[..., str]) -> None:
    url = serve(lambda *_: None, cap=2)
    outcomes = [send(url, call(uid=f"k{n}", fence=n)) for n in range(3)]
    assert [o.kind for o in outcomes] == ["succeeded", "succeeded", "failed"]
    assert (outcomes[2].error_class, outcomes[2].retryable, outcomes[2].retry_after) == ("rate_limited", True, 5.0)


@pytest.mark.parametrize(
    "headers",
    [{}, {"idempotency-key": "a"}, {"idempotency-key": "a", "vigil-fence": "web-01;x"}],
    ids=["none", "no fence", "fence that is no number"],
)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"{", b"[" * 9000, b'{"target": [], "action": {}}', b"\xff"], ids=repr
)
def test_requests_without_sense_are_refused_and_break_nothing(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(r.Refused) as refused:
        r.read_call(headers, body)
    assert refused.value.reply.status == 422


def test_answers_and_fences_survive_kill_dash_nine(tmp_path: Path) -> None:
    one = call(uid="a", fence=5)
    with reference.process(tmp_path) as (url, running):
        first = send(url, one)
        running.send_signal(signal.SIGKILL)
        running.wait(10)
    with reference.process(tmp_path) as (url, _):
        again = send(url, replace(one, attempt=2))
        stale = send(url, call(uid="b", fence=4))
        replayed = send(url, one)
        assert ask(url, "a") == "done"
    assert (first.kind, again.kind, again.message) == ("succeeded", "succeeded", first.message)
    assert stale.error_class == "stale_fence"
    assert replayed.error_class == "replayed"


def test_a_run_cut_by_kill_dash_nine_is_neither_done_nor_forgotten(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    options = ("--latency", "30", "--answer-within", "0.1", "--journal", str(journal))
    one = call(uid="a")
    with reference.process(tmp_path, *options) as (url, running):
        assert send(url, one).kind == "accepted"
        running.send_signal(signal.SIGKILL)
        running.wait(10)
    with reference.process(tmp_path, *options) as (url, _):
        assert ask(url, "a") == "cannot_say"
        assert send(url, replace(one, attempt=2)).kind == "ambiguous"
    assert [json.loads(line)["what"] for line in journal.read_text().splitlines()] == ["begun"]


def test_the_journal_tells_beginning_and_end_of_each_effect(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with reference.process(tmp_path, "--journal", str(journal)) as (url, _):
        send(url, call(uid="a", fence=9))
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(e["what"], e["key"], e["target"], e["fence"]) for e in entries] == [
        ("begun", "a", "web-01", 9),
        ("ended", "a", "web-01", 9),
    ]


def test_actions_come_from_a_file_of_your_own(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("ACTIONS = {'greet': lambda target, params: 'hello ' + target}\n")
    with reference.process(tmp_path, "--actions", str(own)) as (url, _):
        assert send(url, call(uid="a", kind="greet")).message == "hello web-01"
        assert "Known: greet" in send(url, call(uid="b", kind="restart")).message


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    with reference.process(tmp_path) as (_, running):
        running.terminate()
        assert running.wait(10) == 0


def test_without_a_secret_it_serves_and_warns(tmp_path: Path) -> None:
    with reference.process(tmp_path, secret="") as (url, _):
        unsigned = registry.build(kind="http", config={"url": url, "contract": "strict"})
        outcome = unsigned.call(call(uid="a"), deadline_monotonic=time.monotonic() + 5)
    assert outcome.kind == "succeeded"


def test_what_has_not_begun_can_be_stopped_and_says_so_from_then_on(tmp_path: Path) -> None:
    """One worker: the second call waits for it, and is stopped while it waits."""
    ran: list[str] = []
    hold = threading.Event()

    def act(target: str, params: dict[str, Any]) -> None:
        ran.append(target)
        hold.wait(10)

    remediator = r.Remediator(
        actions={"restart": act},
        memory=r.Memory(str(tmp_path / "m.sqlite3")),
        secret=reference.SECRET,
        answer_within=0.05,
        workers=1,
    )
    with reference.served(remediator) as url:
        assert [send(url, call(uid=uid, target=uid)).kind for uid in ("a", "b")] == ["accepted", "accepted"]
        until = time.monotonic() + 5
        http = client(url)
        assert isinstance(http, base.Cancels)
        assert [http.cancel(uid, "", deadline_monotonic=until).state for uid in ("a", "b", "z")] == [
            "running",
            "cancelled",
            "not_found",
        ]
        hold.set()
        assert (ask(url, "b"), ran) == ("cancelled", ["a"])
        again = send(url, call(uid="b", target="b", attempt=2))
        assert (again.kind, again.retryable) == ("failed", False)
