"""Flapping from readings and sweeps to decisions: what is remembered, what is held, what is said and how often."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from actions.models import Action
from metrics.models import Sample, Series
from policies import authoring, flaps, incidents, remedies, story, sweep, vitals
from policies.engine import flapping
from policies.models import Decision, FlapHistory, Incident
from tests.integration.policies import cast
from vigil.access import keys
from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
EVERY = 15 * SECOND
BEGAN, ENDED = "incident.flapping_began", "incident.flapping_ended"


@pytest.fixture
def start(at: datetime) -> datetime:
    """The beginning of a sweep's slot."""
    return at - timedelta(seconds=at.timestamp() % EVERY.total_seconds())


def _up_and_down(start: datetime, *, times: int = 5) -> datetime:
    """Bad and well in turns, every second; returns the time of the last reading, a bad one."""
    for place in range(2 * times - 1):
        cast.post(40 if place % 2 else 92, at=start + place * SECOND)
    return start + (2 * times - 2) * SECOND


def _told() -> list[str]:
    return list(Entry.objects.filter(kind__in=[BEGAN, ENDED]).order_by("id").values_list("kind", flat=True))


def _guards() -> list[tuple[str, str]]:
    return list(Decision.objects.order_by("id").values_list("answer", "guard"))


def test_the_fifth_opening_in_a_row_is_held_and_said_once(start: datetime) -> None:
    cast.policy(cooldown="1s")
    _up_and_down(start)
    decision = Decision.objects.latest("id")
    assert (decision.answer, decision.guard) == ("hold", "flapping")
    assert decision.numbers == {
        "change_percent": 51.5,
        "high_percent": 50,
        "low_percent": 25,
        "results": "0101010101",
    }
    assert _told() == [BEGAN]
    assert Entry.objects.get(kind=BEGAN).subject == cast.incident().subject
    assert entries.broken_links(cast.incident().subject) == []


def test_four_openings_are_none(start: datetime) -> None:
    cast.policy(cooldown="1s")
    _up_and_down(start, times=4)
    assert "flapping" not in {guard for _, guard in _guards()}
    assert _told() == []


