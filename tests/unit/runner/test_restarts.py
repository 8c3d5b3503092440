import pytest

from vigil.runner.restarts import HEALTHY_AFTER_SECONDS, LONGEST_PAUSE_SECONDS, Restarts


def test_the_first_start_does_not_wait() -> None:
    assert Restarts().pause_seconds == 0.0


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 16.0), (7, 30.0)]
)
def test_each_failure_in_a_row_doubles_the_pause(failures: int, pause: float) -> None:
    restarts = Restarts()
    for _ in range(failures):
        restarts = restarts.after_end(lived_seconds=1.0)
    assert restarts.pause_seconds == pause


def test_the_pause_stays_bounded_however_often_it_fails() -> None:
    assert Restarts(failures=10_000).pause_seconds == LONGEST_PAUSE_SECONDS


def test_who_lived_long_is_forgiven() -> None:
    restarts = Restarts(failures=7).after_end(lived_seconds=HEALTHY_AFTER_SECONDS)
    assert restarts == Restarts(failures=1)
