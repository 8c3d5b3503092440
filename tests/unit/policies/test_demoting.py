"""When a policy has lost the right to act as it does."""

import pytest

from policies.engine import demoting
from policies.engine.demoting import Judged, Limits

THREE_OF_FIVE = Limits(bad=3, of=5)
WORDS = {"e": "effective", "i": "ineffective", "r": "relapsed"}


def history(newest_first: str) -> list[Judged]:
    return [
        Judged(action_id=len(newest_first) - place, verification=WORDS[one]) for place, one in enumerate(newest_first)
    ]


@pytest.mark.parametrize(
    ("newest_first", "limits", "counted"),
    [
        ("", THREE_OF_FIVE, None),
        ("ii", THREE_OF_FIVE, None),
        ("iii", THREE_OF_FIVE, [3, 2, 1]),
        ("rir", THREE_OF_FIVE, [3, 2, 1]),
        ("ieiei", THREE_OF_FIVE, [5, 4, 3, 2, 1]),
        ("ieieeii", THREE_OF_FIVE, None),
        ("eeeeeiii", THREE_OF_FIVE, None),
        ("i", Limits(bad=1, of=1), [1]),
        ("ei", Limits(bad=1, of=1), None),
        ("iiiii", Limits(bad=0, of=5), None),
    ],
)
def test_so_many_bad_of_the_last_so_many(newest_first: str, limits: Limits, counted: list[int] | None) -> None:
    found = demoting.case(history(newest_first), limits)
    assert (None if found is None else [one.action_id for one in found.evidence]) == counted


def test_the_case_says_its_numbers() -> None:
    found = demoting.case(history("ieiri"), THREE_OF_FIVE)
    assert found is not None
    assert found.reason == "4 of its last 5 verified actions did not help, or only for a while"


@pytest.mark.parametrize(
    ("mode", "order", "less"),
    [
        ("auto", ["observe", "suggest", "approve", "auto"], "approve"),
        ("approve", ["observe", "suggest", "approve", "auto"], "suggest"),
        ("auto", ["observe", "auto"], "observe"),
        ("observe", ["observe", "auto"], "observe"),
    ],
)
def test_one_mode_less_at_a_time(mode: str, order: list[str], less: str) -> None:
    assert demoting.below(mode, order) == less
