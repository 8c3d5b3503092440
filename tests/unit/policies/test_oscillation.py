"""Two remedies that take turns on one target."""

import itertools
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import oscillation
from policies.engine.oscillation import Effect, Limits
from tests.unit.policies.builders import NOW, ago

FOUR = Limits(effects=4, within=timedelta(minutes=30))
PAIRS = [frozenset({"scale-up", "scale-down"})]
KINDS = {"u": "scale-up", "d": "scale-down", "r": "restart"}


def effects(turns: str, *, every: float = 60) -> list[Effect]:
    """Oldest first: `Au Bd` is a scale-up by A, then a scale-down by B."""
    words = turns.split()
    return [
        Effect(action_id=number, policy=word[0], kind=KINDS[word[1]], at=ago(every * (len(words) - number)))
        for number, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("turns", "frozen"),
    [
        ("", None),
        ("Au Bd Au", None),
        ("Au Bd Au Bd", ("A", "B")),
        ("Ar Br Ar Br", ("A", "B")),
        ("Au Au Bd Au", None),
        ("Au Bd Bd Au", None),
        ("Au Bd Cu Bd", ("A", "B", "C")),
        ("Ar Br Cr Br", None),
        ("Au Ad Au Ad", ("A",)),
        ("Au Au Au Au", None),
        ("Ar Au Bd Au Bd", ("A", "B")),
        ("Au Bd Au Bd Bd", None),
    ],
)
def test_who_takes_turns(turns: str, frozen: tuple[str, ...] | None) -> None:
    found = oscillation.find(effects(turns), FOUR, pairs=PAIRS, at=NOW)
    assert (None if found is None else found.policies) == frozen


def test_turns_that_took_longer_are_none() -> None:
    assert oscillation.find(effects("Au Bd Au Bd", every=600), FOUR, pairs=PAIRS, at=NOW) is None


@pytest.mark.parametrize("few", [0, 1, 2])
def test_less_than_three_effects_are_no_turns(few: int) -> None:
    assert oscillation.find(effects("Au Bd"), Limits(effects=few, within=FOUR.within), pairs=PAIRS, at=NOW) is None


def test_it_says_who_did_what() -> None:
    found = oscillation.find(effects("Au Bd Au Bd"), FOUR, pairs=PAIRS, at=NOW)
    assert found is not None
    assert found.reason == (
        "4 effects took turns within 180 s: scale-up by A, scale-down by B, scale-up by A, scale-down by B"
    )


@given(st.lists(st.sampled_from("AB"), max_size=12), st.integers(3, 6), st.randoms())
def test_it_is_found_just_when_each_of_the_newest_differs_from_the_next(
    names: list[str], many: int, chance: random.Random
) -> None:
    shuffled = effects(" ".join(f"{name}r" for name in names))
    chance.shuffle(shuffled)
    found = oscillation.find(shuffled, Limits(effects=many, within=timedelta(days=1)), pairs=(), at=NOW)
    newest = names[-many:]
    turns = len(newest) == many and all(one != other for one, other in itertools.pairwise(newest))
    assert (found is not None) is turns
