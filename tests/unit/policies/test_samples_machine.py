"""From samples to incidents, in any order: staleness, hysteresis, late samples, edits, gaps, lost ticks.

`test_lifecycle_machine` is given verdicts; here they come from what has arrived, and the machine knows which they are.
"""

import dataclasses
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policies.engine import conditions, evaluation, language, lifecycle
from policies.engine.conditions import Condition
from policies.engine.lifecycle import IncidentState, OnNoData, Status, Timings, Transition
from policies.engine.values import Outcome, Sample, Series, TargetData, Verdict
from tests.unit.policies.builders import NOW

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN
STALENESS = timedelta(seconds=60)
EVERY = timedelta(seconds=15)
_seconds = st.integers(0, 14).map(lambda seconds: timedelta(seconds=seconds))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edition:
    """A version of the policy, and its two lines as the machine knows them."""

    over: float
    recover: float
    hold_for: timedelta
    keep_open_for: timedelta
    on_no_data: OnNoData

    @property
    def condition(self) -> Condition:
        hold = f" for {self.hold_for.seconds}s" if self.hold_for else ""
        return language.parse(f"m > {self.over:g}{hold} recover at {self.recover:g}")

    @property
    def timings(self) -> Timings:
        return Timings(
            hold_for=conditions.top_level_hold(self.condition),
            keep_open_for=self.keep_open_for,
            on_no_data=self.on_no_data,
        )


_lengths = st.sampled_from([0, 30, 60]).map(lambda seconds: timedelta(seconds=seconds))
_editions = st.builds(
    Edition,
    over=st.sampled_from([90.0, 60.0]),
    recover=st.sampled_from([50.0, 30.0]),
    hold_for=_lengths,
    keep_open_for=_lengths,
    on_no_data=st.sampled_from(OnNoData),
)
_values = st.sampled_from([20.0, 40.0, 55.0, 75.0, 95.0])
"""Below both lines of recovery, between them, and on each side of the lines that are crossed."""


class Fate(RuleBasedStateMachine):
    """One target that is judged at each sweep and at each reading that is not late."""

    @initialize(edition=_editions)
    def begin(self, edition: Edition) -> None:
        self.at: datetime = NOW
        self.current = self.under = edition
        """What the policy says now, and what the live incident was opened under."""
        self.state = IncidentState()
        self.samples: list[Sample] = []
        self.newest: Sample | None = None
        self.held = False
        """Whether an incident is live and was bad, or as good as bad, when last anything was known."""

    @rule(value=_values)
    def hear(self, value: float) -> None:
        self._arrives(self.at, value)
        self._evaluate()

    @rule(values=st.lists(_values, min_size=2, max_size=8))
    def sweep_on(self, values: list[float]) -> None:
        for value in values:
            self.at += EVERY
            self._arrives(self.at, value)
            self._evaluate()

    @rule(times=st.integers(1, 6))
    def sweep_in_silence(self, times: int) -> None:
        for _ in range(times):
            self.at += EVERY
            self._evaluate()

    @rule()
    def lose_a_tick(self) -> None:
        """A sweep ran over the next tick: the one after it comes two intervals later, and that is no gap."""
        self._evaluate()
        before = self.state.grace_until
        self.at += 2 * EVERY
        assert self._evaluate().in_grace_until in (None, before)

    @rule(minutes=st.integers(1, 90))
    def come_back_after_a_gap(self, minutes: int) -> None:
        self._evaluate()
        self.at += timedelta(minutes=minutes)
        assert not self._evaluate().may_act, "after a gap it looks before it acts"

    @precondition(lambda self: self.newest is not None)
    @rule(value=_values, older=st.integers(1, 600))
    def hear_late(self, value: float, older: int) -> None:
        """It corrects history: nobody judges on its coming, and who judges next sees what he would have seen."""
        before = self._judge()
        assert self.newest is not None
        self.samples.append(Sample(id=len(self.samples), at=self.newest.at - timedelta(seconds=older), value=value))
        after = self._judge()
        assert (after.outcome, after.value, after.newest_at) == (before.outcome, before.value, before.newest_at)

    @rule(edition=_editions)
    def edit(self, edition: Edition) -> None:
        """A live incident keeps the version it was opened under."""
        self.current = edition

    @rule()
    def withdraw(self) -> None:
        """The policy was switched off and on: its incident is closed from outside, and the time between is no gap."""
        self.state, self.held = IncidentState(), False

    @rule(passed=_seconds)
    def fail(self, passed: timedelta) -> None:
        self.at += passed
        step = lifecycle.failed(self.state, "no such column")
        assert (step.state, step.transition, step.result) == (self.state, None, None)

    def _arrives(self, at: datetime, value: float) -> None:
        self.newest = Sample(id=len(self.samples), at=at, value=value)
        self.samples.append(self.newest)

    def _judge(self) -> Verdict:
        ordered = tuple(sorted(self.samples, key=lambda sample: (sample.at, sample.id)))
        data = TargetData(target="web-01", series={"m": (Series(name="m", samples=ordered),)} if ordered else {})
        return evaluation.evaluate(
            self._in_force().condition,
            data,
            at=self.at,
            staleness=STALENESS,
            was_violated=self.state.was_violated,
        )

    def _in_force(self) -> Edition:
        return self.current if self.state.status is Status.NONE else self.under

    def _evaluate(self) -> lifecycle.Step:
        before, edition = self.state, self._in_force()
        verdict = self._judge()
        assert verdict.outcome is self._expected(edition)
        step = lifecycle.advance(before, verdict, self.at, edition.timings)
        self._check(before, step, verdict, edition)
        self.state, self.under = step.state, edition
        as_bad = verdict.outcome is V or (verdict.outcome is U and edition.on_no_data is OnNoData.OPEN)
        if as_bad or verdict.outcome is H:
            self.held = as_bad
        self.held = self.held and step.state.status is not Status.NONE
        return step

    def _expected(self, edition: Edition) -> Outcome:
        """The newest value counts for a minute; once violated, only the line of recovery sets it free."""
        if self.newest is None or self.at - self.newest.at > STALENESS:
            return U
        limit = edition.recover if self.held else edition.over
        return V if self.newest.value > limit else H

    def _check(self, before: IncidentState, step: lifecycle.Step, verdict: Verdict, edition: Edition) -> None:
        if step.transition is Transition.OPENED and verdict.outcome is V:
            assert self.newest is not None
            assert self.newest.value > edition.recover, "no value below both lines opens anything"
        if step.transition is Transition.RESOLVED:
            assert self.newest is not None
            assert self.newest.value <= edition.over, "no value above both lines heals anything"
        if verdict.outcome is U and edition.on_no_data is OnNoData.KEEP:
            assert step.state.status is before.status, "silence moves nothing"
        if step.transition is Transition.RESOLVED_UNVERIFIED:
            assert (verdict.outcome, edition.on_no_data) == (U, OnNoData.RESOLVE)

    @invariant()
    def what_is_pending_or_open_knows_since_when(self) -> None:
        assert (self.state.since is not None) is (self.state.status is not Status.NONE)
        assert self.state.since is None or self.state.since <= self.at


Fate.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestFate = Fate.TestCase
