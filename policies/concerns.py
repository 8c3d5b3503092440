"""Which policies some readings may trouble, found without judging any: most readings touch none."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from actions import queries
from metrics.formats.reading import EventReading, Reading
from metrics.ingest import Stored, StoredSample
from metrics.targets import target_of
from policies import book, incidents
from policies.book import Alike, Book, Pair, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """The pairs of policy and target that some readings are about."""

    targets: frozenset[str]
    """Every target among them."""
    suspect: frozenset[Pair]
    """To be judged on everything their conditions need."""
    seen: Mapping[str, Sequence[Alike]]
    """By target, the rules that a new value of it was held against."""
    cleared_count: int
    """How many pairs are healthy by the new values alone: nothing is to be judged there unless an incident is live."""

    def cleared(self, targets: Collection[str]) -> set[Pair]:
        """Those pairs, of these targets alone."""
        pairs = {
            (policy_id, target)
            for target in targets
            for alike in self.seen.get(target, ())
            for policy_id in alike.sieve.members
        }
        return pairs - self.suspect


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the policies in force have to do with some readings that are stored."""

    in_force: Book
    concerned: Concerned
    awake: frozenset[str]
    """Its targets with anything that a healthy value could close: a live incident, or an action to verify."""

    @property
    def quiet(self) -> bool:
        """Nothing is to be judged."""
        return not self.awake and not self.concerned.suspect


def look(stored: Stored, *, at: datetime) -> Look:
    """What the policies in force have to do with them."""
    return look_at_each([stored], at=at)[0]


def look_at_each(many: Sequence[Stored], *, at: datetime) -> list[Look]:
    """The same for several, with one question to the database for all of them."""
    in_force = book.current(at)
    concerned = [of(in_force, stored) for stored in many]
    targets = frozenset[str]().union(*(one.targets for one in concerned))
    awake = incidents.live_targets(targets) | queries.targets_to_verify(targets, due_at=at) if targets else set()
    return [
        Look(in_force=in_force, concerned=one, awake=frozenset(awake & one.targets) if awake else frozenset())
        for one in concerned
    ]


def of(in_force: Book, stored: Stored) -> Concerned:
    """Which policies read these readings, on which targets. A late sample corrects history and concerns none."""
    suspect: set[Pair] = set()
    seen: dict[str, list[Alike]] = {}
    plain = 0
    for name, samples in _timely(stored.samples).items():
        for alike in in_force.alike.get(name, ()):
            targets = _targets(alike.first, samples)
            covered = set(filter(alike.first.covers, set(targets)))
            suspect.update((policy_id, target) for policy_id in alike.sieve.always for target in covered)
            low, high = alike.sieve.calm
            for target, sample in zip(targets, samples, strict=True):
                if not low < sample.value < high and target in covered:
                    suspect.update([(policy_id, target) for policy_id in alike.sieve.troubled(sample.value)])
            for target in covered:
                seen.setdefault(target, []).append(alike)
            plain += alike.sieve.plain * len(covered)
    for event in stored.events:
        for rule in in_force.heard(event.name):
            target = rule.target_of(tags=event.tags, target=event.target)
            if rule.covers(target):
                suspect.add((rule.policy_id, target))
    crossed = sum(in_force.rules[policy_id].line is not None for policy_id, _ in suspect)
    return Concerned(
        suspect=frozenset(suspect),
        seen={target: tuple(alike) for target, alike in seen.items()},
        targets=frozenset({target for _, target in suspect} | seen.keys()),
        cleared_count=plain - crossed,
    )


def _timely(samples: Iterable[StoredSample]) -> dict[str, list[StoredSample]]:
    """By metric, those that are not late."""
    by_name: dict[str, list[StoredSample]] = {}
    for sample in samples:
        if not sample.late:
            by_name.setdefault(sample.name, []).append(sample)
    return by_name


def _targets(rule: Rule, samples: Sequence[StoredSample]) -> list[str]:
    if rule.regroups:
        return [rule.target_of(tags=sample.tags, target=sample.target) for sample in samples]
    return [sample.target for sample in samples]


def spoken_for(in_force: Book, reading: Reading | EventReading) -> set[str]:
    """The targets that a reading speaks for: its own, and what policies with a `target_tag` take for its target."""
    own = target_of(reading.tags)
    readers = in_force.by_metric.get(reading.name, ()) if isinstance(reading, Reading) else in_force.heard(reading.name)
    tagged = [rule for rule in readers if rule.document.target_tag and not rule.by]  # a group is no single target
    named = {target for rule in tagged if rule.covers(target := rule.target_of(tags=reading.tags, target=own))}
    return {own} | named
