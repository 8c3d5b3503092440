"""One simulated service: what it measures, and what time and faults do to it.

Pure. No clock (callers pass the seconds that went by) and no randomness (noise comes from the seed and the age), so a
story replays exactly.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Fault(StrEnum):
    """What can go wrong with a service."""

    LOAD = "load"
    MEMORY_LEAK = "memory-leak"
    CRASH = "crash"
    DISK_FILLING = "disk-filling"
    DEAD_AGENT = "dead-agent"
    SLOW_DEPENDENCY = "slow-dependency"


SURGE = 2.6
"""A load fault multiplies demand by this: one replica is overloaded, two carry it with ease."""
SURGE_SECONDS = 180.0
SURGE_AFTER_SCALING_SECONDS = 60.0
"""Once scaled, the surge ends soon and the extra replicas go, so that the next surge is a fault again."""
LEAK_PERCENT_PER_SECOND = 5.0
FILL_PERCENT_PER_SECOND = 4.0
DISK_FULL = 99.5
SLOW_SECONDS = 90.0
"""A slow dependency lies outside the service: no remedy here helps, and it passes by itself."""

CALM_MEMORY = 42.0
CALM_DISK = 38.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service at one moment; `readings` and the functions below say what follows from it."""

    name: str
    role: str
    region: str
    seed: int = 0
    demand: float = 0.36
    """Share of one replica that calm traffic needs."""
    age: float = 0.0
    """Seconds this service has been simulated."""
    surge: float = 1.0
    surge_left: float = 0.0
    """Seconds until demand falls back to calm."""
    replicas: int = 1
    memory: float = CALM_MEMORY
    disk: float = CALM_DISK
    fault: Fault | None = None
    faulty_for: float = 0.0


def advance(service: Service, *, dt: float) -> Service:
    """The service `dt` seconds later."""
    if dt <= 0:
        return service
    aged = replace(service, age=service.age + dt, faulty_for=service.faulty_for + dt if service.fault else 0.0)
    return _pass_by(_ebb(_grow(aged, dt), dt))


def strike(service: Service, *, fault: Fault) -> Service:
    """The service with the fault begun; a fault it already had is replaced."""
    struck = replace(service, fault=fault, faulty_for=0.0)
    if fault is Fault.LOAD:
        return replace(struck, surge=SURGE, surge_left=SURGE_SECONDS, replicas=1)
    return struck


def cpu_of(service: Service) -> float:
    """CPU in percent without noise: demand spread over the replicas."""
    return min(100.0, 100.0 * service.demand * service.surge / service.replicas)


def readings(service: Service) -> Mapping[str, float]:
    """What the agent on this service would report now; empty when the agent is dead."""
    if service.fault is Fault.DEAD_AGENT:
        return {}
    if service.fault is Fault.CRASH:
        return _host_readings(service, cpu=2.0) | {"error_rate": 100.0, "requests": 0.0}
    return _host_readings(service, cpu=cpu_of(service)) | _traffic_readings(service) | {"heartbeat": 1.0}


def _grow(service: Service, dt: float) -> Service:
    if service.fault is Fault.MEMORY_LEAK:
        return replace(service, memory=min(100.0, service.memory + LEAK_PERCENT_PER_SECOND * dt))
    if service.fault is Fault.DISK_FILLING:
        return replace(service, disk=min(DISK_FULL, service.disk + FILL_PERCENT_PER_SECOND * dt))
    return service


def _ebb(service: Service, dt: float) -> Service:
    if service.surge_left <= 0:
        return service
    left = service.surge_left - dt
    if left > 0:
        return replace(service, surge_left=left)
    calm = replace(service, surge=1.0, surge_left=0.0, replicas=1)
    return replace(calm, fault=None, faulty_for=0.0) if calm.fault is Fault.LOAD else calm


def _pass_by(service: Service) -> Service:
    if service.fault is Fault.SLOW_DEPENDENCY and service.faulty_for >= SLOW_SECONDS:
        return replace(service, fault=None, faulty_for=0.0)
    return service


def _host_readings(service: Service, *, cpu: float) -> dict[str, float]:
    return {
        "cpu_usage": _percent(cpu + 1.5 * _noise(service, "cpu")),
        "memory_percent": _percent(service.memory + 0.5 * _noise(service, "memory")),
        "disk_percent": _percent(service.disk + 0.1 * _noise(service, "disk")),
    }


def _traffic_readings(service: Service) -> dict[str, float]:
    return {
        "error_rate": _percent(_error_rate(service) + 0.2 * _noise(service, "errors")),
        "latency_ms": round(_latency(service) * (1 + 0.1 * _noise(service, "latency")), 1),
        "requests": round(200.0 * service.demand * service.surge * (1 + 0.05 * _noise(service, "requests")), 1),
    }


def _error_rate(service: Service) -> float:
    out_of_memory = 25.0 if service.memory >= 99.0 else 0.0
    disk_full = 15.0 if service.disk >= 97.0 else 0.0
    return 0.3 + out_of_memory + disk_full


def _latency(service: Service) -> float:
    if service.fault is Fault.SLOW_DEPENDENCY:
        return 2400.0
    swapping = 400.0 if service.memory >= 97.0 else 0.0
    overloaded = 180.0 if cpu_of(service) > 85.0 else 0.0
    return 45.0 + swapping + overloaded


def _percent(value: float) -> float:
    return round(min(100.0, max(0.0, value)), 2)


def _noise(service: Service, what: str) -> float:
    """A number in [-1, 1] that depends on nothing but seed, name, age and subject."""
    text = f"{service.seed}/{service.name}/{what}/{service.age:.2f}"
    return zlib.crc32(text.encode()) / 0x7FFFFFFF - 1.0
