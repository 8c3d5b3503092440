"""A remediator that hangs, fails, talks garbage or hangs up: never lost, never doubled, never called a success."""

from collections.abc import Callable

import pytest

from tests.faults.conftest import Field
from tests.servers import ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.one_database, pytest.mark.long]

MODES = ("error", "garbage", "hang", "reset")


def _mode(target: str, nth: int) -> str:
    return target.split("-")[0] if nth == 1 else "good"


def test_at_most_once_is_asked_about_and_never_sent_again(field: Callable[..., Field]) -> None:
    scene = field(mode_of=lambda target, nth: target.split("-")[0])
    ids = {mode: scene.order(f"{mode}-01", kind="restart") for mode in MODES}

    found = scene.wait_settled(list(ids.values()), seconds=120)

    assert ledger.doubled(scene.ledger.effects) == []
    for mode, action_id in ids.items():
        row = found[action_id]
        assert row["status"] == "completed", (mode, row)
        assert scene.ledger.asked[row["uid"]] >= 1, f"{mode}: called a success without asking"
    assert scene.broken() == []


def test_harmless_to_repeat_is_tried_again_with_the_same_key(field: Callable[..., Field]) -> None:
    scene = field(mode_of=_mode)
    ids = {mode: scene.order(f"{mode}-01", kind="scale-up") for mode in MODES}

    found = scene.wait_settled(list(ids.values()), seconds=180)

    assert {row["status"] for row in found.values()} == {"completed"}
    keys = {effect.key for effect in scene.ledger.effects}
    assert keys == {row["uid"] for row in found.values()}
    assert ledger.overlapping(scene.ledger.effects) == []
    assert ledger.regressions(scene.ledger.effects) == []
