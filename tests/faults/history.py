"""The checker: holds what callers were told, what the remediator saw, and what Vigil stored against one another. Pure.

All times are seconds since 1970 by one steady clock of the run; only the audit's are the database's own.
"""

import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ENDS = frozenset({"succeeded", "failed", "expired", "cancelled", "rejected", "needs_human"})
"""Where an action may rest: over, or a person was asked."""

SENT = frozenset({"executing", "accepted", "unknown"})
"""Where an action may be whose request has left."""

LEASE_LOST = "lease_losses"
"""What the audit's numbers hold when a worker was found dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An order that Vigil acknowledged: it may not be lost."""

    action_id: int
    kind: str
    target: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A request that arrived, in the remediator's own fsynced words. `ended` is None when it never came to that."""

    key: str
    target: str
    fence: int
    began: float
    ended: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One audit entry of an action."""

    seq: int
    origin: str
    goal: str
    at: float
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One action as the database has it in the end."""

    action_id: int
    key: str
    kind: str
    target: str
    state: str
    state_seq: int
    at_most_once: bool
    deadline: float
    attempts: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something done to Vigil, and until when it lasted."""

    what: str
    at: float
    ended: float
    pids: frozenset[int] = frozenset()
    """The processes it killed, when it killed any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A stretch in which no effect may begin."""

    why: str
    after: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run, as each side wrote it down."""

    attempted: int
    told: Sequence[Told]
    effects: Sequence[Effect]
    stored: Sequence[Stored]
    faults: Sequence[Fault] = ()
    closed: Sequence[Closed] = ()
    broken: Sequence[str] = ()
    """What `manage.py fsck` found."""
    read_at: float = math.inf
    """When the tables were about to be read: what came later need not be in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that did not hold."""

    what: str
    subject: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Seconds: the middle, nearly the worst, the worst. None without a single measurement."""

    count: int
    p50: float | None
    p95: float | None
    most: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The figures of a run, and what they were made of."""

    figures: Mapping[str, int]
    recovery: Spread
    """From the end of a fault to the first effect that began after it and ended well."""
    freed: Spread
    """From the fault that killed a worker until the work it held was found and went on."""
    violations: Sequence[Violation]

    @property
    def holds(self) -> bool:
        """Whether every promise held."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


COUNTED = (
    "lost",
    "duplicated",
    "unexpected",
    "out of window",
    "overlapping",
    "fence regression",
    "audit gap",
    "invariant",
)


def check(history: History) -> Verdict:
    """Every figure and every violation of one run."""
    violations = [
        *_lost(history),
        *_duplicated(history),
        *_unexpected(history),
        *_out_of_window(history),
        *_overlapping(history.effects),
        *_fences(history.effects),
        *_audit_gaps(history.stored),
        *(Violation(what="invariant", subject="fsck", says=says) for says in history.broken),
    ]
    counts = Counter(violation.what for violation in violations)
    times = Counter(effect.key for effect in history.effects)
    ends = Counter(row.state for row in history.stored)
    figures = {
        "attempted": history.attempted,
        "acknowledged": len({told.action_id for told in history.told}),
        "executed": len(times),
        "repeated under its key": sum(count - 1 for count in times.values()),
        "succeeded": ends["succeeded"],
        "asked a person": ends["needs_human"],
        "held for that person": len(held_for_a_person(history.stored)),
        **{what: counts[what] for what in COUNTED},
    }
    return Verdict(
        figures=figures,
        recovery=spread(recoveries(history)),
        freed=spread(freed(history)),
        violations=violations,
    )


def recoveries(history: History) -> list[float]:
    """For each fault, the wait for the first effect after it; infinite when none came though work was left."""
    well = sorted((e.began, e.ended) for e in history.effects if e.ended is not None)
    last = max((began for began, _ in well), default=-math.inf)
    waits = []
    for fault in history.faults:
        after = [began for began, _ in well if began >= fault.ended]
        if after:
            waits.append(after[0] - fault.ended)
        elif last < fault.ended and _open_at(history, fault.ended):
            waits.append(math.inf)
    return waits


def freed(history: History) -> list[float]:
    """For each lease that was lost, the time from the fault to the entry that says so."""
    waits = []
    for row in history.stored:
        for before, step in itertools.pairwise(row.steps):
            if LEASE_LOST not in step.numbers:
                continue
            cause = _cause(history.faults, owner=str(step.numbers.get("worker", "")), since=before.at, until=step.at)
            if cause is not None:
                waits.append(step.at - cause)
    return waits


def _cause(faults: Sequence[Fault], *, owner: str, since: float, until: float) -> float | None:
    """When the fault happened that took the lease's owner (`host:pid`) away."""
    pid = owner.rpartition(":")[2]
    possible = [fault for fault in faults if fault.at <= until and fault.ended >= since - 1.0]
    known = [fault.at for fault in possible if pid.isdigit() and int(pid) in fault.pids]
    return min(known or [fault.at for fault in possible if not fault.pids], default=None)


