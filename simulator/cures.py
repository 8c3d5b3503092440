"""What a remedy does to a simulated service, and whether it cures what the service suffers from. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from simulator import physics
from simulator.physics import Fault, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What carrying out a remedy came to; `ok` says it was carried out, not that it helped."""

    ok: bool
    message: str
    cured: Fault | None = None


def apply(service: Service, *, action: str, params: Mapping[str, object]) -> tuple[Service, Effect]:
    """Carry an action out on a service; an action nobody here knows changes nothing and says so."""
    cure = CURES.get(action)
    if cure is None:
        return service, Effect(ok=False, message=unknown(action))
    after, message = cure(service, params)
    cured = service.fault if service.fault is not None and after.fault is None else None
    return after, Effect(ok=True, message=message, cured=cured)


def unknown(action: str) -> str:
    """The sentence about an action that nobody here knows."""
    return f"The simulated fleet knows no action {action!r}; it knows {', '.join(sorted(CURES))}."


def _scale_up(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    wanted = max(_whole(params.get("replicas"), otherwise=2), service.replicas)
    if wanted == service.replicas:
        return service, f"already at {_replicas(wanted)}"
    scaled = _relieved(replace(service, replicas=wanted))
    return scaled, f"scaled from {service.replicas} to {_replicas(wanted)}"


def _scale_down(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    wanted = min(max(1, _whole(params.get("replicas"), otherwise=1)), service.replicas)
    return replace(service, replicas=wanted), f"scaled from {service.replicas} to {_replicas(wanted)}"


def _rebalance(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    moved = _relieved(replace(service, surge=max(1.0, service.surge * 0.6)))
    return moved, "moved traffic to its neighbours" if moved.surge < service.surge else "traffic was already even"


def _restart(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    fresh = replace(service, memory=physics.CALM_MEMORY)
    return _rid(fresh, Fault.MEMORY_LEAK, Fault.CRASH, Fault.DEAD_AGENT), "restarted the service and its agent"


def _drain_pod(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    fresh = replace(service, memory=physics.CALM_MEMORY)
    return _rid(fresh, Fault.MEMORY_LEAK, Fault.CRASH), "drained the pod and started another"


def _snapshot(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    freed = max(0.0, service.disk - physics.CALM_DISK)
    cleaned = replace(service, disk=min(service.disk, physics.CALM_DISK))
    return _rid(cleaned, Fault.DISK_FILLING), f"took a snapshot and cleaned up {freed:.0f} % of the disk"


def _custom(service: Service, params: Mapping[str, object]) -> tuple[Service, str]:
    return service, "a custom action changes nothing in the simulated fleet"


type Cure = Callable[[Service, Mapping[str, object]], tuple[Service, str]]

CURES: Mapping[str, Cure] = {
    "scale-up": _scale_up,
    "scale-down": _scale_down,
    "rebalance": _rebalance,
    "restart": _restart,
    "restart-service": _restart,
    "drain-pod": _drain_pod,
    "snapshot": _snapshot,
    "custom": _custom,
}


def _rid(service: Service, *curable: Fault) -> Service:
    return replace(service, fault=None, faulty_for=0.0) if service.fault in curable else service


def _relieved(service: Service) -> Service:
    """The load fault is over once the CPU is comfortable again; the surge itself ebbs a little later."""
    if service.fault is not Fault.LOAD or physics.cpu_of(service) >= 75.0:
        return service
    return replace(_rid(service, Fault.LOAD), surge_left=min(service.surge_left, physics.SURGE_AFTER_SCALING_SECONDS))


def _whole(value: object, *, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
