"""How many readings a second each mode sends. Pure."""

from enum import StrEnum

BURST_SECONDS = 2.0
BURST_PERIOD_SECONDS = 10.0
BURST_FACTOR = 4.0
LULL_FACTOR = 0.25
RAMP_SECONDS = 60.0
RAMP_FROM = 0.1


class Mode(StrEnum):
    """The shape of the load over time."""

    STEADY = "steady"
    BURST = "burst"
    RAMP = "ramp"
    CHAOS = "chaos"


def rate_at(*, mode: Mode, rate: float, elapsed: float) -> float:
    """Readings per second, `elapsed` seconds into the simulation; a burst's mean over its period is the rate."""
    if mode is Mode.BURST:
        return rate * (BURST_FACTOR if elapsed % BURST_PERIOD_SECONDS < BURST_SECONDS else LULL_FACTOR)
    if mode is Mode.RAMP:
        return rate * min(1.0, RAMP_FROM + (1.0 - RAMP_FROM) * elapsed / RAMP_SECONDS)
    return rate
