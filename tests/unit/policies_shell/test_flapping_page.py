"""What docs/flapping.md says of numbers is so, what it shows is accepted, and nonsense is refused."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from policies import book, documents
from policies.engine import flapping
from policies.engine.flapping import NOTHING, History

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "flapping.md").read_text()
WHOLE = {"name": "a", "target": "web-*", "condition": "cpu > 90", "action": "restart"}
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
USUAL = flapping.Limits()


def _live(told: list[tuple[float, bool]]) -> list[History]:
    histories, history, was_open = [], NOTHING, False
    for seconds, is_open in told:
        at = NOON + timedelta(seconds=seconds)
        history = flapping.after(history, was_open=was_open, is_open=is_open, at=at, limits=USUAL)
        histories.append(history)
        was_open = is_open
    return histories


def _every(seconds: float, *, minutes: int = 60) -> list[tuple[float, bool]]:
    """Judged every 15 s; open for 15 s, again after so many."""
    return [(at, at % seconds < 15) for at in range(0, minutes * 60, 15)]


def test_the_example_is_accepted_and_kept() -> None:
    [written] = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)]
    document = documents.read(WHOLE | written).document
    assert documents.from_stored("a", documents.stored(document)) == document
    limits = book.provisional(document).timings.flap
    assert (limits.high, limits.low) == (70, 40)


@pytest.mark.parametrize(
    ("name", "value"), re.findall(r"\| (\d+) \| `(VIGIL_FLAP_\w+)` \|", PAGE), ids=lambda text: str(text)
)
def test_the_table_has_the_defaults(name: str, value: str) -> None:
    assert getattr(settings, value) == int(name)


def test_the_defaults_are_those_of_the_engine() -> None:
    usual = book.provisional(documents.read(WHOLE).document).timings.flap
    assert usual == USUAL


@pytest.mark.parametrize(("seconds", "flaps"), [(45, True), (300, False)], ids=["every 45 s", "every five minutes"])
def test_how_often_an_incident_may_come(seconds: float, flaps: bool) -> None:
    assert any(history.flapping for history in _live(_every(seconds))) is flaps


@pytest.mark.parametrize(("openings", "flaps"), [(4, False), (5, True)])
def test_five_openings_in_a_row_flap(openings: int, flaps: bool) -> None:
    told = [(place, place % 2 == 0) for place in range(2 * openings - 1)]
    assert any(history.flapping for history in _live([(float(seconds), is_open) for seconds, is_open in told])) is flaps


@pytest.mark.parametrize("seconds", [30, 45, 60])
def test_it_takes_two_to_four_minutes_to_calm_down(seconds: float) -> None:
    restless = [*_every(seconds, minutes=30), (1800.0, True)]
    calm = [(1800.0 + 15 * place, True) for place in range(1, 30)]
    flaps = [history.flapping for history in _live([*restless, *calm])][len(restless) :]
    assert 2 * 60 <= 15 * sum(itertools.takewhile(bool, flaps)) <= 4 * 60


def test_how_long_it_is_remembered_without_a_result() -> None:
    [(intervals, minutes)] = re.findall(r"After (\d+) intervals \((\d+) minutes\)", PAGE)
    assert int(intervals) == flapping.OLD_AFTER
    assert timedelta(minutes=int(minutes)) == flapping.OLD_AFTER * USUAL.every


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"high": 50}, "flapping.low"),
        ({"high": 0, "low": 1}, "flapping.high"),
        ({"high": 102, "low": 1}, "flapping.high"),
        ({"high": 50, "low": 0}, "flapping.low"),
        ({"high": 50, "low": 50}, "flapping.low"),
        ({"high": 50.5, "low": 25}, "flapping.high"),
        ({"high": 50, "low": 25, "results": 21}, "flapping.results"),
        (None, "flapping"),
    ],
)
def test_limits_that_make_no_sense_are_refused(said: object, path: str) -> None:
    with pytest.raises(documents.UnableToReadPolicy) as caught:
        documents.read(WHOLE | {"flapping": said})
    assert caught.value.errors[0].path == path
