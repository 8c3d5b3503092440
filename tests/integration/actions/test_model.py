"""Whatever happens in whatever order: the invariants of actions hold after every step."""

from collections import Counter
from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from actions import approvals, control, dispatch, execution, reaper, steering
from actions.approvals import NotYourWord, UnableToApprove
from actions.claims import Claimed, Intent, claim, intend
from actions.consent import Asks, Voice
from actions.guards import GateAnswer
from actions.models import Action, ActionType, Attempt
from actions.remediators import base
from actions.states import CLAIMABLE, HOLDING, TERMINAL
from tests.integration.actions import fakes, make
from vigil.kernel import clock

TARGETS = ["web-01", "web-02"]
KINDS = ["scale-up", "restart"]
CRITICAL = "drain-pod"
"""Needs two people, whoever orders it."""
ASKS = [Asks.NOBODY, Asks.OPERATOR, Asks.APPROVER]
VOICES = [
    Voice(actor="user:ola", operates=True),
    Voice(actor="user:bo", approves=True),
    Voice(actor="user:cy", operates=True, approves=True),
]
OUTCOMES = [fakes.DONE, fakes.ACCEPTED, fakes.REFUSED, fakes.SAID_NO, fakes.TIMEOUT]
ANSWERS = ["not_found", "running", "done", "failed", "cancelled", "cannot_say"]


