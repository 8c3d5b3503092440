"""The fake fleet: many services, moved on together. Pure: `physics` is one service, `cures` are the remedies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from simulator import cures, physics
from simulator.cures import Effect
from simulator.physics import Fault, Service

ROLES = ("web", "api", "db", "web", "worker", "search", "web", "cache")
"""Handed out in turn, so that the smallest fleet already has a web service and a large one is mostly web."""
REGIONS = ("us-east-1", "eu-west-1", "ap-south-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Services by name. A change answers a new fleet."""

    services: Mapping[str, Service] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        return tuple(self.services)


def build(*, targets: int, seed: int, first: int = 1) -> Fleet:
    """A calm fleet of `targets` services, numbered per role from `first` (so two fleets need not share names)."""
    random = Random(seed)  # noqa: S311  a story, not a secret
    counts = dict.fromkeys(ROLES, first - 1)
    services: dict[str, Service] = {}
    for index in range(targets):
        role = ROLES[index % len(ROLES)]
        counts[role] += 1
        service = _calm_service(name=f"{role}-{counts[role]:02d}", role=role, index=index, seed=seed, random=random)
        services[service.name] = service
    return Fleet(services=services)


def advance(fleet: Fleet, *, dt: float) -> Fleet:
    """The fleet `dt` seconds later."""
    return Fleet(services={name: physics.advance(service, dt=dt) for name, service in fleet.services.items()})


def strike(fleet: Fleet, *, target: str, fault: Fault) -> Fleet:
    """The fleet with a fault begun on one target (KeyError for a stranger)."""
    return _with(fleet, physics.strike(fleet.services[target], fault=fault))


def apply(fleet: Fleet, *, action: str, target: str, params: Mapping[str, object]) -> tuple[Fleet, Effect]:
    """Carry out a remedy; a target outside the fleet is refused with a sentence."""
    service = fleet.services.get(target)
    if service is None:
        return fleet, Effect(ok=False, message=f"There is no service {target!r} in the simulated fleet.")
    after, effect = cures.apply(service, action=action, params=params)
    return _with(fleet, after), effect


def readings(fleet: Fleet, *, targets: Iterable[str]) -> list[dict[str, object]]:
    """What the agents of these targets would post now, in the shape of Vigil's ingest (without a timestamp)."""
    found = (fleet.services[target] for target in targets)
    return [
        {"name": name, "value": value, "tags": tags_of(service)}
        for service in found
        for name, value in physics.readings(service).items()
    ]


def tags_of(service: Service) -> dict[str, str]:
    """The tags of every reading of a service; `host` names its target.

    There is no `service` tag: Vigil would prefer it over `host`, and all web services would be one target.
    """
    return {"host": service.name, "region": service.region}


def _with(fleet: Fleet, service: Service) -> Fleet:
    return Fleet(services={**fleet.services, service.name: service})


def _calm_service(*, name: str, role: str, index: int, seed: int, random: Random) -> Service:
    return Service(
        name=name,
        role=role,
        region=REGIONS[index % len(REGIONS)],
        seed=seed,
        demand=random.uniform(0.34, 0.38),
        memory=physics.CALM_MEMORY + random.uniform(-4, 4),
        disk=physics.CALM_DISK + random.uniform(-5, 5),
    )
