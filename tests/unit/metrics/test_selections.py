"""Selections of targets, put together: never less than was asked for, never more beginnings than a database likes."""

from hypothesis import given
from hypothesis import strategies as st

from metrics import selections
from metrics.selections import EVERYTHING, MOST_BEGINNINGS, Selection

TEXTS = st.frozensets(st.text("ab-é", max_size=5), max_size=6)
SELECTIONS = st.lists(st.builds(Selection, names=TEXTS, beginnings=TEXTS), max_size=4)


@given(SELECTIONS, st.text("ab-é", max_size=7))
def test_together_they_hold_what_any_of_them_holds(many: list[Selection], target: str) -> None:
    assert selections.together(many).holds(target) == any(one.holds(target) for one in many)


@given(st.frozensets(st.text("abcdef", min_size=1, max_size=6), min_size=MOST_BEGINNINGS, max_size=60))
def test_too_many_beginnings_become_fewer_and_shorter(beginnings: frozenset[str]) -> None:
    found = selections.together([Selection(beginnings=beginnings)])
    assert 1 <= len(found.beginnings) <= MOST_BEGINNINGS
    assert all(found.holds(beginning) for beginning in beginnings)


def test_names_and_beginnings_within_others_are_left_out() -> None:
    web = Selection(names=frozenset({"web-1", "db-1"}), beginnings=frozenset({"web-", "web-eu-"}))
    assert selections.together([web]) == Selection(names=frozenset({"db-1"}), beginnings=frozenset({"web-"}))
    assert selections.together([web, EVERYTHING]) == EVERYTHING


def test_of_nothing_nothing_is_selected() -> None:
    assert not selections.together([]).holds("web-1")
