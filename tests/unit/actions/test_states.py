"""The state table is what everything else leans on."""

import pytest

from actions import states
from actions.states import BIRTH, CLAIMABLE, HOLDING, LEASE_HELD, LIVE, MOVES, TERMINAL, State, Status

LEGAL = {
    (State.AWAITING_APPROVAL, State.READY),
    (State.AWAITING_APPROVAL, State.REJECTED),
    (State.AWAITING_APPROVAL, State.EXPIRED),
    (State.AWAITING_APPROVAL, State.CANCELLED),
    (State.READY, State.LEASED),
    (State.READY, State.EXPIRED),
    (State.READY, State.CANCELLED),
    (State.RETRY_WAIT, State.LEASED),
    (State.RETRY_WAIT, State.EXPIRED),
    (State.RETRY_WAIT, State.CANCELLED),
    (State.LEASED, State.EXECUTING),
    (State.LEASED, State.READY),
    (State.LEASED, State.NEEDS_HUMAN),
    (State.LEASED, State.EXPIRED),
    (State.LEASED, State.CANCELLED),
    (State.EXECUTING, State.SUCCEEDED),
    (State.EXECUTING, State.ACCEPTED),
    (State.EXECUTING, State.FAILED),
    (State.EXECUTING, State.RETRY_WAIT),
    (State.EXECUTING, State.UNKNOWN),
    (State.EXECUTING, State.NEEDS_HUMAN),
    (State.EXECUTING, State.CANCELLED),
    (State.ACCEPTED, State.SUCCEEDED),
    (State.ACCEPTED, State.FAILED),
    (State.ACCEPTED, State.UNKNOWN),
    (State.ACCEPTED, State.NEEDS_HUMAN),
    (State.ACCEPTED, State.CANCELLED),
    (State.UNKNOWN, State.SUCCEEDED),
    (State.UNKNOWN, State.FAILED),
    (State.UNKNOWN, State.ACCEPTED),
    (State.UNKNOWN, State.RETRY_WAIT),
    (State.UNKNOWN, State.NEEDS_HUMAN),
    (State.UNKNOWN, State.CANCELLED),
    (State.NEEDS_HUMAN, State.SUCCEEDED),
    (State.NEEDS_HUMAN, State.FAILED),
    (State.NEEDS_HUMAN, State.CANCELLED),
}

STATUSES = {
    Status.PENDING: {State.AWAITING_APPROVAL, State.READY, State.LEASED, State.RETRY_WAIT},
    Status.RUNNING: {State.EXECUTING, State.ACCEPTED, State.UNKNOWN, State.NEEDS_HUMAN},
    Status.COMPLETED: {State.SUCCEEDED},
    Status.FAILED: {State.FAILED, State.EXPIRED},
    Status.CANCELLED: {State.CANCELLED, State.REJECTED},
}


@pytest.mark.parametrize("origin", State)
@pytest.mark.parametrize("goal", State)
def test_a_move_is_allowed_exactly_when_the_table_says_so(origin: State, goal: State) -> None:
    assert states.may_move(origin, goal) == ((origin, goal) in LEGAL)


@pytest.mark.parametrize(("status", "behind"), STATUSES.items())
def test_the_public_word_stands_for_its_states(status: Status, behind: set[State]) -> None:
    assert states.states_of(status) == behind
    assert all(states.status_of(state) == status for state in behind)


def test_every_state_has_one_public_word() -> None:
    assert sum(len(behind) for behind in STATUSES.values()) == len(State)


def test_nothing_leaves_a_terminal_state() -> None:
    assert all(not MOVES[state] for state in TERMINAL)


def test_every_live_state_can_end() -> None:
    for state in LIVE:
        reached, frontier = set(), {state}
        while frontier:
            reached |= frontier
            frontier = {goal for origin in frontier for goal in MOVES[origin]} - reached
        assert reached & TERMINAL, state


def test_only_a_claim_leads_into_an_effect() -> None:
    into_lease = {origin for origin in State if states.may_move(origin, State.LEASED)}
    into_effect = {origin for origin in State if states.may_move(origin, State.EXECUTING)}
    assert into_lease == CLAIMABLE
    assert into_effect == {State.LEASED}


def test_what_waits_does_not_hold_its_target() -> None:
    assert not CLAIMABLE & HOLDING
    assert not BIRTH & HOLDING
    assert LEASE_HELD < HOLDING
    assert not HOLDING & TERMINAL


@pytest.mark.parametrize(
    ("path", "legal"),
    [
        ([("", "ready")], True),
        ([("", "ready"), ("ready", "leased"), ("leased", "executing"), ("executing", "succeeded")], True),
        ([("", "ready"), ("ready", "ready"), ("ready", "cancelled")], True),
        ([("", "ready"), ("ready", "executing")], False),
        ([("", "ready"), ("leased", "executing")], False),
        ([("", "executing")], False),
        ([("ready", "leased")], False),
        ([], False),
    ],
    ids=["born", "whole", "with a remark", "skips the lease", "jumps", "born in the middle", "never born", "empty"],
)
def test_a_story_is_checked_from_birth_on(path: list[tuple[str, str]], legal: bool) -> None:
    assert states.is_legal_path(path) is legal
