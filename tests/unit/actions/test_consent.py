"""Whose word an action waits for, and whose counts."""

import pytest

from actions.consent import Asks, Need, Voice, missing, need, objection, own_work

NOBODY, OPERATOR, APPROVER = Asks.NOBODY, Asks.OPERATOR, Asks.APPROVER


@pytest.mark.parametrize(
    ("risk", "by_hand", "protected_by", "asks", "who", "people"),
    [
        ("low", False, "", NOBODY, NOBODY, 0),
        ("low", True, "", NOBODY, NOBODY, 0),
        ("low", False, "", OPERATOR, OPERATOR, 1),
        ("low", False, "", APPROVER, APPROVER, 1),
        ("low", True, "db-*", NOBODY, APPROVER, 1),
        ("low", False, "db-*", OPERATOR, APPROVER, 1),
        ("high", False, "", NOBODY, APPROVER, 1),
        ("high", False, "", OPERATOR, APPROVER, 1),
        ("high", True, "", NOBODY, NOBODY, 0),
        ("high", True, "", APPROVER, APPROVER, 1),
        ("critical", False, "", NOBODY, APPROVER, 2),
        ("critical", True, "", NOBODY, APPROVER, 2),
        ("critical", True, "db-*", OPERATOR, APPROVER, 2),
    ],
)
def test_the_strongest_of_all_that_is_asked_counts(
    risk: str, by_hand: bool, protected_by: str, asks: Asks, who: Asks, people: int
) -> None:
    wanted = _need(risk=risk, by_hand=by_hand, protected_by=protected_by, asks=asks)
    assert (wanted.asks, wanted.people, wanted.waits) == (who, people, people > 0)
    assert bool(wanted.because) == wanted.waits


def test_every_reason_is_said() -> None:
    wanted = _need(risk="critical", by_hand=False, protected_by="db-*", asks=OPERATOR)
    assert wanted.because == (
        "drain-pod has the risk critical: two different people approve it",
        "db-1 is protected (db-*): everything there needs an approver",
        "policy x only suggests",
    )


@pytest.mark.parametrize(
    ("voice", "asks", "counts"),
    [
        (Voice(actor="a"), OPERATOR, False),
        (Voice(actor="a", operates=True), OPERATOR, True),
        (Voice(actor="a", operates=True), APPROVER, False),
        (Voice(actor="a", approves=True), OPERATOR, True),
        (Voice(actor="a", approves=True), APPROVER, True),
    ],
)
def test_a_click_is_an_operators_and_an_approval_an_approvers(voice: Voice, asks: Asks, counts: bool) -> None:
    said = objection(voice=voice, asks=asks, own={}, approving=True)
    assert (said == "") is counts
    assert voice.counts_for(asks) is counts


_WROTE = {"user:eve": "saved policy high-cpu last (version 3)"}


@pytest.mark.parametrize(
    ("by", "asks", "by_hand", "counts"),
    [
        ("user:ana", APPROVER, True, False),
        ("user:ana", APPROVER, False, True),  # a policy ordered it; her name is on it for another reason
        ("user:ana", OPERATOR, True, False),
        ("user:ana", OPERATOR, False, True),
        ("user:eve", APPROVER, True, False),
        ("user:eve", APPROVER, False, False),
        ("user:eve", OPERATOR, True, True),
        ("user:eve", OPERATOR, False, True),
        ("user:bo", APPROVER, True, True),
        ("user:bo", APPROVER, False, True),
        ("user:bo", OPERATOR, True, True),
        ("user:bo", OPERATOR, False, True),
    ],
)
def test_neither_who_ordered_nor_who_wrote_the_policy_is_a_second_pair_of_eyes(
    by: str, asks: Asks, by_hand: bool, counts: bool
) -> None:
    own = own_work(asks=asks, ordered_by="user:ana", by_hand=by_hand, editors=_WROTE)
    voice = Voice(actor=by, operates=True, approves=True)
    assert (objection(voice=voice, asks=asks, own=own, approving=True) == "") is counts
    assert objection(voice=voice, asks=asks, own=own, approving=False) == ""  # anybody may turn the own one down


def test_the_refusal_says_why_and_who_may() -> None:
    own = own_work(asks=APPROVER, ordered_by="vigil", by_hand=False, editors=_WROTE)
    assert objection(voice=Voice(actor="user:eve", approves=True), asks=APPROVER, own=own, approving=True) == (
        "user:eve saved policy high-cpu last (version 3), and a second pair of eyes is wanted: somebody else with the "
        "scope actions:approve approves it."
    )


def test_one_person_is_one_however_often_they_say_it() -> None:
    assert missing(2, ["user:ana", "user:ana"]) == 1
    assert missing(2, ["user:ana", "user:bo"]) == 0
    assert missing(1, ["user:ana", "user:bo"]) == 0


def _need(*, risk: str, by_hand: bool, protected_by: str, asks: Asks) -> Need:
    return need(
        kind="drain-pod",
        risk=risk,
        target="db-1",
        by_hand=by_hand,
        protected_by=protected_by,
        asks=asks,
        asked_by="policy x only suggests",
    )
