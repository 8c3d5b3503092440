"""Play a test with a fake clock: what arrives is judged, incidents move, actions are ordered, as in a live Vigil."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from policies.engine import conditions, evaluation, flapping, lifecycle, planning
from policies.engine.flapping import History
from policies.engine.lifecycle import IncidentState, Status, Transition
from policies.engine.planning import Effect, Take, Tried
from policies.engine.rehearsal.script import Script
from policies.engine.rehearsal.stage import Deed, Episode, Health, Pair, Snapshot, Stopped, Subject, World
from policies.engine.rehearsal.timeline import MIDNIGHT, Arrival, Seen, Timeline
from policies.engine.values import Outcome, Series, TargetData, Verdict

_OVER = (Transition.FORGOTTEN, Transition.RESOLVED, Transition.RESOLVED_UNVERIFIED)


def play(script: Script, *, subjects: Sequence[Subject], world: World) -> dict[timedelta, Snapshot]:
    """How things stand at every time the test expects something."""
    stage = _Stage(script, subjects, world)
    wanted = {one.at for one in script.expect}
    pictures: dict[timedelta, Snapshot] = {}
    for moment, arrivals, sweeps in stage.moments():
        stage.pass_to(moment, arrivals, sweeps=sweeps)
        if moment - MIDNIGHT in wanted:
            pictures[moment - MIDNIGHT] = stage.snapshot(moment)
    return pictures


class _Stage:
    """Everything that changes while a test is played."""

    def __init__(self, script: Script, subjects: Sequence[Subject], world: World) -> None:
        self._script, self._world = script, world
        self._subjects = {subject.name: subject for subject in subjects}
        self._timeline = Timeline(script, target_of=world.target_of, staleness=world.staleness)
        self._health = {subject.name: Health() for subject in subjects}
        self._live: dict[Pair, Episode] = {}
        self._histories: dict[Pair, History] = {}
        self._ended: set[Pair] = set()
        self._deeds: list[Deed] = []
        self._held: dict[Pair, Stopped] = {}
        self._verdicts: dict[Pair, Verdict] = {}
        self._reasons: dict[Pair, str] = {}
        self._incidents = 0

    def moments(self) -> Iterator[tuple[datetime, list[Arrival], bool]]:
        """Each moment something is to be done at, with what arrives then and whether a sweep is due."""
        end = MIDNIGHT + self._script.ends_at
        arriving: dict[datetime, list[Arrival]] = {}
        for arrival in self._timeline.arrivals:
            arriving.setdefault(arrival.at, []).append(arrival)
        sweeps, tick = set(), MIDNIGHT
        while tick <= end:
            sweeps.add(tick)
            tick += self._world.sweep_every
        asked = {MIDNIGHT + one.at for one in self._script.expect}
        for moment in sorted({one for one in arriving if one <= end} | sweeps | asked):
            yield moment, arriving.get(moment, []), moment in sweeps

    def pass_to(self, moment: datetime, arrivals: Sequence[Arrival], *, sweeps: bool) -> None:
        """Live through one moment."""
        self._end_deeds(moment)
        after = moment - MIDNIGHT
        if any(stretch.since <= after < stretch.until for stretch in self._script.unwatched):
            return
        seen = self._timeline.by(moment)
        fresh = [arrival for arrival in arrivals if not arrival.late]
        if not sweeps and not fresh:
            return
        self._verify(seen, moment)
        pairs = self._everything(seen) if sweeps else self._concerned(fresh)
        judged = self._judged(pairs, seen, moment)
        for pair, verdict in judged.items():
            self._settle(pair, verdict, seen, moment, sweep=sweeps)
        self._note({name for name, _ in pairs} if not sweeps else set(self._subjects), moment, sweep=sweeps)

    def snapshot(self, moment: datetime) -> Snapshot:
        live = {pair: str(episode.state.status) for pair, episode in self._live.items()}
        return Snapshot(
            at=moment,
            incidents={**dict.fromkeys(self._ended, "resolved"), **live},
            deeds=tuple(replace(deed) for deed in self._deeds),
            held=dict(self._held),
            verdicts=dict(self._verdicts),
            reasons=dict(self._reasons),
        )

    def _end_deeds(self, moment: datetime) -> None:
        for deed in self._deeds:
            if deed.runs and deed.ended_at <= moment:
                deed.effect = Effect.UNVERIFIED if deed.succeeds else Effect.FAILED

    def _verify(self, seen: Seen, moment: datetime) -> None:
        for deed in self._deeds:
            if deed.effect is Effect.UNVERIFIED and moment >= deed.ended_at + deed.settle:
                proof = self._world.prove(self._subjects[deed.policy], deed, seen, moment)
                deed.effect = deed.effect if proof is None else proof.effect

    def _everything(self, seen: Seen) -> list[Pair]:
        """As a sweep: what is live, what the metrics know, and who may be silent."""
        pairs = list(self._live)
        for subject in self._subjects.values():
            known = _covered(subject, seen) | _silent(subject, seen) | self._restless(subject)
            pairs += [(subject.name, target) for target in sorted(known) if (subject.name, target) not in self._live]
        return pairs

    def _restless(self, subject: Subject) -> set[str]:
        """Targets whose incidents came or went lately."""
        return {target for name, target in self._histories if name == subject.name and subject.covers(target)}

    def _concerned(self, fresh: Sequence[Arrival]) -> list[Pair]:
        """As a reading: the policies that look at it, on its target."""
        found: dict[Pair, None] = {}
        for arrival in fresh:
            for subject in self._subjects.values():
                target = subject.target_of(arrival.tags, arrival.target)
                if _reads(subject, arrival) and subject.covers(target):
                    found[(subject.name, target)] = None
        return list(found)

    def _judged(self, pairs: Sequence[Pair], seen: Seen, moment: datetime) -> dict[Pair, Verdict]:
        return {pair: self._verdict(self._subjects[pair[0]], pair[1], seen, moment) for pair in pairs}

    def _verdict(self, subject: Subject, target: str, seen: Seen, moment: datetime) -> Verdict:
        self._world.patience()
        live = self._live.get((subject.name, target))
        return evaluation.evaluate(
            subject.condition,
            data_of(subject, target, seen),
            at=moment,
            staleness=self._world.staleness,
            was_violated=live is not None and live.state.was_violated,
        )

    def _settle(self, pair: Pair, verdict: Verdict, seen: Seen, moment: datetime, *, sweep: bool) -> None:
        subject, live = self._subjects[pair[0]], self._live.get(pair)
        self._verdicts[pair] = verdict
        well = live is None and verdict.outcome is Outcome.HEALTHY
        if well and not (sweep and pair in self._histories):  # of a target without an incident the sweep counts results
            self._reasons[pair] = verdict.reason
            return
        step = lifecycle.advance(self._state(pair), verdict, moment, subject.timings)
        self._reasons[pair] = step.reason
        self._move(pair, step)
        if _is_bad(subject, step.state, verdict):
            self._remedy(subject, pair, step, seen, moment)
        else:
            self._held.pop(pair, None)

    def _state(self, pair: Pair) -> IncidentState:
        health, live = self._health[pair[0]], self._live.get(pair)
        history = self._histories.get(pair, flapping.NOTHING)
        if live is None:
            return IncidentState(
                last_evaluated_at=health.last_evaluated_at, grace_until=health.grace_until, history=history
            )
        return replace(live.state, grace_until=health.grace_until, history=history)

    def _move(self, pair: Pair, step: lifecycle.Step) -> None:
        self._histories[pair] = step.state.history
        if step.state.history == flapping.NOTHING:
            del self._histories[pair]
        if step.transition in _OVER:
            del self._live[pair]
            self._ended.add(pair)
        elif step.state.status is not Status.NONE:
            if pair not in self._live:
                self._incidents += 1
                self._live[pair] = Episode(number=self._incidents, state=step.state)
            self._live[pair].state = step.state

    def _remedy(self, subject: Subject, pair: Pair, step: lifecycle.Step, seen: Seen, moment: datetime) -> None:
        incident = self._live[pair].number
        tried = [deed for deed in self._deeds if deed.incident == incident]
        self._mark_relapses(subject, tried, seen, moment)
        plan = planning.next_step(
            subject.ladder,
            [
                Tried(step=deed.step, effect=deed.effect, ended_at=None if deed.runs else deed.ended_at)
                for deed in tried
            ],
            at=moment,
        )
        stopped = self._objection(subject, pair, plan, step, moment)
        if stopped is not None:
            self._held[pair] = stopped
            return
        self._held.pop(pair, None)
        if isinstance(plan, Take):
            self._order(subject, pair, plan, incident, moment)

    def _objection(
        self, subject: Subject, pair: Pair, plan: planning.NextStep, step: lifecycle.Step, moment: datetime
    ) -> Stopped | None:
        if step.state.flapping and not isinstance(plan, planning.Wait):
            return Stopped(guard="flapping", reason=flapping.reason(step.state.history))
        if isinstance(plan, planning.GiveUp):
            return Stopped(guard="exhausted", reason=plan.reason)
        if not isinstance(plan, Take):
            return None
        if not subject.acts:
            return Stopped(guard="mode", reason=f"would have ordered {plan.what.action}, but the policy only observes")
        if step.in_grace_until is not None and moment < step.in_grace_until:
            return Stopped(guard="grace", reason=lifecycle.grace_reason(step.in_grace_until))
        return self._world.guard(subject, pair[1], self._deeds, moment)

    def _order(self, subject: Subject, pair: Pair, plan: Take, incident: int, moment: datetime) -> None:
        deed = Deed(
            number=len(self._deeds) + 1,
            policy=subject.name,
            target=pair[1],
            action=plan.what.action,
            step=plan.step,
            incident=incident,
            ordered_at=moment,
            ended_at=moment + self._script.takes,
            succeeds=self._script.answer_to(plan.what.action) != "failed",
            settle=subject.settle,
            reason=self._verdicts[pair].reason,
        )
        self._deeds.append(deed)
        self._end_deeds(moment)

    def _mark_relapses(self, subject: Subject, tried: Sequence[Deed], seen: Seen, moment: datetime) -> None:
        """An action that had helped, on a target that is bad by the samples after it alone, has relapsed."""
        for deed in tried:
            if deed.effect is Effect.EFFECTIVE:
                fresh = data_of(subject, deed.target, seen, after=deed.ended_at)
                verdict = evaluation.evaluate(
                    subject.condition, fresh, at=moment, staleness=self._world.staleness, was_violated=True
                )
                deed.effect = Effect.RELAPSED if verdict.violated else deed.effect

    def _note(self, names: set[str], moment: datetime, *, sweep: bool) -> None:
        """Remember when each policy was judged; after a gap it orders nothing for the time of grace."""
        for name in names:
            health, timings = self._health[name], self._subjects[name].timings
            last = health.last_evaluated_at
            if not sweep and (last is None or moment - last <= self._world.sweep_every):
                continue
            until = lifecycle.grace_until(last, at=moment, timings=timings)
            health.grace_until = until or health.grace_until
            health.last_evaluated_at = moment


def _tried(deed: Deed) -> Tried:
    return Tried(step=deed.step, effect=deed.effect, ended_at=None if deed.runs else deed.ended_at)


def data_of(subject: Subject, target: str, seen: Seen, *, after: datetime | None = None) -> TargetData:
    """One target's data for one policy; with `after`, only what is newer than that moment."""
    series = {
        metric: tuple(
            _newer(one, after) for own, one in seen.series.get(metric, ()) if subject.target_of(one.tags, own) == target
        )
        for metric in conditions.metrics_of(subject.condition)
    }
    events = tuple(
        event
        for own, event in seen.events
        if subject.target_of(event.tags, own) == target and (after is None or event.at > after)
    )
    return TargetData(target=target, series=series, events=events, since=after)


