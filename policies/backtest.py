"""Replay a policy over what was stored: the same engine and the same guards, with the clock of then. Nothing is stored.

With the policy as it was, the replay of a recorded period comes to the decisions that were made in it, as far as the
data is kept and the policy alone acted. A changed policy is told what it would have done; what its actions would have
changed nobody recorded, so an action that was not ordered then is taken to end well at once.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from actions import queries
from policies import authoring, book, recorded, rehearse
from policies.book import Rule
from policies.engine import durations, muting
from policies.engine.lifecycle import Transition
from policies.engine.rehearsal import run as rehearsing
from policies.engine.rehearsal.stage import Deed, Episode, Journal, Known, Pair, Scene, Stopped, Subject, World
from policies.models import Mode
from policies.muting.common_causes import KNOWN_WITHIN
from policies.recorded import Muted
from vigil.kernel.errors import FieldError, Invalid, VigilError

LONGEST = timedelta(days=31)
_ENDS = {
    Transition.FORGOTTEN: "brief",
    Transition.RESOLVED: "healed",
    Transition.RESOLVED_UNVERIFIED: "unverified",
}


_ADVICE = "ask about less time, or run `manage.py backtest`, which has no such limit"


class TooMuch(VigilError):
    """There is more to replay than fits into the time."""

    code = "backtest_too_long"
    status = 422


class NoPast(VigilError):
    """What the policy looks at is not recorded."""

    code = "backtest_without_past"
    status = 422


@dataclass(slots=True, kw_only=True)
class Replayed:
    """One incident of the replay."""

    number: int
    target: str
    since: datetime
    reason: str
    value: float | None
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    resolution: str = ""
    """brief, healed or unverified; "" while it was live at the end."""
    actions: list[Deed] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a policy would have done."""

    rule: Rule
    since: datetime
    until: datetime
    samples: int
    episodes: tuple[Replayed, ...]
    journal: Journal
    """Everything that happened, in order."""
    most_open: int
    """The largest number of targets with an open incident at once."""
    most_open_at: datetime | None

    @property
    def stopped_by(self) -> dict[str, int]:
        """How many holds each guard accounts for, the most frequent first."""
        return dict(Counter(stop.stopped.guard for stop in self.journal.stops).most_common())

    @property
    def sentence(self) -> str:
        """All of it in one."""
        opened = [one for one in self.episodes if one.opened_at is not None]
        targets = len({one.target for one in opened})
        span = durations.spell(self.until - self.since)
        stopped = ", ".join(f"{guard} {count}" for guard, count in self.stopped_by.items())
        stops = len(self.journal.stops)
        held = f"{stops} time{'' if stops == 1 else 's'} one was held ({stopped})"
        return (
            f"In {span} it would have opened {_counted(len(opened), 'incident')} on {_counted(targets, 'target')}, "
            f"at most {self.most_open} at once, and ordered {_counted(len(self.journal.deeds), 'action')}; "
            f"{held if stops else 'none was held'}."
        )


def run(
    *,
    name: str,
    since: datetime,
    until: datetime,
    now: datetime,
    change: Mapping[str, object] | None = None,
    takes: timedelta = timedelta(0),
    within: Callable[[str], bool] = lambda _: True,
    most_samples: int | None = None,
    patience: timedelta | None = None,
) -> Report:
    """Replay a policy, with `change` as an edit of it that nobody has saved; an observing one as if it acted.

    `within` are the only targets that the asker may know of. Invalid, NotFound, UnableToReadPolicy, NoPast or TooMuch
    say what is wrong.
    """
    _check(since, until, now)
    rule = _rule(name, change or {})
    samples = recorded.size(rule, since=since, until=until)
    if most_samples is not None and samples > most_samples:
        raise TooMuch(f"There are {samples} samples in that time, and a request may replay {most_samples}: {_ADVICE}.")
    subject = rehearse.subject_of(
        rule,
        undone_by=queries.undoing({step.action for step in rule.document.steps}),
        tells=frozenset(kind.name for kind in queries.kinds() if kind.tells),
    )
    journal = rehearsing.replay(
        recorded.course(rule, since=since, until=until, takes=takes),
        subjects=[replace(subject, covers=lambda target: rule.covers(target) and within(target))],
        world=_world(rule, recorded.muted(rule, since=since, until=until), _deadline(patience)),
    )
    episodes = _episodes(journal)
    most_open, most_open_at = _most_open(episodes)
    return Report(
        rule=rule,
        since=since,
        until=until,
        samples=samples,
        episodes=tuple(episodes),
        journal=journal,
        most_open=most_open,
        most_open_at=most_open_at,
    )


def stretch(*, since: str, until: str, now: datetime) -> tuple[datetime, datetime]:
    """From when to when, as people write it: `since` is a time, or how long before `until`, which blank is now."""
    end = now if not until else _moment("until", until)
    try:
        return end - durations.parse(since), end
    except ValueError:
        return _moment("since", since, also=", or a length of time such as 24h"), end


def length(path: str, written: str) -> timedelta:
    """A duration in its written form; blank and `0s` are none."""
    try:
        return timedelta(0) if written in ("", "0s") else durations.parse(written)
    except ValueError as error:
        raise _invalid(path, str(error)) from error


def _moment(path: str, written: str, *, also: str = "") -> datetime:
    try:
        parsed = datetime.fromisoformat(written)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise _invalid(path, f"write a time with a zone, such as 2026-01-19T12:00:00Z{also}")
    return parsed.astimezone(UTC)


