"""Every interleaving of two workers, two actions on one target, a dispatcher and a remediator, with a crash anywhere.

The decisions are Vigil's own (`actions.states`, `actions.retry`); what surrounds them is written out small: CLAIM,
INTENT, SEND, RESULT and REAP as `actions.claims`, `execution`, `reaper` and `asking` do them. Time is left to an
adversary: a lease may run out at any moment, and an answer may get lost. A worker looks at its clock right before it
sends; `gap` freezes it between that look and the send, which no sender can rule out and only the remediator's fence
limits.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from actions import retry, states
from actions.retry import Result, Rules, Safety
from actions.states import CLAIMABLE, HOLDING, TERMINAL, State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAX_ATTEMPTS = 2
MAX_LOSSES = 2
ASKS = 2
"""Questions that stand for all ten: the second counts as the last."""


@dataclass(frozen=True, slots=True)
class Action:
    """A row."""

    state: State = State.READY
    token: int = 0
    """The fence of the last claim."""
    attempts: int = 0
    losses: int = 0
    asked: int = 0
    expired: bool = False
    """The lease ran out."""
    doubtful: bool = False
    """The answer to an attempt got lost."""


@dataclass(frozen=True, slots=True, order=True)
class Worker:
    """What a worker process knows; a crash makes it forget."""

    phase: str = "idle"
    """idle, claimed, intended, sent, answered"""
    action: int = -1
    token: int = 0
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What the remediator has of an action."""

    arrivals: int = 0
    """Requests whose first byte reached it."""
    running: int = 0
    done: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Everything there is."""

    actions: tuple[Action, ...] = (Action(), Action())
    workers: tuple[Worker, ...] = (Worker(), Worker())
    effects: tuple[Effect, ...] = (Effect(), Effect())
    fence: int = 0
    """The target's, in the database."""
    seen: int = 0
    """The highest that the remediator accepted."""
    regressed: bool = False
    """The remediator accepted a fence lower than one it had accepted before."""
    crashes: int = 1
    """How many are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Laws:
    """What kind of action and remediator, and which rule is broken on purpose."""

    safety: Safety
    strict: bool
    """The remediator keeps keys and refuses an older fence; else it does whatever it is told."""
    gap: bool = False
    """A request may leave long after the worker's last look at its clock."""
    bug: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the search came to."""

    worlds: int
    broken: str = ""
    path: tuple[str, ...] = ()


def explore(laws: Laws) -> Found:
    """Go through every world that can be reached; the shortest way to the first that breaks an invariant."""
    start = World(crashes=0 if laws.strict else 1)  # a freeze is as bad as a crash, and the worlds must stay few
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    goes_to: dict[World, list[World]] = {}
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        goes_to[world] = []
        for name, step in _steps(world, laws):
            after = replace(step, workers=tuple(sorted(step.workers)))  # it matters to nobody which is which
            wrong = _illegal(world, after) or _broken(after, laws)
            if after not in came_from:
                came_from[after] = (world, name)
                waiting.append(after)
            goes_to[world].append(after)
            if wrong:
                return Found(worlds=len(came_from), broken=wrong, path=_path(came_from, world, name))
    lost = _never_ends(goes_to)
    if lost is not None:
        return Found(worlds=len(came_from), broken="I7: from here on it can never end", path=_path(came_from, lost, ""))
    return Found(worlds=len(came_from))


# --- what may happen ------------------------------------------------------------------------------------------------


def _steps(world: World, laws: Laws) -> Iterator[tuple[str, World]]:
    for number, worker in enumerate(world.workers):
        yield from _work(world, laws, number, worker)
        if worker.phase != "idle" and world.crashes:
            yield f"worker {number} dies", replace(_with(world, worker=(number, Worker())), crashes=world.crashes - 1)
    for number, action in enumerate(world.actions):
        yield from _reap(world, laws, number, action)
        if world.effects[number].running:
            effect = world.effects[number]
            ended = replace(effect, running=effect.running - 1, done=effect.done + 1)
            yield f"effect {number} ends", _with(world, effect=(number, ended))


def _work(world: World, laws: Laws, number: int, worker: Worker) -> Iterator[tuple[str, World]]:
    match worker.phase:
        case "idle":
            for one in range(len(world.actions)):
                yield from _claim(world, laws, number, one)
        case "claimed":
            yield from _intend(world, laws, number, worker)
        case "intended":
            yield from _send(world, laws, number, worker)
        case "sent":
            yield from _answer(world, number, worker)
        case "answered":
            yield f"worker {number} stores", _result(world, laws, number, worker)


def _claim(world: World, laws: Laws, number: int, one: int) -> Iterator[tuple[str, World]]:
    row = world.actions[one]
    others = [other for place, other in enumerate(world.actions) if place != one]
    older = [other for place, other in enumerate(world.actions) if place < one]
    held = any(other.state in HOLDING for other in others) and laws.bug != "two actions hold a target"
    if row.state not in CLAIMABLE or held or any(other.state in CLAIMABLE for other in older):
        return
    token = world.fence + 1
    leased = replace(row, state=State.LEASED, token=token, expired=False)
    after = _with(world, action=(one, leased), worker=(number, Worker("claimed", one, token)))
    yield f"worker {number} claims {one}", replace(after, fence=token)


def _intend(world: World, laws: Laws, number: int, worker: Worker) -> Iterator[tuple[str, World]]:
    row = world.actions[worker.action]
    mine = row.state == State.LEASED and row.token == worker.token and not row.expired
    if laws.bug == "sent before it is intended":
        effect = world.effects[worker.action]
        early = _with(world, effect=(worker.action, replace(effect, arrivals=effect.arrivals + 1, running=1)))
        yield f"worker {number} sends early", _with(early, worker=(number, replace(worker, phase="sent")))
        return
    if not mine:
        yield f"worker {number} has lost its lease", _with(world, worker=(number, Worker()))
        return
    begun = replace(row, state=State.EXECUTING, attempts=row.attempts + 1, asked=0)
    after = _with(world, action=(worker.action, begun), worker=(number, replace(worker, phase="intended")))
    yield f"worker {number} intends", after


def _send(world: World, laws: Laws, number: int, worker: Worker) -> Iterator[tuple[str, World]]:
    row = world.actions[worker.action]
    in_time = row.state == State.EXECUTING and row.token == worker.token and not row.expired
    if not in_time and not laws.gap:
        yield f"worker {number} is too late", _with(world, worker=(number, Worker()))
        return
    refused = replace(worker, phase="answered", outcome="refused")
    yield f"worker {number} cannot connect", _with(world, worker=(number, refused))
    yield from _arrive(world, laws, number, worker)


def _arrive(world: World, laws: Laws, number: int, worker: Worker) -> Iterator[tuple[str, World]]:
    effect = world.effects[worker.action]
    arrived = replace(effect, arrivals=effect.arrivals + 1)
    regress = worker.token < world.seen
    if laws.strict and regress and laws.bug != "no fence":
        stale = replace(worker, phase="answered", outcome="stale")
        yield f"worker {number} is refused as stale", _with(world, worker=(number, stale))
        return
    known = laws.strict and (effect.running or effect.done) and laws.bug != "keys are not kept"
    if not known:
        arrived = replace(arrived, running=effect.running + 1)
    after = _with(world, effect=(worker.action, arrived), worker=(number, replace(worker, phase="sent")))
    yield f"worker {number} sends", replace(after, seen=max(world.seen, worker.token), regressed=regress)


def _answer(world: World, number: int, worker: Worker) -> Iterator[tuple[str, World]]:
    effect = world.effects[worker.action]
    if effect.done and not effect.running:
        done = replace(worker, phase="answered", outcome="succeeded")
        yield f"worker {number} is told of success", _with(world, worker=(number, done))
    lost = replace(worker, phase="answered", outcome="ambiguous")
    yield f"worker {number} gets no answer", _with(world, worker=(number, lost))


_RESULTS = {
    "succeeded": Result(kind="succeeded"),
    "ambiguous": Result(kind="ambiguous"),
    "refused": Result(kind="failed", retryable=True, first_byte_sent=False),
    "stale": Result(kind="failed", retryable=False),
}


def _result(world: World, laws: Laws, number: int, worker: Worker) -> World:
    row = world.actions[worker.action]
    idle = _with(world, worker=(number, Worker()))
    mine = row.state == State.EXECUTING and row.token == worker.token
    if not mine:
        return idle
    rules = replace(_rules(row, laws), doubtful=row.doubtful and laws.bug != "a failure ends all doubt")
    step = retry.after_attempt(_RESULTS[worker.outcome], rules, at=NOW, fraction=0.5)
    goal = step.state
    if laws.bug == "sent again when in doubt" and goal == State.UNKNOWN and row.attempts < MAX_ATTEMPTS:
        goal = State.RETRY_WAIT
    doubtful = row.doubtful or worker.outcome == "ambiguous"
    return _with(idle, action=(worker.action, replace(row, state=goal, expired=False, doubtful=doubtful)))


def _reap(world: World, laws: Laws, number: int, row: Action) -> Iterator[tuple[str, World]]:
    if row.state in states.LEASE_HELD and not row.expired:
        yield f"the lease of {number} runs out", _with(world, action=(number, replace(row, expired=True)))
    if row.state in states.LEASE_HELD and row.expired:
        losses = row.losses + 1
        goal = State.READY if row.state == State.LEASED else State.UNKNOWN
        if losses >= MAX_LOSSES:
            goal = State.NEEDS_HUMAN
        if laws.bug == "a lost call goes back to its line" and goal == State.UNKNOWN:
            goal = State.RETRY_WAIT
        doubtful = row.doubtful or row.state == State.EXECUTING
        after = replace(row, state=goal, losses=losses, expired=False, asked=0, doubtful=doubtful)
        yield f"{number} is reaped", _with(world, action=(number, after))
    if row.state == State.UNKNOWN and laws.bug != "nobody asks":
        yield f"{number} is asked about", _with(world, action=(number, _asked(world, laws, number, row)))


def _asked(world: World, laws: Laws, number: int, row: Action) -> Action:
    effect = world.effects[number]
    answer: retry.AnswerState = "cannot_say"
    if laws.strict:
        answer = "running" if effect.running else "done" if effect.done else "not_found"
    asked = row.asked + 1
    counted = retry.MAX_ASKS if asked >= ASKS else asked
    step = retry.after_answer(answer, _rules(row, laws), asked=counted, at=NOW, fraction=0.5)
    return replace(row, state=step.state, asked=asked)


def _rules(row: Action, laws: Laws) -> Rules:
    return Rules(
        safety=retry.effective_safety(laws.safety, durable_keys=laws.strict),
        attempt_no=row.attempts,
        max_attempts=MAX_ATTEMPTS,
        deadline=NOW + timedelta(hours=1),
    )


# --- what must never be ---------------------------------------------------------------------------------------------


def _illegal(before: World, after: World) -> str:
    for old, new in zip(before.actions, after.actions, strict=True):
        if old.state != new.state and not states.may_move(old.state, new.state):
            return f"I1: {old.state} -> {new.state} is no legal move"
    return ""


def _broken(world: World, laws: Laws) -> str:
    if sum(row.state in HOLDING for row in world.actions) > 1:
        return "I2: two actions hold the target"
    if laws.strict and world.regressed:
        return "I3: an older fence was accepted"
    if not laws.gap and sum(effect.running for effect in world.effects) > 1:
        return "I3: two effects overlap"
    for row, effect in zip(world.actions, world.effects, strict=True):
        if effect.arrivals > row.attempts:
            return "I4: an effect without an intent"
        once = retry.effective_safety(laws.safety, durable_keys=laws.strict) == "at_most_once"
        if once and effect.arrivals > 1:
            return "I5: sent twice, and it may be sent once"
        if laws.strict and effect.running + effect.done > 1:
            return "I5: one key had two effects"
        if row.state == State.SUCCEEDED and not effect.done:
            return "a success that never happened"
    return ""


def _over(world: World) -> bool:
    return all(row.state in TERMINAL or row.state == State.NEEDS_HUMAN for row in world.actions) or (
        # A target that a person has to look at keeps the next action waiting, as it should.
        any(row.state == State.NEEDS_HUMAN for row in world.actions)
        and all(row.state in {*TERMINAL, *CLAIMABLE, State.NEEDS_HUMAN} for row in world.actions)
    )


def _never_ends(goes_to: dict[World, list[World]]) -> World | None:
    """A world from which no end can be reached any more, if there is one."""
    leads_here: dict[World, list[World]] = {}
    for world, afters in goes_to.items():
        for after in afters:
            leads_here.setdefault(after, []).append(world)
    waiting = deque(world for world in goes_to if _over(world))
    hopeful = set(waiting)
    while waiting:
        for before in leads_here.get(waiting.popleft(), ()):
            if before not in hopeful:
                hopeful.add(before)
                waiting.append(before)
    return next((world for world in goes_to if world not in hopeful), None)


def _with(
    world: World,
    *,
    action: tuple[int, Action] | None = None,
    worker: tuple[int, Worker] | None = None,
    effect: tuple[int, Effect] | None = None,
) -> World:
    return replace(
        world,
        actions=_put(world.actions, action),
        workers=_put(world.workers, worker),
        effects=_put(world.effects, effect),
    )


def _put[T](before: tuple[T, ...], change: tuple[int, T] | None) -> tuple[T, ...]:
    if change is None:
        return before
    place, new = change
    return (*before[:place], new, *before[place + 1 :])


def _path(came_from: dict[World, tuple[World, str] | None], world: World, last: str) -> tuple[str, ...]:
    names = [last] if last else []
    step = came_from[world]
    while step is not None:
        world, name = step
        names.append(name)
        step = came_from[world]
    return tuple(reversed(names))
