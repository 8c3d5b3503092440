"""Play policies with a fake clock: what arrives is judged, incidents move, actions are ordered, as in a live Vigil."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from policies.engine import conditions, evaluation, flapping, lifecycle, muting, planning, rendering
from policies.engine.flapping import History
from policies.engine.lifecycle import IncidentState, Status, Step, Transition
from policies.engine.planning import Effect, Take, Tried, Wait
from policies.engine.rehearsal import course as courses
from policies.engine.rehearsal.course import Course
from policies.engine.rehearsal.memory import Memory
from policies.engine.rehearsal.quiet import Watch
from policies.engine.rehearsal.script import Script
from policies.engine.rehearsal.stage import (
    Deed,
    Episode,
    Health,
    Journal,
    Pair,
    Scene,
    Snapshot,
    Stop,
    Stopped,
    Subject,
    Turn,
    World,
)
from policies.engine.rehearsal.timeline import MIDNIGHT, Arrival
from policies.engine.values import Outcome, Verdict

type Together = Mapping[Pair, Mapping[str, str]]

_OVER = (Transition.FORGOTTEN, Transition.RESOLVED, Transition.RESOLVED_UNVERIFIED)


def play(script: Script, *, subjects: Sequence[Subject], world: World) -> dict[timedelta, Snapshot]:
    """How things stand at every time the test expects something."""
    course = courses.of_script(script, world)
    stage = _Stage(course, subjects, world)
    pictures: dict[timedelta, Snapshot] = {}
    for moment, arrivals, sweeps in stage.moments():
        stage.pass_to(moment, arrivals, sweeps=sweeps)
        if moment in course.asked:
            pictures[moment - MIDNIGHT] = stage.snapshot(moment)
    return pictures


def replay(course: Course, *, subjects: Sequence[Subject], world: World) -> Journal:
    """Everything that happens in the whole course."""
    stage = _Stage(course, subjects, world)
    for moment, arrivals, sweeps in stage.moments():
        stage.pass_to(moment, arrivals, sweeps=sweeps)
    return stage.journal


class _Stage:
    """Everything that changes while policies are played."""

    def __init__(self, course: Course, subjects: Sequence[Subject], world: World) -> None:
        self.journal = Journal()
        self._course, self._world = course, world
        self._subjects = {subject.name: subject for subject in subjects}
        self._memory = Memory(subjects, staleness=world.staleness)
        self._watches = {subject.name: Watch(subject, staleness=world.staleness) for subject in subjects}
        self._reads = {subject.name: conditions.metrics_of(subject.condition) for subject in subjects}
        self._health = {subject.name: Health() for subject in subjects}
        self._live: dict[Pair, Episode] = {}
        self._histories: dict[Pair, History] = {}
        self._ended: set[Pair] = set()
        self._unsettled: list[Deed] = []
        """Deeds that run, or of which it is not known yet whether they helped."""
        self._held: dict[Pair, Stopped] = {}
        self._said: dict[int, Stopped | None] = {}
        """By incident, what was concluded last, if that was a stop."""
        self._verdicts: dict[Pair, Verdict] = {}
        self._reasons: dict[Pair, str] = {}
        self._incidents = 0

    def moments(self) -> Iterator[tuple[datetime, list[Arrival], bool]]:
        """Each moment something is to be done at, with what arrives then and whether a sweep is due."""
        course = self._course
        coming = [arrival for arrival in course.arrivals if arrival.at <= course.ends_at]
        sweeps, place = frozenset(course.sweeps), 0
        while place < len(coming) and coming[place].at < course.begins_at:
            self._take(coming[place])
            place += 1
        for moment in sorted({arrival.at for arrival in coming[place:]} | sweeps | course.asked):
            first = place
            while place < len(coming) and coming[place].at <= moment:
                self._take(coming[place])
                place += 1
            yield moment, coming[first:place], moment in sweeps

    def pass_to(self, moment: datetime, arrivals: Sequence[Arrival], *, sweeps: bool) -> None:
        """Live through one moment."""
        if any(since <= moment < until for since, until in self._course.unwatched):
            return
        fresh = [arrival for arrival in arrivals if not arrival.late]
        pairs = self._everything(moment) if sweeps else self._concerned(fresh, moment)
        if not sweeps and not pairs:
            return
        self._world.patience()
        self._verify(moment)
        for subject in self._subjects.values() if sweeps else ():
            self._world.review(subject, moment, self._live, partial(self._memory.known_by, subject))
        judged = {pair: self._verdict(self._subjects[pair[0]], pair[1], moment) for pair in pairs}
        together = self._bad_together(judged, moment)
        for pair, verdict in judged.items():
            self._settle(pair, verdict, together, moment, sweep=sweeps)
        self._note(set(self._subjects) if sweeps else {name for name, _ in pairs}, moment, sweep=sweeps)

    def snapshot(self, moment: datetime) -> Snapshot:
        self._end_deeds(moment)
        live = {pair: str(episode.state.status) for pair, episode in self._live.items()}
        return Snapshot(
            at=moment,
            incidents={**dict.fromkeys(self._ended, "resolved"), **live},
            deeds=tuple(replace(deed) for deed in self.journal.deeds),
            held=dict(self._held),
            verdicts=dict(self._verdicts),
            reasons=dict(self._reasons),
        )

    def _take(self, arrival: Arrival) -> None:
        self._memory.take(arrival)
        for watch in self._watches.values():
            watch.take(arrival)

    def _end_deeds(self, moment: datetime) -> None:
        for deed in self._unsettled:
            if deed.runs and deed.ended_at <= moment:
                well = Effect.UNVERIFIED if deed.verified else Effect.DONE
                deed.effect = well if deed.succeeds else Effect.FAILED

    def _verify(self, moment: datetime) -> None:
        self._end_deeds(moment)
        for deed in self._unsettled:
            if deed.effect is Effect.UNVERIFIED and moment >= deed.ended_at + deed.settle:
                subject = self._subjects[deed.policy]
                seen = self._memory.seen(subject, deed.target, at=moment)
                proof = self._world.prove(subject, deed, seen, moment)
                deed.effect = deed.effect if proof is None else proof.effect
        self._unsettled = [deed for deed in self._unsettled if deed.effect in (Effect.RUNNING, Effect.UNVERIFIED)]

    def _everything(self, moment: datetime) -> list[Pair]:
        """As a sweep: what is live, what the metrics know, and who may be silent."""
        pairs = list(self._live)
        for subject in self._subjects.values():
            known = self._restless(subject)
            if self._skims(subject):
                known |= self._watches[subject.name].suspects(moment)
            else:
                known |= self._memory.known(subject) | self._silent(subject)
            pairs += [(subject.name, target) for target in sorted(known) if (subject.name, target) not in self._live]
        return pairs

    def _restless(self, subject: Subject) -> set[str]:
        """Targets whose incidents came or went lately."""
        return {target for name, target in self._histories if name == subject.name and subject.covers(target)}

    def _silent(self, subject: Subject) -> set[str]:
        """Targets that a policy about silence must judge although the metric does not know them."""
        if subject.regroups or not conditions.has_absence(subject.condition):
            return set()
        named = {subject.named} if subject.named else set()
        return named | {target for target in self._memory.targets if subject.covers(target)}

    def _concerned(self, fresh: Sequence[Arrival], moment: datetime) -> list[Pair]:
        """As a reading: the policies that look at it, on its target."""
        found: dict[Pair, None] = {}
        for arrival in fresh:
            for subject in self._subjects.values():
                target = subject.target_of(arrival.tags, arrival.target)
                if (
                    self._is_read(subject, arrival)
                    and subject.covers(target)
                    and self._may_matter(subject, target, moment)
                ):
                    found[(subject.name, target)] = None
        return list(found)

    def _is_read(self, subject: Subject, arrival: Arrival) -> bool:
        if arrival.metric is None:
            return bool(conditions.events_of(subject.condition))
        return arrival.metric in self._reads[subject.name]

    def _skims(self, subject: Subject) -> bool:
        return self._course.skims and self._watches[subject.name].skims

    def _may_matter(self, subject: Subject, target: str, moment: datetime) -> bool:
        if not self._skims(subject) or (subject.name, target) in self._live:
            return True
        return self._watches[subject.name].may_be_bad(target, moment)

    def _verdict(self, subject: Subject, target: str, moment: datetime) -> Verdict:
        self._world.patience()
        self.journal.judged += 1
        live = self._live.get((subject.name, target))
        return evaluation.evaluate(
            subject.condition,
            self._memory.data_of(subject, target, at=moment),
            at=moment,
            staleness=self._world.staleness,
            was_violated=live is not None and live.state.was_violated,
        )

    def _bad_together(self, judged: Mapping[Pair, Verdict], moment: datetime) -> Together:
        """The pairs that will be open and bad after this evaluation."""
        return {
            pair: self._tags(pair, moment)
            for pair, verdict in judged.items()
            if (pair in self._live or verdict.outcome is not Outcome.HEALTHY)
            and _is_bad(self._subjects[pair[0]], self._advance(pair, verdict, moment).state, verdict)
        }

    def _tags(self, pair: Pair, moment: datetime) -> Mapping[str, str]:
        """Those that the incident began with; before there is one, what the target's series agree on."""
        if pair in self._live:
            return self._live[pair].tags
        return muting.agreed(self._memory.data_of(self._subjects[pair[0]], pair[1], at=moment))

    def _advance(self, pair: Pair, verdict: Verdict, moment: datetime) -> Step:
        return lifecycle.advance(self._state(pair), verdict, moment, self._subjects[pair[0]].timings)

    def _settle(self, pair: Pair, verdict: Verdict, together: Together, moment: datetime, *, sweep: bool) -> None:
        subject, live = self._subjects[pair[0]], self._live.get(pair)
        self._verdicts[pair] = verdict
        well = live is None and verdict.outcome is Outcome.HEALTHY
        if well and not (sweep and pair in self._histories):  # of a target without an incident the sweep counts results
            self._reasons[pair] = verdict.reason
            return
        step = self._advance(pair, verdict, moment)
        self._reasons[pair] = step.reason
        self._move(pair, step, verdict, moment)
        if _is_bad(subject, step.state, verdict):
            self._remedy(subject, pair, step, together, moment)
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

    def _move(self, pair: Pair, step: Step, verdict: Verdict, moment: datetime) -> None:
        self._histories[pair] = step.state.history
        if step.state.history == flapping.NOTHING:
            del self._histories[pair]
        if step.state.status is not Status.NONE and pair not in self._live:
            self._incidents += 1
            self._live[pair] = Episode(number=self._incidents, state=step.state, tags=self._tags(pair, moment))
        if step.transition is not None:
            self._turn(pair, step.transition, step.reason, verdict, moment)
        if step.transition in _OVER:
            del self._live[pair]
            self._ended.add(pair)
        elif pair in self._live:
            self._live[pair].state = step.state

    def _turn(self, pair: Pair, transition: Transition, reason: str, verdict: Verdict, moment: datetime) -> None:
        policy, target = pair
        self.journal.turns.append(
            Turn(
                at=moment,
                incident=self._live[pair].number,
                policy=policy,
                target=target,
                transition=transition,
                reason=reason,
                value=verdict.value,
            )
        )

    def _remedy(self, subject: Subject, pair: Pair, step: Step, together: Together, moment: datetime) -> None:
        incident = self._live[pair].number
        mine = (deed for deed in self.journal.deeds if deed.incident == incident)
        tried = [deed for deed in mine if deed.runs or deed.acted_at is not None]
        self._mark_relapses(subject, tried, moment)
        plan = planning.next_step(subject.ladder, [_tried(deed) for deed in tried], at=moment)
        stopped = None if isinstance(plan, Wait) else self._objection(subject, pair, plan, step, together, moment)
        if stopped is not None:
            self._hold(pair, stopped, moment)
            return
        self._held.pop(pair, None)
        self._said[incident] = None
        if isinstance(plan, Take):
            self._order(subject, pair, plan, incident, moment)

    def _hold(self, pair: Pair, stopped: Stopped, moment: datetime) -> None:
        self._held[pair] = stopped
        number = self._live[pair].number
        if self._said.get(number) != stopped:
            self._said[number] = stopped
            self.journal.stops.append(Stop(at=moment, incident=number, policy=pair[0], target=pair[1], stopped=stopped))

    def _objection(
        self,
        subject: Subject,
        pair: Pair,
        plan: planning.Take | planning.GiveUp,
        step: Step,
        together: Together,
        moment: datetime,
    ) -> Stopped | None:
        scene = Scene(
            subject=subject,
            target=pair[1],
            incident=self._live[pair],
            at=moment,
            deeds=self.journal.deeds,
            live=self._live,
            together=together,
            known=partial(self._memory.known_by, subject),
            turns=self.journal.turns,
            stops=self.journal.stops,
        )
        mute = self._world.mute(scene)
        if mute is not None:
            return mute
        if step.state.flapping:
            return Stopped(guard="flapping", reason=flapping.reason(step.state.history))
        if isinstance(plan, planning.GiveUp):
            return Stopped(guard="exhausted", reason=plan.reason)
        if not subject.acts:
            return Stopped(guard="mode", reason=f"would have ordered {plan.what.action}, but the policy only observes")
        if step.in_grace_until is not None and moment < step.in_grace_until:
            return Stopped(guard="grace", reason=lifecycle.grace_reason(step.in_grace_until))
        doubt = self._world.doubt(subject, self._verdicts[pair], moment)
        return doubt or self._world.guard(scene) or self._unfilled(subject, pair, plan) or self._unasked(subject, plan)

    def _unasked(self, subject: Subject, plan: Take) -> Stopped | None:
        """In a replay nobody gives the word that a proposal waits for."""
        if not subject.asks:
            return None
        reason = f"would have proposed {plan.what.action}, which waits for {subject.asks}"
        return Stopped(guard="approval", reason=reason)

    def _unfilled(self, subject: Subject, pair: Pair, plan: Take) -> Stopped | None:
        try:
            self._params(subject, pair, plan)
        except rendering.UnableToRender as error:
            return Stopped(guard="params", reason=str(error))
        return None

    def _params(self, subject: Subject, pair: Pair, plan: Take) -> dict[str, object]:
        episode, verdict = self._live[pair], self._verdicts[pair]
        facts = rendering.Facts(
            target=pair[1],
            policy=subject.name,
            severity=subject.severity,
            reason=verdict.reason,
            value=verdict.value,
            incident_id=episode.number,
            tags=episode.tags,
        )
        return rendering.render(plan.what.params, facts)

    def _order(self, subject: Subject, pair: Pair, plan: Take, incident: int, moment: datetime) -> None:
        fate = self._course.fate(subject.name, pair[1], plan.what.action, moment)
        deed = Deed(
            number=len(self.journal.deeds) + 1,
            policy=subject.name,
            target=pair[1],
            action=plan.what.action,
            step=plan.step,
            incident=incident,
            ordered_at=moment,
            acted_at=fate.acted_at,
            ended_at=fate.ended_at,
            succeeds=fate.succeeds,
            action_id=fate.action_id,
            settle=subject.settles[plan.step] if fate.settle is None else fate.settle,
            undoing=plan.undoing,
            verified=not plan.undoing and plan.what.action not in subject.tells,
            reason=self._verdicts[pair].reason,
            params=self._params(subject, pair, plan),
        )
        self.journal.deeds.append(deed)
        self._unsettled.append(deed)
        self._end_deeds(moment)

    def _mark_relapses(self, subject: Subject, tried: Sequence[Deed], moment: datetime) -> None:
        """An action that had helped, on a target that is bad by the samples after it alone, has relapsed."""
        for deed in tried:
            if deed.effect is Effect.EFFECTIVE:
                fresh = self._memory.data_of(subject, deed.target, at=moment, after=deed.ended_at)
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
    ended_at = None if deed.runs else deed.ended_at
    return Tried(step=deed.step, effect=deed.effect, ended_at=ended_at, undoing=deed.undoing)


def _is_bad(subject: Subject, state: IncidentState, verdict: Verdict) -> bool:
    """Open, and bad now, or without data under a policy that treats this the same: then a remedy may be due."""
    unknown = verdict.outcome is Outcome.UNKNOWN
    counts = verdict.violated or (unknown and subject.timings.on_no_data is lifecycle.OnNoData.OPEN)
    return state.status is Status.OPEN and state.healthy_since is None and counts