def test_while_it_flaps_each_incident_is_recorded_and_nothing_ordered(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    Action.objects.all().delete()
    for place in range(1, 7):
        cast.post(40 if place % 2 else 92, at=last + place * SECOND)
    assert Incident.objects.count() == 8
    assert not Action.objects.exists()
    assert _told() == [BEGAN]
    assert _guards()[-4:] == [("hold", "flapping")] * 4


def test_the_same_hold_is_written_once(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    before = Decision.objects.count()
    for place in range(1, 4):
        cast.post(92, at=last + place * EVERY)
        sweep.run(at=last + place * EVERY + SECOND)
    assert Decision.objects.count() == before


@pytest.mark.parametrize("screened", [True, False], ids=["screened", "by samples"])
@pytest.mark.parametrize("ends_open", [True, False], ids=["open", "well"])
def test_sweeps_count_the_results_until_it_is_calm(start: datetime, screened: bool, ends_open: bool) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    newest = cast.incident()
    if not ends_open:
        cast.post(40, at=last + SECOND)
    percents = []
    for place in range(1, 22):
        sweep.run(at=last + place * EVERY, screened=screened)
        percents.append(sum(flapping.percent(one.results) for one in flaps.of().values()))
    assert percents == sorted(percents, reverse=True)
    assert _told() == [BEGAN, ENDED]
    assert Entry.objects.get(kind=ENDED).subject == newest.subject
    assert not FlapHistory.objects.exists(), "without a change among the last 21 nothing is kept"


def test_when_it_is_over_a_remedy_is_ordered_again(start: datetime, settings: LazySettings) -> None:
    settings.VIGIL_REPORT_SECONDS = 300
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    Action.objects.all().delete()
    for place in range(1, 22):
        sweep.run(at=last + place * EVERY)
    assert _guards()[5:] == [("order", ""), ("nothing", "in_progress")]
    assert Action.objects.count() == 1
    ended = Entry.objects.get(kind=ENDED)
    assert ended.at == Decision.objects.get(answer="order", incident=cast.incident()).at


def test_a_shard_leaves_what_is_remembered_to_the_sweep(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    cast.post(40, at=last + SECOND)
    cast.post(40, at=last + SECOND, host="web-02")
    with override_settings(VIGIL_SWEEP_SHARD_TARGETS=1):
        report = sweep.run(at=last + EVERY, hand_out=lambda ids: None)
    assert report.shards == 2
    assert FlapHistory.objects.get().results == "01010101010" + "0"


def test_a_healthy_reading_asks_for_no_history(start: datetime) -> None:
    cast.policy(condition="avg(cpu_usage, 1m) > 90")
    cast.post(40, at=start)
    with CaptureQueriesContext(connection) as seen:
        cast.post(41, at=start + SECOND)
    assert not [query["sql"] for query in seen if "flaphistory" in query["sql"]]
    sweep.run(at=start + EVERY)
    assert not FlapHistory.objects.exists()


def test_a_sweep_over_many_that_just_healed_asks_no_more_than_over_few(start: datetime) -> None:
    cast.policy(common_cause={"percent": 100}, auto_remediate=False)

    def spent(hosts: int, at: datetime) -> int:
        for number in range(hosts):
            cast.post(92, at=at, host=f"web-{number}")
            cast.post(40, at=at + SECOND, host=f"web-{number}")
        sweep.run(at=at + EVERY)
        with CaptureQueriesContext(connection) as seen:
            sweep.run(at=at + 2 * EVERY)
        assert FlapHistory.objects.filter(results__endswith="01000").count() == hosts
        return len(seen)

    few = spent(2, start)
    assert spent(30, start + timedelta(hours=1)) <= few


def test_many_readings_between_two_sweeps_are_one_result(start: datetime) -> None:
    cast.policy()
    for place in range(10):
        cast.post(92, at=start + place * SECOND)
    assert FlapHistory.objects.get().results == "01"


def test_silence_is_no_result_and_is_forgotten_at_last(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    for minute in range(6, 22, 5):
        sweep.run(at=last + timedelta(minutes=minute))
    assert len(FlapHistory.objects.get().results) == 10
    sweep.run(at=last + timedelta(minutes=22))
    assert not FlapHistory.objects.exists()
    assert _told() == [BEGAN, ENDED]
    assert "too old to count" in Entry.objects.get(kind=ENDED).reason


def test_a_target_that_is_gone_is_forgotten_too(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    cast.post(40, at=last + SECOND)
    Sample.objects.all().delete()
    Series.objects.all().delete()
    sweep.run(at=last + timedelta(minutes=22))
    assert not FlapHistory.objects.exists()
    assert _told() == [BEGAN, ENDED]


def test_a_target_the_edited_policy_no_longer_covers_is_forgotten_too(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    cast.post(40, at=last + SECOND)
    authoring.update(name="high-cpu-alert", change={"target": "db-*"}, actor="user:ana", at=last)
    sweep.run(at=last + EVERY)
    assert len(FlapHistory.objects.get().results) == 11
    sweep.run(at=last + timedelta(minutes=22))
    assert not FlapHistory.objects.exists()


@pytest.mark.parametrize("end", [authoring.disable, authoring.delete])
def test_a_withdrawn_policy_leaves_nothing(start: datetime, end: object) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    end(name="high-cpu-alert", actor="user:ana", at=last)  # type: ignore[operator]
    assert not FlapHistory.objects.exists()
    assert _told() == [BEGAN, ENDED]


def test_it_outlives_the_process(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    cast.post(40, at=last + SECOND)
    cast.forget()
    cast.post(92, at=last + 2 * SECOND)
    assert _guards()[-1] == ("hold", "flapping")


def test_a_person_who_closes_it_does_not_end_the_flapping(start: datetime) -> None:
    cast.policy(cooldown="1s")
    last = _up_and_down(start)
    incidents.resolve(incident_id=cast.incident().pk, actor="user:ana", note="", at=last)
    cast.post(92, at=last + SECOND)
    assert _guards()[-1] == ("hold", "flapping")
    assert FlapHistory.objects.get().incident == cast.incident()


def test_an_action_that_waited_is_not_begun_while_it_flaps(start: datetime) -> None:
    cast.policy(cooldown="1s")
    cast.post(92, at=start)
    action = Action.objects.get()
    last = _up_and_down(start + SECOND)
    answer = remedies.still_wanted(
        action_id=action.pk,
        incident_id=cast.incident().pk,
        policy_name="high-cpu-alert",
        target="web-01",
        kind="scale-up",
        at=last,
    )
    assert not answer.wanted
    assert answer.reason.startswith("It flaps since")


def test_a_policy_may_say_that_it_never_flaps(start: datetime) -> None:
    cast.policy(cooldown="1s", flapping={"high": 101, "low": 25})
    _up_and_down(start, times=12)
    assert _told() == []


def test_a_policy_may_say_its_own_limits(start: datetime) -> None:
    cast.policy(cooldown="1s", flapping={"high": 15, "low": 5})
    _up_and_down(start, times=2)
    assert _told() == [BEGAN]


@override_settings(VIGIL_FLAP_HIGH_PERCENT=15, VIGIL_FLAP_LOW_PERCENT=5)
def test_the_installation_has_its_own_limits(start: datetime) -> None:
    cast.policy(cooldown="1s")
    _up_and_down(start, times=2)
    assert _told() == [BEGAN]


def test_a_policy_that_observes_says_so_too(start: datetime) -> None:
    cast.policy(auto_remediate=False)
    _up_and_down(start)
    assert _guards() == [("nothing", "mode")] * 4 + [("hold", "flapping")]


def test_the_story_the_gauge_and_the_counter_tell(start: datetime) -> None:
    cast.policy(cooldown="1s")
    began = telemetry.flaps_total.labels(change="began")
    before = began._value.get()
    _up_and_down(start)
    told = story.lines(story.of(cast.incident().pk))
    assert any("flapping began (by vigil): 52 % change in its last 21 results" in line for line in told)
    assert "It flaps since" in told[-1]
    assert began._value.get() == before + 1
    assert _flapping_now() == 1
    first = Incident.objects.order_by("id").first()
    assert first is not None
    assert flaps.marks([first.pk]) == {}, "only the newest of a target's incidents is marked"


def _shown(path: str) -> dict[str, Any]:
    _, plain = keys.create(name="reader", scopes=("read", "actions:write"), actor="user:ana")
    keys.forget_cache()
    answer: dict[str, Any] = Client(headers={"Authorization": f"Bearer {plain}"}).get(f"/api/v1/{path}").json()
    return answer


def test_the_api_marks_the_newest_incident_alone(start: datetime) -> None:
    cast.policy(cooldown="1s")
    _up_and_down(start)
    newest, *others = _shown("incidents")["incidents"]
    began = (start + 8 * SECOND).isoformat().replace("+00:00", "Z")
    assert newest["flapping"]["since"] == began
    assert newest["flapping"]["change_percent"] == 51.5
    assert newest["flapping"]["reason"].startswith("It flaps since")
    assert [one["flapping"] for one in others] == [None] * 4


def test_the_whole_incident_is_marked_too(start: datetime) -> None:
    cast.policy(cooldown="1s")
    _up_and_down(start)
    whole = _shown(f"incidents/{cast.incident().pk}")
    assert whole["flapping"]["change_percent"] == 51.5
    assert [moment["kind"] for moment in whole["timeline"]] == ["incident.opened", "incident.flapping_began"]
    assert whole["decisions"][-1]["numbers"]["results"] == "0101010101"


def _flapping_now() -> float:
    [family] = (one for one in vitals.gauges() if one.name == "vigil_incidents_flapping")
    [sample] = family.samples
    return sample.value
