"""The states of an action, which may follow which, and what people are shown."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where an action is; the stored value is the name in small letters."""

    AWAITING_APPROVAL = "awaiting_approval"
    READY = "ready"
    LEASED = "leased"
    EXECUTING = "executing"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    RETRY_WAIT = "retry_wait"
    NEEDS_HUMAN = "needs_human"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Status(StrEnum):
    """What the API and the console call it."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


BIRTH = frozenset({State.AWAITING_APPROVAL, State.READY})
"""The states an action may begin in."""

CLAIMABLE = frozenset({State.READY, State.RETRY_WAIT})
"""Waiting for a worker. A waiting retry keeps its place in the line of its target."""

LEASE_HELD = frozenset({State.LEASED, State.EXECUTING})
"""A worker is at it, and its lease says until when to believe so."""

HOLDING = frozenset({State.LEASED, State.EXECUTING, State.ACCEPTED, State.UNKNOWN, State.NEEDS_HUMAN})
"""The target is occupied: there is an effect, or there may be one."""

UNDER_WAY = HOLDING - {State.NEEDS_HUMAN}
"""Somebody is at it, or is asked about it. One that waits for a person keeps its target, and no slot of Vigil's."""

TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.EXPIRED, State.CANCELLED, State.REJECTED})
LIVE = frozenset(State) - TERMINAL

MOVES: Mapping[State, frozenset[State]] = {
    State.AWAITING_APPROVAL: frozenset({State.READY, State.REJECTED, State.EXPIRED, State.CANCELLED}),
    State.READY: frozenset({State.LEASED, State.EXPIRED, State.CANCELLED}),
    State.RETRY_WAIT: frozenset({State.LEASED, State.EXPIRED, State.CANCELLED}),
    State.LEASED: frozenset({State.EXECUTING, State.READY, State.NEEDS_HUMAN, State.EXPIRED, State.CANCELLED}),
    State.EXECUTING: frozenset(
        {
            State.SUCCEEDED,
            State.ACCEPTED,
            State.FAILED,
            State.RETRY_WAIT,
            State.UNKNOWN,
            State.NEEDS_HUMAN,
            State.CANCELLED,
        }
    ),
    State.ACCEPTED: frozenset({State.SUCCEEDED, State.FAILED, State.UNKNOWN, State.NEEDS_HUMAN, State.CANCELLED}),
    State.UNKNOWN: frozenset(
        {State.SUCCEEDED, State.FAILED, State.ACCEPTED, State.RETRY_WAIT, State.NEEDS_HUMAN, State.CANCELLED}
    ),
    State.NEEDS_HUMAN: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    **dict.fromkeys(TERMINAL, frozenset()),
}

_STATUS: Mapping[State, Status] = {
    State.AWAITING_APPROVAL: Status.PENDING,
    State.READY: Status.PENDING,
    State.LEASED: Status.PENDING,
    State.RETRY_WAIT: Status.PENDING,
    State.EXECUTING: Status.RUNNING,
    State.ACCEPTED: Status.RUNNING,
    State.UNKNOWN: Status.RUNNING,
    State.NEEDS_HUMAN: Status.RUNNING,
    State.SUCCEEDED: Status.COMPLETED,
    State.FAILED: Status.FAILED,
    State.EXPIRED: Status.FAILED,
    State.CANCELLED: Status.CANCELLED,
    State.REJECTED: Status.CANCELLED,
}


def status_of(state: State | str) -> Status:
    """The public word for a state."""
    return _STATUS[State(state)]


def states_of(status: Status | str) -> frozenset[State]:
    """The states behind a public word."""
    return frozenset(state for state, public in _STATUS.items() if public == status)


def may_move(origin: State | str, goal: State | str) -> bool:
    """Whether `goal` may follow `origin`."""
    return State(goal) in MOVES[State(origin)]


def is_legal_path(path: list[tuple[str, str]]) -> bool:
    """Whether (from, to) pairs, oldest first, tell a possible story: birth, then moves, and remarks in place."""
    if not path or path[0][0] != "" or State(path[0][1]) not in BIRTH:
        return False
    here = State(path[0][1])
    for origin, goal in path[1:]:
        if State(origin) != here or (origin != goal and not may_move(origin, goal)):
            return False
        here = State(goal)
    return True
