"""Whoever makes room tells those that a worker had to leave: at once, and each of them once."""

from functools import partial
from typing import Any

import pytest

from actions import claims, hints, line, reaper
from actions.claims import Intent, NotClaimed
from actions.models import Action
from actions.states import State
from tests.integration.actions import fakes, make
from tests.integration.actions.test_races import at_once, errors
from vigil.kernel import clock


@pytest.fixture
def told(committed_remote: fakes.Fake, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whom hints were given of since."""
    found: list[int] = []
    monkeypatch.setattr(hints, "give", found.extend)
    return found


def left_by_a_worker(*action_ids: int) -> None:
    for action_id in action_ids:
        answer = make.run(action_id)
        assert isinstance(answer, NotClaimed), answer
        assert answer.for_room, answer


def test_one_that_found_no_place_is_told_of_when_there_is_one(
    committed_remote: fakes.Fake, told: list[int], settings: Any
) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 1
    first, second, third = (make.by_hand(target=f"web-{number}").id for number in range(3))
    told.clear()
    committed_remote.meanwhile = lambda call: left_by_a_worker(second, third) if call.action_id == first else None
    make.run(first)
    assert told == [second]
    make.run(second)
    assert told == [second, third]
    make.run(third)
    assert told == [second, third]


def test_the_next_in_the_line_of_a_target_is_told_of(committed_remote: fakes.Fake, told: list[int]) -> None:
    first, second, third = (make.by_hand().id for _ in range(3))
    told.clear()
    committed_remote.meanwhile = lambda call: left_by_a_worker(second, third) if call.action_id == first else None
    make.run(first)
    assert told == [second]


def test_those_whose_hint_is_on_its_way_get_no_second_one(told: list[int]) -> None:
    waiting = [make.by_hand(target=f"web-{number}").id for number in range(4)]
    told.clear()
    for action_id in waiting:
        assert isinstance(make.run(action_id), Intent)
    assert told == []


def test_of_many_that_make_room_at_once_one_tells(told: list[int], settings: Any) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 1
    holder, waiting = make.by_hand(target="web-1").id, make.by_hand(target="web-2").id
    claimed = make.leased(holder)
    left_by_a_worker(waiting)
    assert claims.drop(claimed, goal=State.CANCELLED, reason="test")
    Action.objects.filter(pk=waiting).update(turned_away_at=clock.now())
    found = at_once(*[partial(line.next_turned_away, target=f"web-{number}") for number in (1, 1, 5, 6)])
    assert errors(found) == []
    assert [action_id for one in found if isinstance(one, list) for action_id in one] == [waiting]


def test_room_that_was_made_while_a_worker_turned_away_is_seen(
    told: list[int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 1
    holder, late = make.by_hand(target="web-1").id, make.by_hand(target="web-2").id
    claimed = make.leased(holder)
    turn_away = line.turn_away

    def just_too_late(action_id: int) -> bool:
        claims.drop(claimed, goal=State.CANCELLED, reason="test")
        return turn_away(action_id)

    monkeypatch.setattr(line, "turn_away", just_too_late)
    assert isinstance(make.run(late), Intent)


def test_who_is_told_of_again_by_the_dispatcher_is_no_longer_turned_away(
    told: list[int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 1
    make.leased(make.by_hand(target="web-1").id)
    waiting = make.by_hand(target="web-2").id
    left_by_a_worker(waiting)
    Action.objects.filter(pk=waiting).update(hinted_at=None)
    monkeypatch.setattr(hints, "publish", len)
    assert reaper.put_right(at=clock.now())["hinted"] == 1
    assert Action.objects.get(pk=waiting).turned_away_at is None
