"""The circuit breaker as a table: where it stood, what happened, where it stands."""

from datetime import UTC, datetime, timedelta

import pytest

from actions import breaker
from actions.breaker import CLOSED, Circuit, Lately, Limits, Position, Result

AT = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMITS = Limits()
OPEN = Circuit(position=Position.OPEN, failures=5, opened_at=AT, reason="5 failures in a row")
PROBING = Circuit(
    position=Position.HALF_OPEN, failures=5, opened_at=AT, probe_at=AT + 30 * SECOND, reason="5 failures in a row"
)


@pytest.mark.parametrize(
    ("circuit", "after", "admitted"),
    [
        (CLOSED, 0, Position.CLOSED),
        (OPEN, 0, None),
        (OPEN, 29, None),
        (OPEN, 30, Position.HALF_OPEN),
        (PROBING, 31, None),
        (PROBING, 59, None),
        (PROBING, 60, Position.HALF_OPEN),
    ],
)
def test_an_open_circuit_lets_one_probe_through_each_half_minute(
    circuit: Circuit, after: int, admitted: Position | None
) -> None:
    at = AT + after * SECOND
    found = breaker.admit(circuit, LIMITS, at=at)
    assert (found.position if found is not None else None) == admitted
    if admitted is Position.HALF_OPEN:
        assert found is not None
        assert found.probe_at == at


@pytest.mark.parametrize(
    ("before", "lately", "position"),
    [
        (3, Lately(calls=4, failures=4), Position.CLOSED),
        (4, Lately(calls=5, failures=5), Position.OPEN),
        (0, Lately(calls=20, failures=10), Position.OPEN),
        (0, Lately(calls=20, failures=9), Position.CLOSED),
        (0, Lately(calls=19, failures=19), Position.CLOSED),
    ],
    ids=["four in a row", "five in a row", "half of twenty", "less than half", "too few to tell"],
)
def test_too_many_failures_open_it(before: int, lately: Lately, position: Position) -> None:
    after = breaker.failed(Circuit(failures=before), LIMITS, began_at=AT, at=AT + SECOND, lately=lately)
    assert after.position is position
    assert bool(after.reason) is (position is Position.OPEN)


@pytest.mark.parametrize("circuit", [CLOSED, Circuit(failures=4), PROBING])
def test_an_answer_closes_it(circuit: Circuit) -> None:
    assert breaker.succeeded(circuit, began_at=AT + 30 * SECOND) == CLOSED


def test_a_failed_probe_opens_it_for_another_rest() -> None:
    at = AT + 33 * SECOND
    after = breaker.failed(PROBING, LIMITS, began_at=AT + 30 * SECOND, at=at, lately=Lately(calls=1, failures=1))
    assert (after.position, after.opened_at, after.reason) == (Position.OPEN, at, "5 failures in a row")
    assert breaker.next_call_at(after, LIMITS) == at + 30 * SECOND


@pytest.mark.parametrize("circuit", [OPEN, PROBING])
def test_calls_that_were_under_way_when_it_opened_tell_nothing(circuit: Circuit) -> None:
    began = AT - SECOND
    assert breaker.succeeded(circuit, began_at=began) == circuit
    assert breaker.failed(circuit, LIMITS, began_at=began, at=AT + SECOND, lately=Lately()) == circuit


def _results(*oks: bool) -> list[Result]:
    return [Result(ok=ok, at=AT - place * SECOND) for place, ok in enumerate(oks)]


@pytest.mark.parametrize(
    ("results", "tried", "position"),
    [
        ([], None, Position.CLOSED),
        (_results(False, False, False, False), None, Position.CLOSED),
        (_results(False, False, False, False, True), None, Position.CLOSED),
        (_results(False, False, False, False, False), None, Position.OPEN),
        (_results(False, False, False, False, False), AT - SECOND, Position.OPEN),
        (_results(False, False, False, False, False), AT + SECOND, Position.HALF_OPEN),
    ],
)
def test_what_ended_last_tells_where_a_policy_stands(
    results: list[Result], tried: datetime | None, position: Position
) -> None:
    assert breaker.of_results(results, LIMITS, newest_try_at=tried).position is position
