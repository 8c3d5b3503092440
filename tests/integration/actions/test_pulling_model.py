"""Whatever happens between Vigil and those that fetch, in whatever order: what may run once is handed over once."""

import contextlib
from collections import Counter
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from actions import control, dispatch, fsck, pulling, reaper, steering
from actions.claims import Claimed, claim, intend
from actions.models import Action, ActionType, Attempt, Remediator
from actions.pulling import Result, Task, Word
from actions.states import HOLDING
from tests.integration.actions import make
from vigil.access.principal import Principal
from vigil.access.scopes import REMEDIATOR
from vigil.kernel import clock
from vigil.kernel.errors import Conflict, NotFound

TARGETS = ["web-01", "web-02", "web-03"]
KINDS = ["scale-up", "restart"]
NAMES = ["edge-1", "edge-2"]
WORDS: list[Word] = ["success", "failed", "timeout", "partial"]
EDGE = Principal(actor="key:edge", scopes=frozenset({REMEDIATOR}))


class Pulling(RuleBasedStateMachine):
    """Orders, two that fetch and die, reports in any order, the dispatcher, and the passing of time."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[str, Task]] = []
        self.savepoint = transaction.savepoint()

    def teardown(self) -> None:
        """However it ended, every invariant holds. I10 has a clock of its own: here 302 s may have passed at once."""
        found = list(fsck.broken(at=clock.now() - timedelta(seconds=302)))
        transaction.savepoint_rollback(self.savepoint)
        assert found == []

    @initialize()
    def begin(self) -> None:
        for target in TARGETS:
            self.order(kind="restart", host=target)

    @rule(kind=strategies.sampled_from(KINDS), host=strategies.sampled_from(TARGETS))
    def order(self, kind: str, host: str) -> None:
        dispatch.order_by_hand(kind=kind, target=host, params={}, reason="", actor="user:ana", at=clock.now())

    @rule(name=strategies.sampled_from(NAMES), limit=strategies.integers(1, 4))
    def one_fetches(self, name: str, limit: int) -> None:
        """What becomes of it is another rule's business: most of what is fetched is never reported."""
        for task in pulling.fetch(remediator_id=name, limit=limit, caller=EDGE):
            assert control.state().mode == "active"
            self.handed.append((name, task))

    @rule(name=strategies.sampled_from(NAMES), intends=strategies.booleans())
    def a_web_process_dies_while_it_gathers(self, name: str, intends: bool) -> None:
        found = Action.objects.filter(state__in=["ready", "retry_wait"]).order_by("id").first()
        lease = claim(action_id=found.pk, worker=f"pull/{name}", fetched=True) if found is not None else None
        if isinstance(lease, Claimed) and intends:
            intend(lease)

    @precondition(lambda self: self.handed)
    @rule(pick=strategies.integers(0, 99), word=strategies.sampled_from(WORDS), name=strategies.sampled_from(NAMES))
    def somebody_reports(self, pick: int, word: Word, name: str) -> None:
        _, task = self.handed[pick % len(self.handed)]
        result = Result(
            task_id=str(task.row.uid),
            status=word,
            remediator_id=name,
            resource=task.row.target,
            action=task.row.action_type_id,
        )
        with contextlib.suppress(Conflict, NotFound):
            pulling.record(result, caller=EDGE)

    @rule()
    def max_seconds_pass(self) -> None:
        Attempt.objects.update(intent_at=clock.now() - timedelta(seconds=302))

    @rule()
    def time_passes(self) -> None:
        for row in Action.objects.all():
            make.due_now(row.pk)
            if row.lease_owner is not None:
                make.lease_over(row.pk)

    @rule()
    def the_dispatcher_looks(self) -> None:
        reaper.run(at=clock.now())

    @rule(pick=strategies.integers(0, 9))
    def a_person_cancels(self, pick: int) -> None:
        live = list(Action.objects.filter(state__in=["ready", "retry_wait", *HOLDING]).order_by("id"))
        if live:
            steering.cancel(action_id=live[pick % len(live)].pk, actor="user:ana", reason="", at=clock.now())

    @rule(mode=strategies.sampled_from(["active", "active", "paused"]))
    def the_switch_is_set(self, mode: str) -> None:
        control.set_mode(mode=mode, reason="", actor="user:ana", at=clock.now())

    @invariant()
    def what_may_run_once_is_handed_over_once(self) -> None:
        times = Counter(task.row.pk for _, task in self.handed if task.row.action_type_id == "restart")
        assert [pk for pk, count in times.items() if count > 1] == []


@pytest.mark.django_db
def test_the_invariants_hold_whatever_happens(stage: object) -> None:
    row = Remediator.objects.create(name="edge", kind="pull", config={"keys": ["edge"]})
    ActionType.objects.update(remediator=row)
    run_machine(Pulling, settings=settings(max_examples=6, stateful_step_count=25, deadline=None))
