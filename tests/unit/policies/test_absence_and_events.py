"""Silence, and things that happened."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from policies.engine import conditions, language
from policies.engine.values import Outcome
from tests.unit.policies.builders import event, judge, outcome, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN


@pytest.mark.parametrize(("age", "expected"), [(0, H), (119, H), (120, V), (86_400, V)])
def test_silence_is_measured_from_the_last_sample(age: float, expected: Outcome) -> None:
    assert outcome("no heartbeat for 2m", target(series("heartbeat", [1], newest=age))) is expected


def test_what_is_no_number_does_not_break_the_silence() -> None:
    data = target(series("heartbeat", [1, math.nan, math.nan], every=90))
    assert judge("no heartbeat for 2m", data).reason == "no heartbeat for 3m"


def test_what_was_never_heard_cannot_fall_silent() -> None:
    verdict = judge("no heartbeat for 2m", target())
    assert (verdict.outcome, verdict.reason) == (U, "web-01 has never sent heartbeat")


def test_one_living_series_breaks_the_silence() -> None:
    two = [series("heartbeat", [1], newest=500, pod="a"), series("heartbeat", [1], pod="b")]
    assert outcome("no heartbeat for 2m", target(*two)) is H
    assert outcome('no heartbeat{pod="a"} for 2m', target(*two)) is V


def test_the_reason_tells_how_long_it_has_been_silent() -> None:
    verdict = judge("no heartbeat for 2m", target(series("heartbeat", [1], newest=192)))
    assert verdict.reason == "no heartbeat for 3m12s"
    assert verdict.numbers == {"silent_seconds": 192, "allowed_seconds": 120}
    assert judge("no heartbeat for 2m", target(series("heartbeat", [1], newest=5))).reason == "heartbeat seen 5s ago"


@pytest.mark.parametrize(
    ("sentence", "ages", "expected"),
    [
        ("deploy_failed event in 5m", [10], V),
        ("deploy_failed event in 5m", [], H),
        ("deploy_failed event in 5m", [299], V),
        ("deploy_failed event in 5m", [300], H),
        ("3 deploy_failed events in 5m", [10, 20], H),
        ("3 deploy_failed events in 5m", [10, 20, 30], V),
        ("3 deploy_failed events in 5m", [10, 20, 400], H),
        ("deploy_failed event in 5m", [-5], H),
    ],
)
def test_events_are_counted_in_their_window(sentence: str, ages: list[float], expected: Outcome) -> None:
    assert outcome(sentence, target(events=[event("deploy_failed", age) for age in ages])) is expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("critical deploy_failed event in 5m", V),
        ("warning deploy_failed event in 5m", H),
        ('deploy_failed{team="pay*"} event in 5m', V),
        ('deploy_failed{team="core"} event in 5m', H),
        ("other event in 5m", H),
    ],
)
def test_severity_and_tags_choose_the_events(sentence: str, expected: Outcome) -> None:
    assert outcome(sentence, target(events=[event("deploy_failed", 1, team="payments")])) is expected


def test_the_reason_counts_the_events() -> None:
    data = target(events=[event("deploy_failed", 1), event("deploy_failed", 2)])
    assert judge("3 deploy_failed events in 5m", data).reason == "2 deploy_failed events in 5m"
    assert judge("critical deploy_failed event in 5m", target()).reason == "no critical deploy_failed events in 5m"


def test_a_glob_names_many_events() -> None:
    data = target(events=[event("deploy_failed", 30), event("deploy_stuck", 20), event("reboot", 10)])
    assert judge('2 "deploy_*" events', data).reason == '2 "deploy_*" events in 5m'
    assert outcome('3 "deploy_*" events', data) is H
    assert outcome('3 "*" events', data) is V


def test_a_later_event_takes_earlier_ones_back() -> None:
    down, up = event("link_down", 60), event("link_up", 30)
    sentence = "link_down event in 1h resolved by link_up"
    assert outcome(sentence, target(events=[down])) is V
    verdict = judge(sentence, target(events=[down, up]))
    assert (verdict.outcome, verdict.reason) == (H, "no link_down events in 1h, 1 resolved")
    assert verdict.newest_at == up.at


def test_an_event_after_the_resolving_one_counts_again() -> None:
    story = [event("link_down", 60), event("link_up", 30), event("link_down", 10)]
    assert outcome("link_down event in 1h resolved by link_up", target(events=story)) is V
    assert outcome("2 link_down events in 1h resolved by link_up", target(events=story)) is H


def test_of_two_at_the_same_time_the_one_stored_later_is_later() -> None:
    down, up = event("link_down", 60), event("link_up", 60)
    sentence = "link_down event in 1h resolved by link_up"
    assert outcome(sentence, target(events=[replace(down, id=1), replace(up, id=2)])) is H
    assert outcome(sentence, target(events=[replace(down, id=2), replace(up, id=1)])) is V


def test_an_event_says_in_its_tags_that_it_is_resolved() -> None:
    """As Alertmanager sends it: the same alert again, with another status."""
    firing, resolved = event("HighLatency", 60, status="firing"), event("HighLatency", 30, status="resolved")
    sentence = 'HighLatency event in 1d resolved by {status="resolved"}'
    assert outcome(sentence, target(events=[firing])) is V
    assert outcome(sentence, target(events=[firing, resolved])) is H
    assert outcome(sentence, target(events=[resolved])) is H


def test_same_tags_say_which_one_is_taken_back() -> None:
    story = [event("link_down", 60, port="1"), event("link_down", 50, port="2"), event("link_up", 30, port="1")]
    sentence = "{count} link_down events in 1h resolved by link_up with same port"
    assert outcome(sentence.format(count=1), target(events=story)) is V
    assert outcome(sentence.format(count=2), target(events=story)) is H


def test_a_resolving_event_that_fits_both_is_no_trouble() -> None:
    story = [event("alert", 30, status="resolved")]
    assert outcome('"*" event in 1h resolved by {status="resolved"}', target(events=story)) is H


def test_a_resolving_event_that_came_late_resolves_from_its_own_time() -> None:
    story = [event("link_down", 60), event("link_up", 90)]
    assert outcome("link_down event in 1h resolved by link_up", target(events=story)) is V


def test_needs_name_the_resolving_event_too() -> None:
    condition = language.parse("link_down event in 1h resolved by link_up")
    assert conditions.events_of(condition) == {"link_down", "link_up"}
    assert dict(conditions.needs(condition).events) == dict.fromkeys(["link_down", "link_up"], timedelta(hours=1))
