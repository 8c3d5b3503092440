"""Which two policies can fight over a target."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import conflicts, globs, language
from policies.engine.conflicts import Deed, Pull, Side

PAIRS = [frozenset({"scale-up", "scale-down"})]
TEXTS = ["".join(letters) for length in range(1, 7) for letters in itertools.product("ab", repeat=length)]


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ("web-01", "web-01", True),
        ("web-01", "web-02", False),
        ("web-*", "web-01", True),
        ("web-*", "db-*", False),
        ("web-*", "*-01", True),
        ("*-01", "*-02", False),
        ("web-?", "web-*", True),
        ("web-?", "web-??", False),
        ("a*c", "ab*", True),
        ("a*b*c", "*b", False),
        ("*a*b*", "*b*a*", True),
        ("web-*", "web-", True),
    ],
)
def test_whether_some_text_fits_both_patterns(one: str, other: str, meets: bool) -> None:
    assert globs.meet(one, other) is meets
    assert globs.meet(other, one) is meets


@given(st.text("ab*?", min_size=1, max_size=4), st.text("ab*?", min_size=1, max_size=4))
def test_patterns_meet_just_where_a_text_fits_both(one: str, other: str) -> None:
    both = any(globs.matches(one, text) and globs.matches(other, text) for text in ["", *TEXTS])
    assert globs.meet(one, other) is both


def side(name: str, *, target: str = "web-*", condition: str = "cpu > 90", **deeds: dict[str, object]) -> Side:
    return Side(
        name=name,
        target=target,
        condition=language.parse(condition),
        deeds=[Deed(action=action.replace("_", "-"), params=params) for action, params in deeds.items()],
    )


UP = side("up", scale_up={"replicas": 4})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        pytest.param(side("down", scale_down={}), "orders scale-down, which undoes scale-up", id="undone"),
        pytest.param(side("more", scale_up={"replicas": 2}), "with other parameters", id="other parameters"),
        pytest.param(side("same", scale_up={"replicas": 4}), "", id="the same remedy twice"),
        pytest.param(side("else", restart={}), "", id="nothing to do with it"),
        pytest.param(side("far", target="db-*", scale_down={}), "", id="other targets"),
        pytest.param(side("all", target="all", scale_down={}), "undoes", id="every target"),
        pytest.param(side("low", condition="cpu < 10", restart={}), "acts when cpu is too low", id="opposite ways"),
        pytest.param(side("low", condition="mem < 10", restart={}), "", id="another metric"),
        pytest.param(side("page", condition="cpu < 10"), "", id="nothing that acts"),
        pytest.param(side("late", restart={}, scale_down={"replicas": 1}), "which undoes scale-up", id="a later step"),
    ],
)
def test_what_two_policies_can_fight_about(other: Side, said: str) -> None:
    found = conflicts.between(UP, other, pairs=PAIRS)
    assert said in found if said else found == ""
    assert bool(conflicts.between(other, UP, pairs=PAIRS)) is bool(said)


@pytest.mark.parametrize(
    ("sentence", "pulls"),
    [
        ("cpu > 90", {"cpu": {Pull.DOWN}}),
        ("cpu < 10", {"cpu": {Pull.UP}}),
        ("not cpu < 10", {"cpu": {Pull.DOWN}}),
        ("not (cpu < 10 and mem > 5)", {"cpu": {Pull.DOWN}, "mem": {Pull.UP}}),
        ("cpu > 90 or cpu < 10", {"cpu": {Pull.DOWN, Pull.UP}}),
        ("no cpu for 2m", {}),
    ],
)
def test_which_way_a_condition_wants_its_metric(sentence: str, pulls: dict[str, set[Pull]]) -> None:
    assert conflicts.pulls(language.parse(sentence)) == pulls
