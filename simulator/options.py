"""The command-line options that both the simulator's process and `manage.py simulate` take."""

import argparse
from collections.abc import Callable

from simulator import demo, pace
from simulator.configuration import Configuration


def add(made: argparse.ArgumentParser) -> None:
    """The options that say what to simulate, but for the scenario itself."""
    made.add_argument("--mode", default="steady", choices=[mode.value for mode in pace.Mode])
    made.add_argument("--rate", type=_whole(1, 5000), default=demo.RATE, help="readings a second, over the whole fleet")
    made.add_argument("--targets", type=_whole(1, 1000), default=demo.TARGETS, help="services in the fleet")
    made.add_argument("--seed", type=int, default=1, help="the same seed tells the same story")
    for name in ("failure", "timeout", "malformed"):
        made.add_argument(f"--{name}-percent", type=_percent, default=None)


def configuration(given: argparse.Namespace, *, first: int = 1) -> Configuration:
    """What the options ask for."""
    return Configuration(
        scenario=given.scenario,
        mode=pace.Mode(given.mode),
        rate=given.rate,
        targets=given.targets,
        seed=given.seed,
        first=first,
        failure_percent=given.failure_percent,
        timeout_percent=given.timeout_percent,
        malformed_percent=given.malformed_percent,
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 100.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return value