class Life(RuleBasedStateMachine):
    """Orders, workers that die anywhere, verbs of people, the dispatcher and the passing of time."""

    fake: fakes.Fake
    gate: fakes.Gate

    def __init__(self) -> None:
        super().__init__()
        self.leases: list[Claimed] = []
        self.intents: list[Intent] = []
        self.cancelled: set[int] = set()
        self.agreed: dict[int, set[str]] = {}
        """Whose yes was taken, by action."""
        self.numbers = 0
        self.told: dict[int, int] = {}
        self.savepoint = transaction.savepoint()

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.savepoint)

    def some(self, pick: int, *states: str) -> int | None:
        ids = list(Action.objects.filter(state__in=states).order_by("id").values_list("id", flat=True))
        return ids[pick % len(ids)] if ids else None

    @initialize()
    def begin(self) -> None:
        self.fake.calls.clear()
        free, busy = TARGETS
        self.order(kind="restart", host=free, by_hand=False, asks=Asks.OPERATOR)
        for kind in [*KINDS, CRITICAL]:
            self.order(kind=kind, host=busy, by_hand=True)

    @rule(
        kind=strategies.sampled_from([*KINDS, CRITICAL]),
        host=strategies.sampled_from(TARGETS),
        by_hand=strategies.booleans(),
        asks=strategies.sampled_from(ASKS),
    )
    def order(self, kind: str, host: str, by_hand: bool, asks: Asks = Asks.NOBODY) -> None:
        self.numbers += 1
        if by_hand:
            dispatch.order_by_hand(kind=kind, target=host, params={}, reason="", actor="user:ana", at=clock.now())
        else:
            make.answer(kind=kind, target=host, key=f"k{self.numbers}", asks=asks)

    @rule(pick=strategies.integers(0, 9))
    def a_worker_claims(self, pick: int) -> None:
        action_id = self.some(pick, "ready", "retry_wait")
        got = claim(action_id=action_id, worker="w1") if action_id is not None else None
        if isinstance(got, Claimed):
            self.leases.append(got)

    @precondition(lambda self: self.leases)
    @rule(pick=strategies.integers(0, 9))
    def a_worker_commits_its_intent(self, pick: int) -> None:
        got = intend(self.leases.pop(pick % len(self.leases)))
        if isinstance(got, Intent):
            assert got.row.pk not in self.cancelled
            self.intents.append(got)

    @precondition(lambda self: self.leases or self.intents)
    @rule()
    def a_worker_dies(self) -> None:
        if self.leases:
            self.leases.pop()
        else:
            self.intents.pop()

    @precondition(lambda self: self.intents)
    @rule(pick=strategies.integers(0, 9), outcome=strategies.sampled_from(OUTCOMES), durable=strategies.booleans())
    def a_call_comes_back(self, pick: int, outcome: base.Outcome, durable: bool) -> None:
        intent = self.intents.pop(pick % len(self.intents))
        execution._result(intent, outcome, durable_keys=durable)

    @rule(
        outcomes=strategies.lists(strategies.sampled_from(OUTCOMES), min_size=1),
        wanted=strategies.sampled_from([True] * 7 + [False]),
    )
    def hints_arrive_for_everything(self, outcomes: list[base.Outcome], wanted: bool) -> None:
        self.fake.outcomes = outcomes
        self.gate.answer = GateAnswer(wanted=wanted, reason="fresh data")
        self.time_passes()
        for action_id in Action.objects.order_by("id").values_list("id", flat=True):
            make.run(action_id)

    @rule()
    def leases_run_out(self) -> None:
        for action_id in Action.objects.filter(state__in=["leased", "executing"]).values_list("id", flat=True):
            make.lease_over(action_id)

    @rule()
    def time_passes(self) -> None:
        for action_id in Action.objects.values_list("id", flat=True):
            make.due_now(action_id)

    @rule(pick=strategies.integers(0, 9))
    def a_deadline_passes(self, pick: int) -> None:
        action_id = self.some(pick, "ready", "retry_wait", "leased")
        if action_id is not None and pick > 6:
            make.deadline_over(action_id)

    @rule(answers=strategies.lists(strategies.sampled_from(ANSWERS), min_size=1))
    def the_dispatcher_reaps(self, answers: list[Any]) -> None:
        self.fake.answers = [base.Answer(state=answer) for answer in answers]
        reaper.run(at=clock.now())

    @rule(
        pick=strategies.integers(0, 9),
        voices=strategies.permutations(VOICES),
        silent=strategies.sampled_from([0, 0, 1, 2]),
        wanted=strategies.sampled_from([True] * 7 + [False]),
    )
    def people_approve(self, pick: int, voices: list[Voice], silent: int, wanted: bool) -> None:
        action_id = self.some(pick, "awaiting_approval")
        for voice in voices[silent:]:
            if action_id is not None and make.state(action_id) == "awaiting_approval":
                self.a_person_approves(action_id, voice, wanted=wanted)

    def a_person_approves(self, action_id: int, voice: Voice, *, wanted: bool) -> None:
        self.gate.answer = GateAnswer(wanted=wanted, reason="fresh data", limits=make.FREE)
        self.gate.asked_about.clear()
        before = Action.objects.get(pk=action_id)
        try:
            approvals.approve(action_id=action_id, voice=voice, reason="", at=clock.now())
        except (UnableToApprove, NotYourWord):
            assert make.state(action_id) in ("awaiting_approval", "cancelled")
            return
        agreed = self.agreed.setdefault(action_id, set())
        assert before.by_hand or voice.actor in agreed or (wanted and self.gate.asked_about == [action_id])
        agreed.add(voice.actor)
        assert voice.counts_for(before.asks)
        assert make.state(action_id) == ("ready" if len(agreed) >= before.people else "awaiting_approval")

    @rule(pick=strategies.integers(0, 9), voice=strategies.sampled_from(VOICES))
    def a_person_says_no(self, pick: int, voice: Voice) -> None:
        action_id = self.some(pick, "awaiting_approval")
        if action_id is None:
            return
        try:
            approvals.reject(action_id=action_id, voice=voice, reason="", at=clock.now())
        except (UnableToApprove, NotYourWord):
            assert make.state(action_id) == "awaiting_approval"
        else:
            assert make.state(action_id) == "rejected"

    @rule(pick=strategies.integers(0, 9), voice=strategies.sampled_from(VOICES))
    def nobody_says_a_word_in_time(self, pick: int, voice: Voice) -> None:
        action_id = self.some(pick, "awaiting_approval")
        if action_id is None or pick < 6:
            return
        make.word_overdue(action_id)
        with pytest.raises((UnableToApprove, NotYourWord)):
            approvals.approve(action_id=action_id, voice=voice, reason="", at=clock.now())

    @rule(pick=strategies.integers(0, 9))
    def a_person_cancels(self, pick: int) -> None:
        waiting = ["awaiting_approval", "ready", "retry_wait"]
        action_id = self.some(pick, *(state.value for state in HOLDING), *waiting)
        if action_id is not None:
            steering.cancel(action_id=action_id, actor="user:ana", reason="", at=clock.now())
            self.cancelled.add(action_id)

    @rule(pick=strategies.integers(0, 9))
    def a_person_retries(self, pick: int) -> None:
        action_id = self.some(pick, "failed", "expired", "cancelled", "rejected", "needs_human")
        if action_id is None:
            return
        done = Action.objects.filter(retry_of=action_id, state="succeeded").exists()
        try:
            steering.retry(action_id=action_id, actor="user:ana", reason="", at=clock.now())
        except steering.UnableToRetry:
            assert done
        else:
            assert not done

    @rule(outcomes=strategies.lists(strategies.sampled_from(OUTCOMES), min_size=1))
    def paused_nothing_is_sent(self, outcomes: list[base.Outcome]) -> None:
        before = len(self.fake.calls)
        control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
        self.hints_arrive_for_everything(outcomes=outcomes, wanted=True)
        waiting = self.some(0, "awaiting_approval")
        if waiting is not None:
            with pytest.raises((UnableToApprove, NotYourWord)):
                approvals.approve(action_id=waiting, voice=VOICES[1], reason="", at=clock.now())
        control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now())
        assert len(self.fake.calls) == before

    @invariant()
    def every_story_is_gapless_and_legal(self) -> None:
        now = dict(Action.objects.values_list("id", "state_seq"))
        for action_id, steps in now.items():
            if self.told.get(action_id) != steps:  # a story without a new step was read before
                make.story(action_id)
        self.told = now

    @invariant()
    def no_target_is_held_twice(self) -> None:
        held = Counter(Action.objects.filter(state__in=HOLDING).values_list("target", flat=True))
        assert all(count == 1 for count in held.values())

    @invariant()
    def every_call_has_its_attempt(self) -> None:
        attempts = set(Attempt.objects.values_list("action_id", "number"))
        assert {(call.action_id, call.attempt) for call in self.fake.calls} <= attempts

    @invariant()
    def what_is_delicate_leaves_at_most_once(self) -> None:
        left = Attempt.objects.filter(action__action_type__retry_safety="at_most_once", first_byte_at__isnull=False)
        assert all(count == 1 for count in Counter(left.values_list("action_id", flat=True)).values())

    @invariant()
    def nothing_begins_without_the_words_it_waits_for(self) -> None:
        begun = Attempt.objects.filter(action__people__gt=0).values_list("action_id", "action__people").distinct()
        assert all(len(self.agreed.get(action_id, ())) >= people for action_id, people in begun)

    @invariant()
    def what_was_turned_down_never_ran(self) -> None:
        unheard = Action.objects.filter(state="expired", people__gt=0, approved_at=None)
        turned_down = Action.objects.filter(state="rejected") | unheard
        assert not Attempt.objects.filter(action__in=turned_down).exists()

    @invariant()
    def fences_only_rise(self) -> None:
        for target in TARGETS:
            tokens = list(Attempt.objects.filter(action__target=target).order_by("id").values_list("token", flat=True))
            assert tokens == sorted(set(tokens))

    @invariant()
    def nothing_waits_that_is_to_be_cancelled(self) -> None:
        assert not Action.objects.filter(state__in=CLAIMABLE, cancel_requested_at__isnull=False).exists()

    @invariant()
    def what_is_over_holds_nothing(self) -> None:
        over = Action.objects.filter(state__in=TERMINAL)
        assert not over.filter(lease_owner__isnull=False).exists()
        assert not over.filter(finished_at__isnull=True).exists()


@pytest.mark.timeout(600)
def test_the_invariants_hold_whatever_happens(remote: fakes.Fake, gate: fakes.Gate) -> None:
    Life.fake, Life.gate = remote, gate
    ActionType.objects.filter(name=CRITICAL).update(risk="critical")
    run_machine(Life, settings=settings(max_examples=16, stateful_step_count=40, deadline=None))
