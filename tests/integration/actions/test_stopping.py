"""Cancelling work that a remediator has taken on: told to stop where it can, and settled by its answer."""

import pytest

from actions import fsck, queries, reaper, steering
from actions.models import ActionType
from actions.remediators import base
from tests.integration.actions import fakes, make
from vigil.kernel import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def remote_that_stops(remote: fakes.Fake) -> fakes.Stoppable:
    """Types say that they can be cancelled, and their remediator can stop runs."""
    ActionType.objects.update(cancel=True)
    return fakes.stoppable()


def running(*, cancelled: bool = True) -> queries.ActionView:
    action = make.ordered(kind="restart")
    make.run(action.id)
    if cancelled:
        steering.cancel(action_id=action.id, actor="user:ana", reason="wrong target", at=clock.now())
    return action


def ask() -> None:
    reaper.ask(at=clock.now())


def test_work_that_can_be_stopped_is_stopped_at_the_next_look(remote_that_stops: fakes.Stoppable) -> None:
    action = running()
    ask()
    assert remote_that_stops.stopped == [str(action.uid)]
    assert make.story(action.id)[-3:] == ["accepted", "cancel_requested", "cancelled"]
    assert queries.attempts_of(action.id)[0].message == "stopped"
    assert list(fsck.broken(at=clock.now())) == []
    assert make.state(make.by_hand(target="web-01").id) == "ready"


@pytest.mark.parametrize(("said", "state"), [("done", "succeeded"), ("failed", "failed")])
def test_what_had_ended_before_has_ended_like_that(
    remote_that_stops: fakes.Stoppable, said: base.AnswerState, state: str
) -> None:
    remote_that_stops.stops = [base.Answer(state=said)]
    action = running()
    ask()
    assert make.state(action.id) == state


@pytest.mark.parametrize("said", ["running", "cannot_say", "not_found"])
def test_what_is_not_stopped_yet_is_asked_about_and_told_again(
    remote_that_stops: fakes.Stoppable, said: base.AnswerState
) -> None:
    remote_that_stops.stops = [base.Answer(state=said)]
    action = running()
    for _ in range(2):
        make.due_now(action.id)
        ask()
    assert len(remote_that_stops.stopped) == len(remote_that_stops.asked) == 2
    assert make.state(action.id) == "accepted"


def test_what_nobody_cancelled_is_not_stopped(remote_that_stops: fakes.Stoppable) -> None:
    action = running(cancelled=False)
    make.due_now(action.id)
    ask()
    assert (remote_that_stops.stopped, len(remote_that_stops.asked)) == ([], 1)


def test_a_type_that_cannot_be_cancelled_is_not_told_to(remote_that_stops: fakes.Stoppable) -> None:
    ActionType.objects.update(cancel=False)
    running()
    ask()
    assert (remote_that_stops.stopped, len(remote_that_stops.asked)) == ([], 1)


def test_a_run_that_the_remediator_stopped_by_itself_has_failed(remote_that_stops: fakes.Stoppable) -> None:
    remote_that_stops.answers = [base.Answer(state="cancelled", message="by the night shift")]
    action = running(cancelled=False)
    make.due_now(action.id)
    ask()
    assert (make.state(action.id), queries.get(action.id).details) == ("failed", "by the night shift")
