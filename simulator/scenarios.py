"""Named stories as data: which fault strikes which kind of service, and when."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random

from simulator.physics import Fault


class UnknownScenario(ValueError):
    """No scenario has that name; the message lists those that exist and the nearest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One fault and the roles it prefers; a fleet without those roles gives any service."""

    fault: Fault
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story: its strikes in turn, over and over."""

    name: str
    summary: str
    strikes: tuple[Strike, ...] = ()
    first_after: float = 1.0
    """Seconds until the first strike."""
    every: float = 10.0
    """Seconds between strikes."""
    rest: float = 60.0
    """Seconds a struck service is left in peace, while others are free."""
    spared: tuple[str, ...] = ()
    """Services the story never touches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStrike:
    """A fault on one service, `after` seconds into the story."""

    after: float
    target: str
    fault: Fault


_LOAD = Strike(fault=Fault.LOAD, roles=("web",))
_LEAK = Strike(fault=Fault.MEMORY_LEAK, roles=("api", "worker"))
_CRASH = Strike(fault=Fault.CRASH, roles=("worker", "cache"))
_DISK = Strike(fault=Fault.DISK_FILLING, roles=("db",))
_DEAD = Strike(fault=Fault.DEAD_AGENT, roles=("cache", "worker"))
_SLOW = Strike(fault=Fault.SLOW_DEPENDENCY, roles=("search",))

_ALL = (
    Scenario(name="cpu-spike", summary="Traffic surges on web services until they are scaled up.", strikes=(_LOAD,)),
    Scenario(name="memory-leak", summary="Memory runs out until the service is restarted.", strikes=(_LEAK,)),
    Scenario(name="crash", summary="Services crash and stay down until restarted.", strikes=(_CRASH,)),
    Scenario(name="disk-filling", summary="Disks fill until someone takes a snapshot and cleans up.", strikes=(_DISK,)),
    Scenario(name="dead-agent", summary="Agents fall silent until restarted.", strikes=(_DEAD,), every=30.0),
    Scenario(
        name="remedy-that-does-not-help",
        summary="A dependency outside the service is slow: no remedy helps, and in time it passes.",
        strikes=(_SLOW,),
        every=30.0,
    ),
    Scenario(
        name="mixed",
        summary="A different fault every few seconds, on different services.",
        strikes=(_LOAD, _CRASH, _LEAK, _LOAD, _DISK, _LOAD, _DEAD, _LEAK, _SLOW, _LOAD, _DISK, _CRASH),
        first_after=0.0,
        every=8.0,
        rest=90.0,
        # web-01 is left to whoever tries the API by hand: their reading is then the only thing wrong with it.
        spared=("web-01",),
    ),
    Scenario(name="quiet", summary="Nothing breaks: what healthy traffic looks like."),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}


def find(name: str) -> Scenario:
    """The scenario of that name; UnknownScenario says which there are."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    near = difflib.get_close_matches(name, SCENARIOS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownScenario(f"There is no scenario {name!r}.{hint} Known: {', '.join(SCENARIOS)}.")


def plan(scenario: Scenario, *, names: Sequence[str], seed: int) -> Iterator[PlannedStrike]:
    """The endless sequence of strikes, the same for the same seed and names."""
    random = Random(seed)  # noqa: S311  a story, not a secret
    last_struck: dict[str, float] = {}
    candidates = [name for name in names if name not in scenario.spared] or list(names)
    for index, strike in enumerate(cycle(scenario.strikes)):
        after = scenario.first_after + index * scenario.every
        target = _choose(_fitting(candidates, strike), last_struck, after - scenario.rest, random)
        last_struck[target] = after
        yield PlannedStrike(after=after, target=target, fault=strike.fault)


def _fitting(candidates: list[str], strike: Strike) -> list[str]:
    return [name for name in candidates if name.rpartition("-")[0] in strike.roles] or candidates


def _choose(fitting: list[str], last_struck: Mapping[str, float], rested_since: float, random: Random) -> str:
    rested = [name for name in fitting if last_struck.get(name, float("-inf")) <= rested_since]
    if rested:
        return random.choice(rested)
    return min(fitting, key=lambda name: last_struck.get(name, float("-inf")))
