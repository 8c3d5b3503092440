"""What must hold of every action, whatever happened: checked on values, so that tests, faults and `fsck` ask the same.

The numbers are those of the design: I1 the story, I3 the fence, I4 the intent, I5 at most once, I6 too late,
I7 ends, I10 holds. (I2 is a unique index of the database, I8 is counted by the budgets, I9 is the audit's own.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from actions import states
from actions.states import HOLDING, LIVE, State

SWITCH_WITHIN = timedelta(seconds=5)
"""The kill switch's promise."""
ENDS_WITHIN = timedelta(seconds=60)
"""How long after its deadline a waiting action may still be found waiting: the dispatcher looks every 2 s."""
HOLDS_WITHIN = timedelta(seconds=60)
"""Beyond the longest that its type may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt."""

    number: int
    token: int
    intent_at: datetime
    first_byte_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One action, with everything that is stored of it."""

    action_id: int
    state: State
    state_seq: int
    at_most_once: bool
    """Its type, softened by keys that its remediator keeps durably."""
    deadline: datetime
    longest: timedelta
    """How long one attempt may run at the remediator."""
    cancel_requested_at: datetime | None
    steps: tuple[tuple[int, str, str], ...]
    """Of its audit: number, from, to; oldest first."""
    calls: tuple[Call, ...]

    @property
    def subject(self) -> str:
        """As the audit names it."""
        return f"action:{self.action_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An invariant that does not hold."""

    invariant: str
    subject: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A stretch in which the kill switch let nothing begin."""

    began_at: datetime
    ended_at: datetime | None


def of_action(life: Life, *, at: datetime, pauses: Sequence[Pause] = ()) -> Iterator[Broken]:
    """Everything that does not hold of one action."""
    found = (
        *_story(life),
        *_intent(life),
        *_at_most_once(life),
        *_too_late(life, pauses),
        *_ends(life, at),
    )
    for invariant, says in found:
        yield Broken(invariant=invariant, subject=life.subject, says=says)


def of_target(target: str, calls: Sequence[Call]) -> Iterator[Broken]:
    """I3: over all actions of one target, in the order of their intents, the fence only rises."""
    for earlier, later in pairwise(calls):
        if later.token <= earlier.token:
            says = (
                f"the call at {later.intent_at:%Y-%m-%d %H:%M:%S} had fence {later.token}, after one of {earlier.token}"
            )
            yield Broken(invariant="I3", subject=f"target:{target}", says=says)


def _story(life: Life) -> Iterator[tuple[str, str]]:
    numbers = [number for number, _, _ in life.steps]
    if numbers != list(range(1, life.state_seq + 1)):
        yield "I1", f"it took {life.state_seq} steps, and the audit tells of {_ranges(numbers)}"
        return
    path = [(origin, goal) for _, origin, goal in life.steps]
    if not states.is_legal_path(path):
        yield "I1", f"its story is impossible: {' -> '.join(goal for _, goal in path)}"
    elif path[-1][1] != life.state:
        yield "I1", f"its story ends in {path[-1][1]}, and it is {life.state}"


def _intent(life: Life) -> Iterator[tuple[str, str]]:
    called = sum(1 for _, origin, goal in life.steps if (origin, goal) == (State.LEASED, State.EXECUTING))
    if called != len(life.calls):
        yield "I4", f"it began {called} calls, and {len(life.calls)} attempts are stored"


def _at_most_once(life: Life) -> Iterator[tuple[str, str]]:
    left = [call.number for call in life.calls if call.first_byte_at is not None]
    if life.at_most_once and len(left) > 1:
        yield "I5", f"it may be sent once, and attempts {', '.join(map(str, left))} left"


def _too_late(life: Life, pauses: Sequence[Pause]) -> Iterator[tuple[str, str]]:
    for call in life.calls:
        sent = call.first_byte_at
        if sent is not None and sent > life.deadline:
            yield "I6", f"attempt {call.number} left after its deadline"
        if life.cancel_requested_at is not None and call.intent_at > life.cancel_requested_at:
            yield "I6", f"attempt {call.number} began after its cancellation was acknowledged"
        if sent is not None and any(_within(sent, pause) for pause in pauses):
            yield "I6", f"attempt {call.number} left while Vigil was told not to act"


def _within(moment: datetime, pause: Pause) -> bool:
    return pause.began_at + SWITCH_WITHIN < moment and (pause.ended_at is None or moment < pause.ended_at)


def _ends(life: Life, at: datetime) -> Iterator[tuple[str, str]]:
    if life.state not in LIVE or life.state == State.NEEDS_HUMAN:
        return
    if life.state not in HOLDING and at > life.deadline + ENDS_WITHIN:
        yield "I7", f"it is still {life.state}, {at - life.deadline} after its deadline: is a dispatcher running?"
    began = max((call.intent_at for call in life.calls), default=None)
    if life.state in HOLDING and began is not None and at > began + life.longest + HOLDS_WITHIN:
        yield "I10", f"it holds its target as {life.state} since {began:%Y-%m-%d %H:%M:%S}: is a dispatcher running?"


def _ranges(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "") if numbers else "none"
