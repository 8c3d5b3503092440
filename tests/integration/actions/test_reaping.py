"""What the dispatcher puts right, each way something can die."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from actions import asking, control, line, queries, reaper, retry, steering
from actions.claims import Intent, intend
from actions.models import Action, ActionType, Attempt, Remediator
from actions.remediators import base
from tests.integration.actions import fakes, make
from tests.servers.processes import wait_until
from vigil.kernel import clock
from vigil.kernel.database import database_now
from vigil.runner import rounds


def reap() -> dict[str, int]:
    return reaper.run(at=clock.now())


def executing(**order: Any) -> int:
    """An action whose worker died while it called."""
    action = make.ordered(**order)
    assert isinstance(intend(make.leased(action.id)), Intent)
    return action.id


def in_doubt(**order: Any) -> int:
    """An action of which nobody knows what became, due to be asked about."""
    action_id = executing(**order)
    make.lease_over(action_id)
    assert reap()["executions_lost"] == 1
    make.due_now(action_id)
    return action_id


def accepted(**order: Any) -> int:
    """An action that its remediator works on, due to be asked about."""
    fake, _ = fakes.current()
    fake.outcomes = [fakes.ACCEPTED]
    action = make.ordered(**order)
    make.run(action.id)
    make.due_now(action.id)
    return action.id


def began_ago(action_id: int, seconds: float) -> None:
    Attempt.objects.filter(action_id=action_id).update(intent_at=clock.now() - timedelta(seconds=seconds))


def test_with_nothing_to_do_nothing_is_done(remote: fakes.Fake) -> None:
    make.leased(make.ordered().id)
    assert set(reap().values()) == {0}


def test_a_lost_lease_goes_back_to_its_line(remote: fakes.Fake) -> None:
    action = make.ordered()
    make.leased(action.id)
    make.lease_over(action.id)
    assert reap()["leases_returned"] == 1
    assert make.state(action.id) == "ready"
    make.run(action.id)
    assert make.state(action.id) == "succeeded"


def test_two_losses_ask_for_a_person(remote: fakes.Fake) -> None:
    action = make.ordered()
    for _ in range(2):
        make.due_now(action.id)
        make.leased(action.id)
        make.lease_over(action.id)
        reap()
    assert make.state(action.id) == "needs_human"
    assert make.story(action.id) == ["ready", "leased", "ready", "leased", "needs_human"]
    assert remote.calls == []


def test_two_losses_while_calling_ask_for_a_person_too(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="scale-up")
    reap()
    assert make.state(action_id) == "retry_wait"
    make.due_now(action_id)
    intend(make.leased(action_id))
    make.lease_over(action_id)
    reap()
    assert make.state(action_id) == "needs_human"
    assert queries.get(action_id).attempts == 2


def test_a_cancelled_action_whose_worker_died_is_over(remote: fakes.Fake) -> None:
    action = make.ordered()
    make.leased(action.id)
    steering.cancel(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    make.lease_over(action.id)
    reap()
    assert make.state(action.id) == "cancelled"


@pytest.mark.parametrize("state", ["ready", "retry_wait"])
def test_what_waited_too_long_expires(remote: fakes.Fake, state: str) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(state=state)
    make.deadline_over(action.id)
    assert reap()["expired"] == 1
    after = queries.get(action.id)
    assert (after.state, after.status) == ("expired", "failed")


def test_a_lost_call_is_asked_about_and_never_blindly_repeated(remote: fakes.Fake) -> None:
    remote.answers = [base.Answer(state="done", message="restarted")]
    action_id = in_doubt(kind="restart")
    assert reap()["unknown_settled"] == 1
    after = queries.get(action_id)
    assert (after.state, after.details) == ("succeeded", "restarted")
    assert after.verify_after is not None
    assert remote.calls == []
    assert remote.asked == [(str(after.uid), "")]
    assert make.story(action_id) == ["ready", "leased", "executing", "unknown", "succeeded"]


@pytest.mark.parametrize(
    ("answer", "kind", "state"),
    [
        ("failed", "restart", "failed"),
        ("not_found", "restart", "needs_human"),
        ("not_found", "scale-up", "retry_wait"),
        ("cannot_say", "restart", "unknown"),
        ("cannot_say", "scale-up", "retry_wait"),
        ("running", "restart", "accepted"),
    ],
)
def test_what_the_answer_leads_to(remote: fakes.Fake, answer: Any, kind: str, state: str) -> None:
    remote.answers = [base.Answer(state=answer)]
    action_id = in_doubt(kind=kind)
    reap()
    assert make.state(action_id) == state


def test_a_remediator_with_durable_keys_is_sent_the_same_key_again(remote: fakes.Fake) -> None:
    remote.durable_keys = True
    remote.answers = [base.Answer(state="not_found")]
    action_id = in_doubt(kind="restart")
    reap()
    make.due_now(action_id)
    make.run(action_id)
    assert make.state(action_id) == "succeeded"
    assert remote.calls[0].uid == str(queries.get(action_id).uid)


def test_a_cancelled_doubt_is_not_sent_again(remote: fakes.Fake) -> None:
    remote.answers = [base.Answer(state="not_found")]
    action_id = in_doubt(kind="scale-up")
    steering.cancel(action_id=action_id, actor="user:ana", reason="", at=clock.now())
    reap()
    assert make.state(action_id) == "cancelled"


def test_after_ten_questions_a_person_is_asked(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="restart")
    for _ in range(retry.MAX_ASKS):
        assert make.state(action_id) == "unknown"
        make.due_now(action_id)
        reap()
    assert make.state(action_id) == "needs_human"
    assert len(remote.asked) == retry.MAX_ASKS


def test_a_question_is_not_asked_before_its_time(remote: fakes.Fake) -> None:
    in_doubt(kind="restart")
    reap()
    reap()
    assert len(remote.asked) == 1


def test_a_doubt_older_than_its_type_allows_goes_to_a_person_unasked(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="restart")
    began_ago(action_id, 360)
    reap()
    assert make.state(action_id) == "needs_human"
    assert remote.asked == []


def test_a_late_result_settles_the_doubt_without_a_question(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="restart")
    Attempt.objects.filter(action_id=action_id).update(
        outcome="succeeded", late=True, message="done after all", finished_at=clock.now()
    )
    reap()
    assert make.state(action_id) == "succeeded"
    assert queries.get(action_id).details == "done after all"
    assert remote.asked == []


def test_a_late_acceptance_is_followed_up_and_never_for_ever(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="restart")
    Attempt.objects.filter(action_id=action_id).update(
        outcome="accepted", late=True, run_id="run-9", finished_at=clock.now()
    )
    reap()
    assert make.state(action_id) == "accepted"
    began_ago(action_id, 360)
    for _ in range(2):
        make.due_now(action_id)
        reap()
    assert make.state(action_id) == "needs_human"


def test_a_remediator_that_cannot_be_built_cannot_say(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="restart")
    Remediator.objects.filter(name="fake").update(config={"surprise": 1})
    reap()
    assert make.state(action_id) == "unknown"


def test_accepted_work_is_polled_until_it_is_done(remote: fakes.Fake) -> None:
    remote.answers = [base.Answer(state="running"), base.Answer(state="done", message="finished")]
    action_id = accepted()
    reap()
    assert make.state(action_id) == "accepted"
    make.due_now(action_id)
    assert reap()["accepted_settled"] == 1
    after = queries.get(action_id)
    assert (after.state, after.details) == ("succeeded", "finished")
    assert remote.asked[0] == (str(after.uid), "run-1")


@pytest.mark.parametrize(
    ("answer", "state"), [("failed", "failed"), ("not_found", "unknown"), ("cannot_say", "accepted")]
)
def test_what_accepted_work_comes_to(remote: fakes.Fake, answer: Any, state: str) -> None:
    remote.answers = [base.Answer(state=answer)]
    action_id = accepted()
    reap()
    assert make.state(action_id) == state


def test_work_that_never_ends_ends_with_a_person(remote: fakes.Fake) -> None:
    remote.answers = [base.Answer(state="running")]
    action_id = accepted(kind="restart")
    began_ago(action_id, 301)
    reap()
    assert make.state(action_id) == "unknown"
    make.due_now(action_id)
    reap()
    assert make.state(action_id) == "unknown"
    began_ago(action_id, 360)
    make.due_now(action_id)
    reap()
    assert make.state(action_id) == "needs_human"


def test_two_dispatchers_ask_once(remote: fakes.Fake) -> None:
    action_id = in_doubt(kind="restart")
    row = Action.objects.select_related("action_type__remediator").get(pk=action_id)
    assert asking._mark(row) is not None
    assert asking._mark(row) is None


def test_one_broken_step_stops_no_other(remote: fakes.Fake) -> None:
    remote.answers = []
    in_doubt(kind="restart")
    late = make.ordered(key="b", target="web-02")
    make.deadline_over(late.id)
    assert reap()["expired"] == 1


def hints_due() -> list[int]:
    """What the reaper would hint at now."""
    return sorted(line.due().filter(reaper._silent(database_now())).values_list("id", flat=True))


def test_a_fresh_order_was_hinted_at_by_its_own_commit(remote: fakes.Fake) -> None:
    make.ordered()
    assert hints_due() == []


@pytest.mark.parametrize("seconds", [15, 600])
def test_what_nobody_was_told_of_lately_is_hinted_again(remote: fakes.Fake, seconds: int) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(hinted_at=clock.now() - timedelta(seconds=seconds))
    assert hints_due() == [action.id]


def test_a_retry_is_hinted_at_when_it_becomes_due(remote: fakes.Fake) -> None:
    action = make.ordered()
    Action.objects.filter(pk=action.id).update(
        hinted_at=clock.now() - timedelta(seconds=5), run_after=clock.now() - timedelta(seconds=1)
    )
    assert hints_due() == [action.id]


def test_only_the_head_of_a_line_is_hinted_at(remote: fakes.Fake) -> None:
    first, second = make.by_hand(), make.by_hand()
    Action.objects.update(hinted_at=None)
    assert hints_due() == [first.id]
    make.leased(first.id)
    assert hints_due() == []
    assert second.is_live


def test_a_hint_is_marked_before_it_is_published(remote: fakes.Fake, broker: Any) -> None:
    action = make.ordered()
    Action.objects.update(hinted_at=None)
    assert reap()["hinted"] == 1
    row = Action.objects.get(pk=action.id)
    assert row.hint_count == 1
    assert row.hinted_at is not None
    assert reap()["hinted"] == 0


def test_paused_nobody_is_hinted(remote: fakes.Fake) -> None:
    make.ordered()
    Action.objects.update(hinted_at=None)
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    assert reap()["hinted"] == 0


def test_an_action_type_says_how_long_is_too_long(remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="restart").update(max_seconds=10)
    action_id = in_doubt(kind="restart")
    began_ago(action_id, 61)
    reap()
    assert make.state(action_id) == "needs_human"


@pytest.mark.parametrize("durable", [True, False])
def test_what_a_remediator_accepted_and_forgot_is_not_sent_again(remote: fakes.Fake, durable: bool) -> None:
    remote.durable_keys = durable
    remote.answers = [base.Answer(state="not_found")]
    action_id = accepted(kind="restart")
    for _ in range(retry.MAX_ASKS + 2):
        reap()
        make.due_now(action_id)
    assert make.state(action_id) == "needs_human"
    assert Attempt.objects.filter(action_id=action_id).count() == 1


def test_what_a_remediator_said_is_running_and_forgot_is_not_sent_again(remote: fakes.Fake) -> None:
    remote.durable_keys = True
    remote.answers = [base.Answer(state="running"), base.Answer(state="not_found")]
    action_id = in_doubt(kind="restart")
    for _ in range(retry.MAX_ASKS + 4):
        reap()
        make.due_now(action_id)
    assert make.state(action_id) == "needs_human"


@pytest.mark.parametrize(("doubt", "passed"), [("unknown", 345), ("accepted", 295)])
def test_the_last_question_comes_when_patience_ends(remote: fakes.Fake, doubt: str, passed: int) -> None:
    action_id = accepted(kind="restart") if doubt == "accepted" else in_doubt(kind="restart")
    Action.objects.filter(pk=action_id).update(asked=6)
    began_ago(action_id, passed)
    reap()
    wait = Action.objects.get(pk=action_id).run_after - database_now()
    assert make.state(action_id) == doubt
    assert wait <= timedelta(seconds=6)


def test_a_lease_lost_while_it_is_cancelled_is_not_ready_again(remote: fakes.Fake) -> None:
    action = make.ordered()
    make.leased(action.id)
    make.lease_over(action.id)
    as_it_was = Action.objects.get(pk=action.id)
    steering.cancel(action_id=action.id, actor="user:ana", reason="", at=clock.now())
    assert not reaper._return_lease(as_it_was)
    reap()
    assert make.state(action.id) == "cancelled"


def test_a_secret_that_is_lost_leaves_only_its_own_doubts_open(remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="restart").update(remediator=Remediator.objects.create(name="other", kind="fake"))
    lost, fine = in_doubt(kind="restart"), in_doubt(target="web-02", key="b")
    make.secret_lost("other")
    assert reap()["unknown_settled"] == 1
    assert (make.state(lost), make.state(fine)) == ("unknown", "retry_wait")
    began_ago(lost, 360)
    make.due_now(lost)
    reap()
    assert make.state(lost) == "needs_human"


def test_a_remediator_that_does_not_answer_keeps_no_lost_lease_waiting(committed_remote: fakes.Fake) -> None:
    in_doubt(kind="restart")
    lost = make.ordered(target="web-02", key="b")
    make.leased(lost.id)
    stop, answer = threading.Event(), threading.Event()
    committed_remote.before_answering = partial(answer.wait, 30)
    chosen = tuple(step for step in rounds.steps(stop) if step.name in ("ask", "reap"))
    dispatcher = threading.Thread(target=rounds.run, args=(stop,), kwargs={"chosen": chosen})
    dispatcher.start()
    try:
        wait_until(lambda: committed_remote.asked != [], seconds=10, what="the question")
        make.lease_over(lost.id)
        wait_until(lambda: make.state(lost.id) == "ready", seconds=10, what="the lease to be returned")
    finally:
        stop.set()
        answer.set()
        dispatcher.join()
