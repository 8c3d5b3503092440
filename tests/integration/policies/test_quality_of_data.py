"""Nothing is done on readings that are old or too few, nor because of silence while many are silent; else it is."""

from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings

from actions import queries
from actions.guards import GateAnswer
from policies import explaining, remedies, sweep
from policies.models import Decision
from tests.integration.policies import cast

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SWEEP = MINUTE
SILENCE: dict[str, object] = {
    "name": "agent-silent",
    "condition": "no heartbeat for 2m",
    "action": "restart",
    "params": {},
}


@pytest.fixture(autouse=True)
def _rare_sweeps(settings: LazySettings) -> None:
    """So that minutes pass in a few."""
    settings.VIGIL_SWEEP_INTERVAL_SECONDS = int(SWEEP.total_seconds())


def _decisions(target: str = "web-01") -> list[tuple[str, str]]:
    of_target = Decision.objects.filter(incident__target=target)
    return list(of_target.order_by("id").values_list("answer", "guard"))


def _newest() -> Decision:
    return Decision.objects.latest("id")


def _sweeps(since: datetime, until: datetime) -> datetime:
    """The sweep as it comes all the time; when it came last."""
    while since < until:
        since += SWEEP
        sweep.run(at=since)
    return since


def _heartbeats(at: datetime, *hosts: str) -> None:
    for host in hosts:
        cast.post(1, at=at, name="heartbeat", host=host)


def _still_wanted(at: datetime) -> GateAnswer:
    """What the gate says of the newest action, right before it is sent."""
    action = queries.for_incident(cast.incident().pk)[-1]
    return remedies.still_wanted(
        action_id=action.id,
        incident_id=action.incident_id,
        policy_name=action.policy_name,
        target=action.target,
        kind=action.kind,
        at=at,
    )


def _died_in_trouble(at: datetime) -> datetime:
    """One bad reading, and no other until the trouble had lasted long enough; when that was found."""
    cast.policy(condition="cpu_usage > 90 for 2m")
    cast.post(92, at=at - SECOND)
    return _sweeps(at, at + 2 * MINUTE)


def test_on_the_last_word_of_an_agent_that_died_nothing_is_done(at: datetime) -> None:
    _died_in_trouble(at)
    held = _newest()
    assert (cast.incident().status, held.answer, held.guard) == ("open", "hold", "stale_data")
    assert held.numbers == {"age_seconds": 121.0, "allowed_seconds": 120}
    assert "nothing is done on readings older than 120 s" in held.reason
    assert queries.for_incident(cast.incident().pk) == []


def test_stale_data_is_one_decision_until_the_agent_is_back_and_then_it_acts(at: datetime) -> None:
    end = _sweeps(_died_in_trouble(at), at + 4 * MINUTE)
    assert _decisions() == [("hold", "stale_data")]
    cast.post(94, at=end + SECOND)
    assert _decisions() == [("hold", "stale_data"), ("order", "")]


def test_an_agent_that_is_back_and_well_is_left_alone(at: datetime) -> None:
    end = _died_in_trouble(at)
    cast.post(40, at=end + SECOND)
    assert cast.incident().status == "resolved"
    assert _decisions() == [("hold", "stale_data")]


def test_a_window_with_one_reading_is_too_thin_and_with_two_it_is_not(at: datetime) -> None:
    cast.policy(condition="avg(cpu_usage, 1m) > 90")
    cast.post(99, at=at)
    held = _newest()
    assert (cast.incident().status, held.answer, held.guard) == ("open", "hold", "sparse_data")
    assert held.numbers == {"samples": 1, "least": 2}
    cast.post(98, at=at + SECOND)
    assert _decisions() == [("hold", "sparse_data"), ("order", "")]


def test_the_thinnest_of_all_windows_counts(at: datetime) -> None:
    cast.policy(condition="avg(cpu_usage, 1m) > 90 and max(load, 1m) > 5")
    cast.post(99, at=at)
    cast.post(98, at=at + SECOND)
    cast.post(7, at=at + SECOND, name="load")
    assert _decisions() == [("hold", "sparse_data")]
    cast.post(7, at=at + 2 * SECOND, name="load")
    assert _decisions() == [("hold", "sparse_data"), ("order", "")]


HOSTS = [f"web-{number:02}" for number in range(1, 6)]


def _fall_silent(*hosts: str, at: datetime) -> datetime:
    """All five are heard of, and then those others only; when the silence had lasted for two minutes."""
    cast.policy(**SILENCE)
    _heartbeats(at, *HOSTS)
    for minute in range(2):
        _heartbeats(at + minute * MINUTE + SECOND, *(host for host in HOSTS if host not in hosts))
        sweep.run(at=at + (minute + 1) * MINUTE)
    return at + 2 * MINUTE


def test_one_silent_target_of_five_is_acted_on(at: datetime) -> None:
    _fall_silent("web-01", at=at)
    assert _decisions() == [("order", "")]


def test_while_many_are_silent_nothing_is_done_because_of_silence(at: datetime) -> None:
    _fall_silent("web-01", "web-02", at=at)
    assert [_decisions("web-01"), _decisions("web-02")] == [[("hold", "blind")]] * 2
    held = _newest()
    assert held.numbers == {"silent": 2, "known": 5, "percent": 30}
    assert "2 of 5 known targets are silent, so it may be Vigil that hears nothing" in held.reason


def test_when_enough_are_heard_again_it_acts_on_who_is_still_silent(at: datetime) -> None:
    until = _fall_silent("web-01", "web-02", at=at)
    _heartbeats(until + SECOND, *HOSTS[1:])
    sweep.run(at=until + MINUTE)
    assert _decisions("web-01") == [("hold", "blind"), ("order", "")]
    assert _decisions("web-02") == [("hold", "blind")]


def test_what_was_measured_is_acted_on_however_many_are_silent(at: datetime) -> None:
    until = _fall_silent("web-01", "web-02", at=at)
    cast.policy()
    cast.post(95, at=until + SECOND, host="web-03")
    assert _decisions("web-03") == [("order", "")]


def test_what_was_ordered_is_not_sent_on_data_that_got_old_meanwhile(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    assert _still_wanted(at + 119 * SECOND).wanted
    late = _still_wanted(at + 121 * SECOND)
    assert not late.wanted
    assert "nothing is done on readings older than 120 s" in late.reason


def test_what_was_ordered_for_silence_is_not_sent_once_many_are_silent(at: datetime) -> None:
    until = _fall_silent("web-01", at=at)
    assert _still_wanted(until).wanted
    later = until + 2 * MINUTE
    _heartbeats(later, *HOSTS[2:])
    blind = _still_wanted(later)
    assert not blind.wanted
    assert "2 of 5 known targets are silent" in blind.reason


def test_explain_names_the_gate_with_its_numbers(at: datetime) -> None:
    cast.policy(condition="avg(cpu_usage, 5m) > 90")
    cast.post(99, at=at)
    later = at + 130 * SECOND
    found = explaining.of_pair(policy_name="high-cpu-alert", target="web-01", now=later)
    held = {gate.name: dict(gate.numbers) for gate in found.gates if not gate.passed}
    del held["grace"]  # nobody judged it in those two minutes
    assert held == {
        "stale_data": {"age_seconds": 130.0, "allowed_seconds": 120},
        "sparse_data": {"samples": 1, "least": 2},
    }
