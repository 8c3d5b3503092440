"""The modes are a ladder: what is demoted goes one rung down."""

import pytest

from policies.engine import modes


@pytest.mark.parametrize(
    ("mode", "below"), [("auto", "approve"), ("approve", "suggest"), ("suggest", "observe"), ("observe", "observe")]
)
def test_below_each_mode_is_the_next_smaller_one(mode: str, below: str) -> None:
    assert modes.below(mode) == below


def test_a_larger_mode_may_do_more() -> None:
    assert sorted({*modes.ORDER}, key=modes.rank) == ["observe", "suggest", "approve", "auto"]


@pytest.mark.parametrize(
    ("mode", "orders", "asks"),
    [("observe", False, False), ("suggest", True, True), ("approve", True, True), ("auto", True, False)],
)
def test_only_what_observes_orders_nothing_and_only_auto_asks_nobody(mode: str, orders: bool, asks: bool) -> None:
    assert (modes.orders(mode), modes.asks(mode)) == (orders, asks)


def test_another_word_is_no_mode() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        modes.rank("sometimes")
