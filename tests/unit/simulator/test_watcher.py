from datetime import UTC, datetime, timedelta

import pytest

from simulator import watcher
from simulator.client import Vigil
from simulator.watcher import Healing, Watcher
from tests.unit.simulator import fake_vigil

START = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)


def incident(number: int, *, target: str = "web-01", opened: float = 1, **changes: object) -> dict[str, object]:
    return {
        "id": number,
        "policy_name": "demo-high-cpu",
        "target": target,
        "severity": "warning",
        "status": "open",
        "status_reason": "cpu_usage 94 > 80",
        "opened_at": (START + timedelta(seconds=opened)).isoformat(),
        "resolved_at": None,
        "actions": [],
        "time_to_heal_seconds": None,
        **changes,
    }


def healed(number: int, seconds: float) -> dict[str, object]:
    end = (START + timedelta(seconds=1 + seconds)).isoformat()
    return incident(number, status="resolved", resolved_at=end, time_to_heal_seconds=seconds)


def make_watcher(server: fake_vigil.Server) -> Watcher:
    vigil = Vigil(url=server.url, key=fake_vigil.KEY)
    return Watcher(vigil=vigil, targets=frozenset({"web-01", "web-02"}), since=START)


def test_incidents_are_counted_and_their_healing_timed(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(3), healed(2, 4.0), healed(1, 7.0)]
    watching = make_watcher(vigil_server)
    watching.look()
    assert watching.healing() == Healing(incidents_opened=3, healed=2, mean_seconds_to_heal=5.5)


def test_nothing_seen_is_no_healing_time(vigil_server: fake_vigil.Server) -> None:
    watching = make_watcher(vigil_server)
    watching.look()
    assert watching.healing() == Healing()


@pytest.mark.parametrize(
    "other",
    [incident(1, target="mainframe"), incident(1, opened=-5), incident(1, opened_at=None), {"id": "x"}],
    ids=["of a stranger", "from before", "only pending", "unreadable"],
)
def test_other_peoples_incidents_do_not_count(vigil_server: fake_vigil.Server, other: dict[str, object]) -> None:
    vigil_server.memory.incidents = [other]
    watching = make_watcher(vigil_server)
    assert watching.look() == []


def test_what_was_closed_without_data_is_not_healed(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(1, status="unverified", resolved_at=START.isoformat())]
    watching = make_watcher(vigil_server)
    watching.look()
    assert watching.healing() == Healing(incidents_opened=1)


def test_a_look_tells_what_is_new_or_changed(vigil_server: fake_vigil.Server) -> None:
    watching = make_watcher(vigil_server)
    vigil_server.memory.incidents = [incident(1)]
    assert [one.id for one in watching.look()] == [1]
    assert watching.look() == []
    vigil_server.memory.incidents = [incident(2), healed(1, 3.0)]
    assert [one.id for one in watching.look()] == [1, 2]


def test_a_vigil_that_does_not_answer_leaves_what_is_known(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [healed(1, 3.0)]
    watching = make_watcher(vigil_server)
    watching.look()
    vigil_server.shutdown()
    vigil_server.server_close()
    assert watching.look() == []
    assert watching.healing().healed == 1


@pytest.mark.parametrize("value", [None, 3, "yesterday", "2026-01-19T12:00:00"])
def test_what_is_no_time_with_a_zone_is_none(value: object) -> None:
    assert watcher.moment(value) is None