def _check(since: datetime, until: datetime, now: datetime) -> None:
    if until > now:
        raise _invalid("until", "lies in the future")
    if since >= until:
        raise _invalid("since", "must lie before `until`")
    if until - since > LONGEST:
        raise _invalid("since", f"a replay covers at most {LONGEST.days} days")


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(f"{path}: {message}.", errors=[FieldError(path=path, message=message)])


def _rule(name: str, change: Mapping[str, object]) -> Rule:
    """The policy with the change in it, compiled as the book would, under its own number so that its past is found."""
    policy = authoring.get(name)
    rule = book.compile_version(authoring.current(policy), mode=Mode.AUTO)
    if change:
        draft = authoring.check(authoring.merged(policy, change))
        if draft.name != name:
            raise _invalid("change.name", "the name of a policy never changes")
        changed = book.provisional(draft.document, name=name)
        rule = replace(changed, policy_id=rule.policy_id, mode=Mode.AUTO)
    if rule.needs.questions:
        raise NoPast(f"Policy {name} asks another server, and what that would have answered then is not recorded.")
    return rule


def _world(rule: Rule, muted: Muted, patience: Callable[[], None]) -> World:
    brake = _Brake(rule)
    around = rehearse.world({rule.name: rule}, patience)

    def mute(scene: Scene) -> Stopped | None:
        subject = muting.Subject(
            target=scene.target,
            policy=rule.name,
            severity=rule.severity,
            tags=scene.incident.tags,
            incident_id=muted.number_of(scene.target, scene.at),
        )
        found = muted.why(subject, acts_in_maintenance=rule.document.act_in_maintenance, at=scene.at)
        return brake.standing(scene) if found is None else Stopped(guard=found.kind.value, reason=found.reason)

    return replace(around, mute=mute, guard=lambda scene: brake.ask(scene) or around.guard(scene), review=brake.review)


class _Brake:
    """The brake for common causes, as `policies.muting.common_causes` keeps it in rows."""

    def __init__(self, rule: Rule) -> None:
        self._brake = rule.brake
        self._standing: dict[str, Stopped] = {}

    def standing(self, scene: Scene) -> Stopped | None:
        """Whether the group of the target is held already."""
        group = self._group(scene.incident.tags)
        return None if group is None else self._standing.get(group)

    def ask(self, scene: Scene) -> Stopped | None:
        """Whether so many of the group went bad at once that it is held from now on."""
        group = self._group(scene.incident.tags)
        if self._brake.percent >= 100 or group is None:
            return None
        mine = [one for one in scene.live.values() if self._group(one.tags) == group]
        recently = sum((one.state.since or scene.at) >= scene.at - self._brake.within for one in mine)
        together = sum(self._group(tags) == group for tags in scene.together.values())
        bad = max(recently, together)
        known = len(scene.known(self._brake.group_by, scene.at - KNOWN_WITHIN).get(group, ()))
        if bad < muting.LEAST_BAD or known < muting.LEAST_BAD:
            return None
        cause = muting.common_cause(self._brake, bad=bad, known=max(bad, known))
        if cause is None:
            return None
        held = Stopped(guard=muting.Kind.COMMON_CAUSE.value, reason=cause.reason(self._brake, group))
        self._standing[group] = held
        return held

    def review(self, subject: Subject, at: datetime, live: Mapping[Pair, Episode], known: Known) -> None:
        """Let go of groups of which the share of bad targets has fallen."""
        if not self._standing:
            return
        groups = known(self._brake.group_by, at - KNOWN_WITHIN)
        for group in list(self._standing):
            bad = sum(self._group(one.tags) == group for one in live.values())
            whole = max(bad, len(groups.get(group, ())))
            if muting.common_cause(self._brake, bad=bad, known=whole, standing=True) is None:
                del self._standing[group]

    def _group(self, tags: Mapping[str, str]) -> str | None:
        return tags.get(self._brake.group_by) if self._brake.group_by else ""


def _episodes(journal: Journal) -> list[Replayed]:
    found: dict[int, Replayed] = {}
    for turn in journal.turns:
        one = found.setdefault(
            turn.incident,
            Replayed(number=turn.incident, target=turn.target, since=turn.at, reason=turn.reason, value=turn.value),
        )
        if turn.transition is Transition.OPENED:
            one.opened_at, one.reason, one.value = turn.at, turn.reason, turn.value
        elif turn.transition in _ENDS:
            one.ended_at, one.resolution = turn.at, _ENDS[turn.transition]
    for deed in journal.deeds:
        found[deed.incident].actions.append(deed)
    return list(found.values())


def _most_open(episodes: Iterable[Replayed]) -> tuple[int, datetime | None]:
    """The largest number at once, and when it was first reached; what ends at a moment makes room for what begins."""
    changes = [(one.opened_at, 1) for one in episodes if one.opened_at is not None]
    changes += [(one.ended_at, -1) for one in episodes if one.opened_at is not None and one.ended_at is not None]
    count, most, at = 0, 0, None
    for moment, change in sorted(changes):
        count += change
        if count > most:
            most, at = count, moment
    return most, at


def _deadline(patience: timedelta | None) -> Callable[[], None]:
    if patience is None:
        return lambda: None
    end = time.monotonic() + patience.total_seconds()

    def look() -> None:
        if time.monotonic() > end:
            raise TooMuch(f"The replay took longer than {patience.total_seconds():.0f} s and was stopped: {_ADVICE}.")

    return look


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