def spread(values: Iterable[float]) -> Spread:
    """By the nearest rank, so that every figure was really measured."""
    ordered = sorted(values)
    if not ordered:
        return Spread(count=0, p50=None, p95=None, most=None)
    return Spread(count=len(ordered), p50=_rank(ordered, 0.5), p95=_rank(ordered, 0.95), most=round(ordered[-1], 2))


def table(results: Sequence[tuple[str, Verdict]]) -> str:
    """The figures of several runs, a line each."""
    heads = ["run", "told", "executed", *COUNTED, "recovery p50/p95/max", "freed p50/p95/max"]
    lines = [heads, *([name, *_cells(verdict)] for name, verdict in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def dumped(results: Sequence[tuple[str, Verdict]]) -> str:
    """The same as JSON."""
    return json.dumps({name: verdict.as_json() for name, verdict in results}, indent=2)


def _cells(verdict: Verdict) -> list[str]:
    figures = [verdict.figures[name] for name in ("acknowledged", "executed", *COUNTED)]
    return [*map(str, figures), _shown(verdict.recovery), _shown(verdict.freed)]


def _shown(one: Spread) -> str:
    return "-" if one.most is None else f"{one.p50:.1f} / {one.p95:.1f} / {one.most:.1f} s"


def _rank(ordered: Sequence[float], share: float) -> float:
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)


def _open_at(history: History, at: float) -> bool:
    """Whether some action still had an effect to come: one that was sent before may only have been asked about."""
    return any(
        row.state == "succeeded" and row.steps and row.steps[-1].at > at and _state_at(row, at) not in SENT
        for row in history.stored
    )


def _state_at(row: Stored, at: float) -> str:
    """Where the action stood then; "" when it was not there yet."""
    return next((step.goal for step in reversed(row.steps) if step.at <= at), "")


def _lost(history: History) -> Iterator[Violation]:
    stored = {row.action_id: row for row in history.stored}
    seen = {effect.key for effect in history.effects}
    waiting = held_for_a_person(history.stored)
    for told in history.told:
        row = stored.get(told.action_id)
        subject = f"action:{told.action_id}"
        if row is None:
            yield Violation(what="lost", subject=subject, says="it was acknowledged and is not stored")
        elif (row.kind, row.target) != (told.kind, told.target):
            yield Violation(what="lost", subject=subject, says="another order is stored in its place")
        elif row.state not in ENDS and row.action_id not in waiting:
            yield Violation(what="lost", subject=subject, says=f"it is {row.state} for good")
        elif row.state == "succeeded" and row.key not in seen:
            yield Violation(
                what="lost", subject=subject, says="it is called a success, and the remediator never saw it"
            )


def held_for_a_person(rows: Iterable[Stored]) -> set[int]:
    """Actions not begun because an earlier one on their target asks for a person: no run plays that person."""
    asking: dict[str, int] = {}
    for row in rows:
        if row.state == "needs_human":
            asking[row.target] = min(row.action_id, asking.get(row.target, row.action_id))
    waits = (row for row in rows if row.state == "ready" and row.attempts == 0)
    return {row.action_id for row in waits if asking.get(row.target, row.action_id) < row.action_id}


def _duplicated(history: History) -> Iterator[Violation]:
    once = {row.key for row in history.stored if row.at_most_once}
    for key, times in Counter(effect.key for effect in history.effects).items():
        if key in once and times > 1:
            yield Violation(what="duplicated", subject=f"key:{key}", says=f"it may be sent once and came {times} times")


def _unexpected(history: History) -> Iterator[Violation]:
    stored = {row.key: row for row in history.stored}
    for key, times in Counter(effect.key for effect in history.effects if effect.began < history.read_at).items():
        row = stored.get(key)
        if row is None:
            yield Violation(what="unexpected", subject=f"key:{key}", says="the remediator saw a key that nobody stored")
        elif times > row.attempts:
            says = f"the remediator saw {times} requests, and {row.attempts} attempts are stored"
            yield Violation(what="unexpected", subject=f"action:{row.action_id}", says=says)


def _out_of_window(history: History) -> Iterator[Violation]:
    deadlines = {row.key: row.deadline for row in history.stored}
    for effect in history.effects:
        if effect.began > deadlines.get(effect.key, math.inf):
            yield Violation(what="out of window", subject=f"key:{effect.key}", says="it began after its deadline")
        for closed in history.closed:
            if closed.after < effect.began < closed.until:
                says = f"it began {effect.began - closed.after:.1f} s into a time when nothing may: {closed.why}"
                yield Violation(what="out of window", subject=f"key:{effect.key}", says=says)


def _overlapping(effects: Sequence[Effect]) -> Iterator[Violation]:
    """Requests under one key are one effect: what may be repeated is sent again while the remediator may still hold the
    connection that was given up, and knows it by its key; what may be sent once is counted as duplicated."""
    for target, ordered in _by_target(effects):
        under_way: dict[str, float] = {}
        for effect in ordered:
            if any(effect.began < until for key, until in under_way.items() if key != effect.key):
                says = f"{effect.key} began while another effect was under way"
                yield Violation(what="overlapping", subject=f"target:{target}", says=says)
            ended = effect.ended if effect.ended is not None else effect.began
            under_way[effect.key] = max(ended, under_way.get(effect.key, -math.inf))


def _fences(effects: Sequence[Effect]) -> Iterator[Violation]:
    for target, ordered in _by_target(effects):
        for earlier, later in itertools.pairwise(ordered):
            if later.fence <= earlier.fence:
                says = f"fence {later.fence} came after {earlier.fence}"
                yield Violation(what="fence regression", subject=f"target:{target}", says=says)


def _audit_gaps(rows: Sequence[Stored]) -> Iterator[Violation]:
    for row in rows:
        numbers = [step.seq for step in row.steps]
        here = [step.goal for step in row.steps]
        subject = f"action:{row.action_id}"
        if numbers != list(range(1, row.state_seq + 1)):
            says = f"{row.state_seq} steps were taken, and the audit tells of {numbers}"
            yield Violation(what="audit gap", subject=subject, says=says)
        elif here and here[-1] != row.state:
            says = f"the audit ends in {here[-1]}, and it is {row.state}"
            yield Violation(what="audit gap", subject=subject, says=says)
        elif any(later.origin != earlier.goal for earlier, later in itertools.pairwise(row.steps)):
            yield Violation(what="audit gap", subject=subject, says="a step begins where the one before did not end")


def _by_target(effects: Sequence[Effect]) -> Iterator[tuple[str, list[Effect]]]:
    found: dict[str, list[Effect]] = defaultdict(list)
    for effect in sorted(effects, key=lambda one: one.began):
        found[effect.target].append(effect)
    yield from sorted(found.items())
