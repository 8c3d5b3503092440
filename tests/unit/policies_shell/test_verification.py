"""The weighing of evidence after an action, without a database."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from actions.queries import ActionView
from actions.states import State, Status
from policies import book, documents, verification
from policies.engine.values import Event, Sample, Series
from policies.readings import Data
from policies.verification import NotYet, Proof

NOON = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
SETTLED = 10


def _rule(condition: object) -> book.Rule:
    raw = {"name": "p", "target": "*", "condition": condition, "action": "restart"}
    return book.provisional(documents.read(raw).document)


def _action() -> ActionView:
    """Ended well at noon, settles for ten seconds."""
    return ActionView(
        id=1,
        uid=uuid.UUID(int=1),
        dedup_key="policy:p:incident:1:step:0",
        kind="restart",
        target="web-01",
        params={},
        state=State.SUCCEEDED,
        status=Status.COMPLETED,
        needs_human=False,
        policy_name="p",
        policy_version=1,
        severity="warning",
        incident_id=1,
        reason="",
        ordered_by="policy:p",
        by_hand=False,
        attempts=1,
        max_attempts=3,
        verification="",
        verify_after=NOON + timedelta(seconds=SETTLED),
        notes="",
        details="",
        request_id="",
        retry_of=None,
        cancel_requested=False,
        deadline=NOON + timedelta(minutes=10),
        created_at=NOON - timedelta(seconds=5),
        started_at=NOON - timedelta(seconds=4),
        finished_at=NOON,
    )


def _data(*points: tuple[float, float], events: tuple[float, ...] = ()) -> Data:
    """Samples of cpu as (seconds after noon, value), and failures at seconds after noon."""
    samples = tuple(
        Sample(id=number, at=NOON + timedelta(seconds=second), value=value)
        for number, (second, value) in enumerate(points)
    )
    happened = tuple(
        ("web-01", Event(name="failed", severity="critical", at=NOON + timedelta(seconds=second), id=number))
        for number, second in enumerate(events)
    )
    series = {"cpu": (("web-01", Series(name="cpu", samples=samples)),)} if points else {}
    return Data(series=series, events=happened)


def _answer(condition: object, data: Data, *, after: float) -> str:
    at = NOON + timedelta(seconds=after)
    match verification.prove(action=_action(), rule=_rule(condition), data=data, at=at):
        case Proof(result=result):
            return result
        case NotYet():
            return "not yet"


@pytest.mark.parametrize(
    ("points", "after", "answer"),
    [
        pytest.param([(-5, 92), (3, 40)], 5, "not yet", id="still settling"),
        pytest.param([(-5, 92), (3, 40)], 10, "effective", id="fell, settled"),
        pytest.param([(-5, 92), (3, 93)], 10, "not yet", id="bad while settling proves nothing yet"),
        pytest.param([(-5, 92), (3, 93)], 302, "not yet", id="bad while settling, and no patience lost yet"),
        pytest.param([(-5, 92), (3, 93)], 320, "unverifiable", id="by then the bad sample is stale"),
        pytest.param([(-5, 92), (11, 93)], 12, "ineffective", id="bad after settling"),
        pytest.param([(-5, 40)], 12, "not yet", id="nothing after the end"),
        pytest.param([(0, 40)], 12, "not yet", id="a sample at the very end is not after it"),
        pytest.param([(-5, 40)], 309, "not yet", id="patience"),
        pytest.param([(-5, 40)], 310, "unverifiable", id="patience is over"),
        pytest.param([], 310, "unverifiable", id="never any data"),
    ],
)
def test_a_threshold(points: list[tuple[float, float]], after: float, answer: str) -> None:
    assert _answer("cpu > 90", _data(*points), after=after) == answer


@pytest.mark.parametrize(
    ("points", "answer"),
    [
        ([(-60, 99), (-30, 99), (12, 40)], "effective"),
        ([(-60, 10), (-30, 10), (12, 99)], "ineffective"),
    ],
)
def test_a_window_is_judged_by_what_came_after(points: list[tuple[float, float]], answer: str) -> None:
    assert _answer("avg(cpu, 5m) > 60", _data(*points), after=15) == answer


@pytest.mark.parametrize(
    ("points", "after", "answer"),
    [
        ([(-300, 1)], 30, "not yet"),
        ([(-300, 1)], 60, "ineffective"),
        ([(-300, 1), (11, 1)], 12, "effective"),
    ],
)
def test_silence(points: list[tuple[float, float]], after: float, answer: str) -> None:
    assert _answer("no cpu for 1m", _data(*points), after=after) == answer


@pytest.mark.parametrize(
    ("events", "after", "answer"),
    [((-5,), 12, "not yet"), ((-5,), 300, "effective"), ((-5, 11), 12, "ineffective")],
)
def test_events_prove_something_by_staying_away(events: tuple[float, ...], after: float, answer: str) -> None:
    condition = {"type": "event_matches", "event": "failed", "count": 1, "window": "5m"}
    assert _answer(condition, _data(events=events), after=after) == answer
