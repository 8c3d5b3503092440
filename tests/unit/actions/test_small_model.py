"""No order of events, however unlikely, breaks an invariant; and the search would see it if one did."""

import pytest

from actions.retry import Safety
from tests.unit.actions import small_model
from tests.unit.actions.small_model import Laws

WORLDS_MOST = 400_000
"""More than this would be a model too large to look at in every run."""


@pytest.mark.parametrize(
    ("safety", "strict", "gap"),
    [
        ("at_most_once", False, False),
        ("idempotent_key", True, False),
        ("natural", True, False),
        ("idempotent_key", True, True),
    ],
)
def test_every_interleaving_keeps_the_invariants(safety: Safety, strict: bool, gap: bool) -> None:
    found = small_model.explore(Laws(safety=safety, strict=strict, gap=gap))
    assert found.broken == "", "\n".join(found.path)
    assert 1_000 < found.worlds < WORLDS_MOST


@pytest.mark.parametrize(
    ("bug", "safety", "strict", "invariants"),
    [
        ("two actions hold a target", "at_most_once", False, {"I2"}),
        ("keys are not kept", "idempotent_key", True, {"I3", "I5"}),
        ("sent before it is intended", "at_most_once", False, {"I4"}),
        ("sent again when in doubt", "at_most_once", False, {"I3", "I5"}),
        ("a lost call goes back to its line", "at_most_once", False, {"I1", "I3", "I5"}),
        ("a failure ends all doubt", "idempotent_key", True, {"I3"}),
        ("nobody asks", "at_most_once", False, {"I7"}),
    ],
)
def test_each_planted_mistake_is_found(bug: str, safety: Safety, strict: bool, invariants: set[str]) -> None:
    found = small_model.explore(Laws(safety=safety, strict=strict, bug=bug))
    assert found.broken.partition(":")[0] in invariants
    assert found.path


def test_a_missing_fence_is_found_where_a_request_may_be_late() -> None:
    found = small_model.explore(Laws(safety="idempotent_key", strict=True, gap=True, bug="no fence"))
    assert found.broken == "I3: an older fence was accepted"
