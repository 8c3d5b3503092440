"""All rules of the lifecycle at once: a machine that does anything in any order, and what must always hold."""

import dataclasses
import itertools
import json
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from policies.engine import lifecycle
from policies.engine.flapping import History, Limits
from policies.engine.lifecycle import Flap, IncidentState, OnNoData, Status, Step, Timings, Transition
from policies.engine.values import Outcome
from tests.unit.policies.builders import NOW, verdict

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
ZERO = timedelta(0)
_lengths = st.sampled_from([0, 15, 30, 60, 120]).map(lambda seconds: timedelta(seconds=seconds))
_timings = st.builds(
    Timings,
    hold_for=_lengths,
    keep_open_for=_lengths,
    on_no_data=st.sampled_from(OnNoData),
    flap=st.builds(Limits, high=st.sampled_from([20, 50, 101]), low=st.sampled_from([5, 15])),
)


class Life(RuleBasedStateMachine):
    """One policy on one target; the clock only moves when a rule moves it."""

    @initialize(timings=_timings)
    def begin(self, timings: Timings) -> None:
        self.timings = timings
        self.state = IncidentState()
        self.at: datetime = NOW
        self.seen_at: datetime | None = None
        self.bad = ZERO
        """Time in which the condition is known to have been violated without a break."""
        self.good = ZERO
        self.opened = self.closed = 0
        self.told_flaps: list[Flap] = []
        self.results = [False]
        """Every result there ever was, newest last."""
        self.result_at: datetime | None = None
        self.forgot = False
        self.grace_until: datetime | None = None

    @rule(outcome=st.sampled_from(Outcome), seconds=st.sampled_from([1, 15, 30]))
    def evaluate_in_time(self, outcome: Outcome, seconds: int) -> None:
        self._evaluate(outcome, timedelta(seconds=seconds))

    @rule(outcome=st.sampled_from(Outcome), times=st.integers(2, 25))
    def evaluate_alike_for_a_while(self, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            self._evaluate(outcome, timedelta(seconds=15))

    @rule(times=st.integers(2, 12))
    def go_up_and_down(self, times: int) -> None:
        for _ in range(times):
            self._evaluate(V, timedelta(seconds=15))
            self._evaluate(H, timedelta(seconds=15))

    @rule(outcome=st.sampled_from(Outcome), times=st.integers(2, 40))
    def read_many_times_a_second(self, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            self._evaluate(outcome, timedelta(milliseconds=100))

    @rule(outcome=st.sampled_from(Outcome), seconds=st.integers(31, 4000))
    def come_back_after_a_gap(self, outcome: Outcome, seconds: int) -> None:
        self._evaluate(outcome, timedelta(seconds=seconds))

    @rule(seconds=st.integers(1, 20))
    def fail_to_judge(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)
        step = lifecycle.failed(self.state, "no such column")
        assert step.state == self.state
        assert step.transition is None
        assert not step.announces

    @rule()
    def restart(self) -> None:
        """What is stored is plain data, so that a new process goes on where the old one was."""
        stored = json.loads(json.dumps(dataclasses.asdict(self.state), default=str))
        history = History(**{name: self._read(name, text) for name, text in stored.pop("history").items()})  # type: ignore[arg-type]
        restored = IncidentState(history=history, **{name: self._read(name, text) for name, text in stored.items()})  # type: ignore[arg-type]
        assert restored == self.state
        self.state = restored

    @rule(hold=_lengths)
    def edit_how_long_it_must_last(self, hold: timedelta) -> None:
        """Only where no incident is live: one that is keeps the version it was opened under."""
        if self.state.status is Status.NONE:
            self.timings = dataclasses.replace(self.timings, hold_for=hold)

    @staticmethod
    def _read(name: str, text: str | None) -> object:
        if text is None or name == "results":
            return text
        return Status(text) if name == "status" else datetime.fromisoformat(text)

    def _evaluate(self, outcome: Outcome, passed: timedelta) -> None:
        self.at += passed
        step = lifecycle.advance(self.state, verdict(outcome), self.at, self.timings)
        self._count_time(outcome)
        self._count_result(step, outcome)
        self._check(step, outcome)
        self.seen_at = self.at
        self.state = step.state

    def _count_time(self, outcome: Outcome) -> None:
        """The model: only stretches between two evaluations in time count, and blind ones only where they are bad."""
        passed = ZERO if self.seen_at is None else self.at - self.seen_at
        if passed > self.timings.max_gap:
            passed, self.grace_until = ZERO, self.at + self.timings.grace
        as_bad = outcome is V or (outcome is U and self.timings.on_no_data is OnNoData.OPEN)
        was_bad, was_good = self.state.status is not Status.NONE, self.state.healthy_since is not None
        if outcome is U and not as_bad:
            return
        self.bad = self.bad + passed if was_bad and as_bad else ZERO
        self.good = self.good + passed if was_good and not as_bad else ZERO

    def _count_result(self, step: Step, outcome: Outcome) -> None:
        """The model: a change always is one, the same again once in 15 s, and 21 minutes without any leave none."""
        is_open = step.state.status is Status.OPEN
        self.forgot = self.result_at is not None and self.at - self.result_at > timedelta(minutes=21)
        if self.forgot:
            self.results = [self.state.status is Status.OPEN]
        if outcome is U and self.timings.on_no_data is not OnNoData.OPEN and step.transition is None:
            return
        last = self.results[-1]
        again = self.result_at is None or self.at.timestamp() // 15 > self.result_at.timestamp() // 15
        if is_open is not last or again:
            self.results.append(is_open)
            self.result_at = self.at

    def _change(self) -> float:
        """As Nagios tells it: 20 changes are possible among 21 results, the newest weighs 1.25, the oldest 0.75."""
        kept = [self.results[0]] * 21 + self.results
        pairs = list(itertools.pairwise(kept[-21:]))
        return sum(100 / 20 * (0.75 + 0.5 * place / 19) for place, (one, next_) in enumerate(pairs) if one is not next_)

    def _check(self, step: Step, outcome: Outcome) -> None:
        before, after = self.state.status, step.state.status
        assert step.reason
        assert (step.transition is None) is (before is after)
        if step.transition is Transition.OPENED:
            self.opened += 1
            assert before is not Status.OPEN
            assert self.bad >= self.timings.hold_for
            assert outcome is V or self.timings.on_no_data is OnNoData.OPEN
        if after is Status.PENDING and outcome is not U:
            assert self.bad < self.timings.hold_for, "it lasted long enough"
        if step.transition in (Transition.RESOLVED, Transition.RESOLVED_UNVERIFIED):
            self.closed += 1
            assert before is Status.OPEN
        if step.transition is Transition.RESOLVED:
            assert outcome is H, "only data can heal"
            assert self.good >= self.timings.keep_open_for
        if step.transition is Transition.RESOLVED_UNVERIFIED:
            assert (outcome, self.timings.on_no_data) == (U, OnNoData.RESOLVE)
        if step.transition is Transition.FORGOTTEN:
            assert before is Status.PENDING
            assert step.announces is (step.flap is not None), "of itself it tells nobody"
        if outcome is U and self.timings.on_no_data is OnNoData.KEEP:
            assert step.transition is None
        self._check_orders(step)
        self._check_flaps(step)

    def _check_orders(self, step: Step) -> None:
        in_grace = self.grace_until is not None and self.at < self.grace_until
        assert (step.in_grace_until is not None) is in_grace
        if step.may_act:
            assert step.state.status is Status.OPEN
            assert not in_grace
            assert not step.state.flapping

    def _check_flaps(self, step: Step) -> None:
        if step.flap is not None:
            self.told_flaps.append(step.flap)
            assert step.announces
        elif step.state.flapping:
            assert not step.announces
        change, limits = self._change(), self.timings.flap
        limit = limits.low if self.state.flapping and not self.forgot else limits.high
        assert step.state.flapping is (change > limit - 1e-9)

    @invariant()
    def status_and_times_agree(self) -> None:
        state = self.state
        assert (state.since is not None) is (state.status is not Status.NONE)
        assert (state.opened_at is not None) is (state.status is Status.OPEN)
        assert state.healthy_since is None or state.status is Status.OPEN
        assert state.since is None or state.since <= self.at

    @invariant()
    def every_incident_that_closed_had_opened(self) -> None:
        assert self.opened - self.closed == (1 if self.state.status is Status.OPEN else 0)

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.state.history.results) <= 21
        assert self.state.history.results == "" or len(set(self.state.history.results)) == 2

    @invariant()
    def entries_and_exits_of_flapping_take_turns(self) -> None:
        pairs = [Flap.BEGAN, Flap.ENDED] * len(self.told_flaps)
        assert self.told_flaps == pairs[: len(self.told_flaps)]
        assert self.state.flapping is (len(self.told_flaps) % 2 == 1)


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
