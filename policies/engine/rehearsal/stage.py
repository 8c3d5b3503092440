"""The world around a rehearsed policy: what it is told from outside, and what it leaves behind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.engine.conditions import Condition
from policies.engine.lifecycle import IncidentState, Timings, Transition
from policies.engine.planning import Effect, Ladder
from policies.engine.rehearsal.timeline import Namer, Seen
from policies.engine.values import Verdict

type Pair = tuple[str, str]
"""A policy's name and a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One policy under test."""

    name: str
    condition: Condition
    timings: Timings
    ladder: Ladder
    acts: bool
    """Whether it may order; one that only observes never does."""
    asks: str = ""
    """Whose word its actions wait for; in a replay nobody says one. "" is nobody's."""
    target_of: Callable[[Mapping[str, str], str], str]
    """The target, or the group, that tags belong to for this policy; given the usual target, "" for none."""
    regroups: bool = False
    """Whether its targets are other ones than the usual."""
    named: str = ""
    """The one target it is about, if it names one."""
    settles: tuple[timedelta, ...]
    """How long each step has to work before it is judged."""
    tells: frozenset[str] = frozenset()
    """The actions that only tell people, and so are never judged."""
    looks_back: timedelta = timedelta(0)
    """How far back the proof of a step reads, where its newest sample is not enough."""
    covers: Callable[[str], bool]
    severity: str = ""


@dataclass(slots=True, kw_only=True)
class Deed:
    """One ordered action."""

    number: int
    policy: str
    target: str
    action: str
    step: int
    incident: int
    ordered_at: datetime
    acted_at: datetime | None
    """When it had its effect; None when it was given up before it began."""
    ended_at: datetime
    succeeds: bool
    action_id: int | None = None
    """The recorded action that it was; None when how it ended is a guess."""
    settle: timedelta
    reason: str
    """Why it was ordered."""
    params: Mapping[str, object] = field(default_factory=dict)
    """As they were filled in."""
    effect: Effect = Effect.RUNNING
    """UNVERIFIED or FAILED once it has ended, then what the proof says; DONE where nothing has to be proved."""
    undoing: bool = False
    """It takes its step back."""
    verified: bool = True
    """Whether data has to prove that it helped."""

    @property
    def runs(self) -> bool:
        return self.effect is Effect.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Why an action was not ordered."""

    guard: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What fresh data says of an action."""

    effect: Effect
    reason: str


@dataclass(slots=True, kw_only=True)
class Episode:
    """A live incident."""

    number: int
    state: IncidentState
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the target's series agreed on when it began."""


type Known = Callable[[str, datetime], Mapping[str, set[str]]]
"""The policy's targets that were heard of since a moment, by the value of a tag; all are one group without a tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A policy wants to act on a target."""

    subject: Subject
    target: str
    incident: Episode
    at: datetime
    deeds: Sequence[Deed]
    """Everything that was ordered before."""
    live: Mapping[Pair, Episode]
    together: Mapping[Pair, Mapping[str, str]]
    """Those that the same readings found bad, with what their series agree on."""
    known: Known
    turns: Sequence["Turn"] = ()
    """Every move of an incident before."""
    stops: Sequence["Stop"] = ()
    """Every time that nothing was ordered, and why."""


type Guard = Callable[[Scene], Stopped | None]
"""Why nothing is ordered now; None when nothing speaks against it."""
type Prove = Callable[[Subject, Deed, Seen, datetime], Proof | None]
"""Did it help? None: not to be said yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the installation adds to the engine."""

    target_of: Namer
    staleness: timedelta
    sweep_every: timedelta
    guard: Guard
    """Asked last, of an order that would be placed now."""
    prove: Prove
    mute: Guard = lambda _: None
    """Asked first, whatever else there is to say."""
    review: Callable[[Subject, datetime, Mapping[Pair, Episode], Known], None] = lambda subject, at, live, known: None
    """Called for each policy at each sweep, before anything is ordered."""
    doubt: Callable[[Subject, Verdict, datetime], Stopped | None] = lambda subject, verdict, at: None
    """Why this verdict is not good enough to act on."""
    patience: Callable[[], None] = lambda: None
    """Called before each judgement; raises when the rehearsal takes too long."""


@dataclass(slots=True)
class Health:
    """What is remembered of a policy as a whole."""

    last_evaluated_at: datetime | None = None
    grace_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An incident moved."""

    at: datetime
    incident: int
    policy: str
    target: str
    transition: Transition
    reason: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """An action was not ordered, and why; noted once while the reason stays."""

    at: datetime
    incident: int
    policy: str
    target: str
    stopped: Stopped


@dataclass(slots=True, kw_only=True)
class Journal:
    """Everything that happened, in order."""

    turns: list[Turn] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    judged: int = 0
    """Verdicts that were made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How things stand at one moment."""

    at: datetime
    incidents: Mapping[Pair, str] = field(default_factory=dict)
    """pending, open, or resolved for a pair whose last incident is over."""
    deeds: tuple[Deed, ...] = ()
    held: Mapping[Pair, Stopped] = field(default_factory=dict)
    verdicts: Mapping[Pair, Verdict] = field(default_factory=dict)
    reasons: Mapping[Pair, str] = field(default_factory=dict)
    """What the lifecycle said last."""