def _newer(series: Series, after: datetime | None) -> Series:
    if after is None:
        return series
    return replace(series, samples=tuple(sample for sample in series.samples if sample.at > after))


def _covered(subject: Subject, seen: Seen) -> set[str]:
    """Targets that any metric or event of the policy knows."""
    metrics = conditions.metrics_of(subject.condition)
    known = {subject.target_of(one.tags, own) for metric in metrics for own, one in seen.series.get(metric, ())}
    if conditions.events_of(subject.condition):
        known |= {subject.target_of(event.tags, own) for own, event in seen.events}
    return {target for target in known if subject.covers(target)}


def _silent(subject: Subject, seen: Seen) -> set[str]:
    """Targets that a policy about silence must judge although the metric does not know them."""
    if subject.regroups or not conditions.has_absence(subject.condition):
        return set()
    named = {subject.named} if subject.named else set()
    return named | {target for target in seen.targets if subject.covers(target)}


def _reads(subject: Subject, arrival: Arrival) -> bool:
    if arrival.metric is None:
        return bool(conditions.events_of(subject.condition))
    return arrival.metric in conditions.metrics_of(subject.condition)


def _is_bad(subject: Subject, state: IncidentState, verdict: Verdict) -> bool:
    """Open, and bad now, or without data under a policy that treats this the same: then a remedy may be due."""
    unknown = verdict.outcome is Outcome.UNKNOWN
    counts = verdict.violated or (unknown and subject.timings.on_no_data is lifecycle.OnNoData.OPEN)
    return state.status is Status.OPEN and state.healthy_since is None and counts
