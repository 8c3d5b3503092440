import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import pace
from simulator.configuration import Chaos, Configuration
from simulator.pace import Mode


@pytest.mark.parametrize(
    ("mode", "elapsed", "rate"),
    [
        (Mode.STEADY, 0, 100),
        (Mode.STEADY, 1000, 100),
        (Mode.CHAOS, 5, 100),
        (Mode.BURST, 0, 400),
        (Mode.BURST, 1.9, 400),
        (Mode.BURST, 2, 25),
        (Mode.BURST, 12, 25),
        (Mode.RAMP, 0, 10),
        (Mode.RAMP, 30, 55),
        (Mode.RAMP, 60, 100),
        (Mode.RAMP, 600, 100),
    ],
)
def test_each_mode_has_its_shape(mode: Mode, elapsed: float, rate: float) -> None:
    assert pace.rate_at(mode=mode, rate=100, elapsed=elapsed) == pytest.approx(rate)


def test_a_burst_sends_its_rate_on_average() -> None:
    steps = [pace.rate_at(mode=Mode.BURST, rate=100, elapsed=tick / 10) for tick in range(100)]
    assert sum(steps) / len(steps) == pytest.approx(100)


def test_only_chaos_goes_wrong_unasked() -> None:
    assert Configuration(mode=Mode.STEADY).chaos() == Chaos()
    assert Configuration(mode=Mode.CHAOS).chaos().failure > 0
    assert Configuration(mode=Mode.CHAOS, failure_percent=0).chaos().failure == 0
    assert Configuration(mode=Mode.STEADY, timeout_percent=7).chaos().timeout == 7


@given(roll=st.floats(min_value=0, max_value=100, exclude_max=True))
def test_trouble_takes_its_share_of_the_rolls(roll: float) -> None:
    chaos = Chaos(failure=10, timeout=20, malformed=30)
    expected = "failure" if roll < 10 else "timeout" if roll < 30 else "malformed" if roll < 60 else ""
    # Subtracting rounds: a roll within a hair of an edge may fall on either side of it.
    if min(abs(roll - edge) for edge in (10, 30, 60)) > 1e-9:
        assert chaos.pick(roll) == expected


def test_no_chaos_never_goes_wrong() -> None:
    assert {Chaos().pick(roll) for roll in range(100)} == {""}
