"""Hints beyond the first: of room, at those that had to wait for it; and from who does not know a kind, to others."""

import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import redis

from actions import claims, hints, line, reaper, tasks
from actions.claims import Intent, NotClaimed
from actions.models import Action
from actions.states import State
from tests.integration.actions import fakes, make
from tests.integration.actions.test_races import at_once, errors
from tests.servers import valkey
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


@pytest.fixture
def queue(broker: valkey.Valkey, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """What workers read, with nothing in it; none of them has passed anything on."""
    monkeypatch.setattr(hints, "_allowance", hints._Allowance(hints.PASSED_ON_A_SECOND))
    opened = redis.Redis.from_url(settings.VIGIL_REDIS_URL)
    opened.delete(hints.QUEUE)
    yield opened
    opened.close()


def taken(queue: redis.Redis) -> dict[str, Any] | None:
    """The next hint, as the task gets it."""
    raw = queue.rpop(hints.QUEUE)
    if raw is None:
        return None
    assert isinstance(raw, bytes)
    [_, arguments, _] = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return dict(arguments)


def by_strangers(queue: redis.Redis) -> list[int]:
    """How often each hint had been passed on that workers got who do not know the kind, until none is left."""
    seen = []
    while (hint := taken(queue)) is not None:
        seen.append(hint.get("passed_on", 0))
        tasks.run_action(**hint)
    return seen


def test_a_hint_at_a_kind_that_this_worker_does_not_know_goes_to_another(
    remote: fakes.Fake, queue: redis.Redis, settings: Any
) -> None:
    action = make.by_hand()
    known, settings.VIGIL_REMEDIATORS = settings.VIGIL_REMEDIATORS, {}
    tasks.run_action(action_id=action.id)
    hint = taken(queue)
    assert hint == {"action_id": action.id, "passed_on": 1}
    settings.VIGIL_REMEDIATORS = known
    tasks.run_action(**hint)
    assert make.state(action.id) == "succeeded"
    assert taken(queue) is None


def test_what_nobody_knows_is_passed_on_eight_times_and_waits(
    remote: fakes.Fake, queue: redis.Redis, settings: Any
) -> None:
    action = make.by_hand()
    settings.VIGIL_REMEDIATORS = {}
    hints.publish([action.id])
    assert by_strangers(queue) == list(range(9))
    assert (make.state(action.id), remote.calls) == ("ready", [])


@pytest.mark.parametrize("passed_on", [-1, 8, 10**30, "1", None, [2]])
def test_a_forged_number_is_not_counted_on(
    remote: fakes.Fake, queue: redis.Redis, settings: Any, passed_on: Any
) -> None:
    action = make.by_hand()
    settings.VIGIL_REMEDIATORS = {}
    tasks.run_action(action_id=action.id, passed_on=passed_on)
    assert taken(queue) is None


@pytest.mark.parametrize("state", ["succeeded", "cancelled"])
def test_what_is_over_is_passed_on_to_nobody(remote: fakes.Fake, queue: redis.Redis, settings: Any, state: str) -> None:
    action = make.by_hand()
    Action.objects.filter(pk=action.id).update(state=state, finished_at=clock.now())
    settings.VIGIL_REMEDIATORS = {}
    tasks.run_action(action_id=action.id)
    assert taken(queue) is None


def test_a_process_passes_on_ten_hints_a_second() -> None:
    allowance = hints._Allowance(hints.PASSED_ON_A_SECOND)
    assert sum(allowance.take(at=100.0) for _ in range(50)) == 10
    assert [allowance.take(at=at) for at in (100.05, 100.11, 100.12)] == [False, True, False]
    assert sum(allowance.take(at=200.0) for _ in range(50)) == 10
