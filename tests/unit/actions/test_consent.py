"""Whose word an action waits for, and whose counts."""

import pytest

from actions.consent import Asks, Need, Voice, missing, need, objection

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
    said = objection(voice=voice, asks=asks, ordered_by="policy:x", by_hand=False, second_pair=True, approving=True)
    assert (said == "") is counts
    assert voice.counts_for(asks) is counts


@pytest.mark.parametrize(
    ("by", "by_hand", "second_pair", "approving", "counts"),
    [
        ("user:ana", True, True, True, False),
        ("user:ana", True, False, True, True),
        ("user:ana", True, True, False, True),
        ("user:bo", True, True, True, True),
        ("user:ana", False, True, True, True),
    ],
)
def test_nobody_approves_the_own_order_where_a_second_pair_of_eyes_is_wanted(
    by: str, by_hand: bool, second_pair: bool, approving: bool, counts: bool
) -> None:
    said = objection(
        voice=Voice(actor=by, approves=True),
        asks=APPROVER,
        ordered_by="user:ana",
        by_hand=by_hand,
        second_pair=second_pair,
        approving=approving,
    )
    assert (said == "") is counts


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
