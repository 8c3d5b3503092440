"""Starts, stops and reports the one simulation that may run beside this Vigil, whichever web process is asked."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError

from simulator import launch, runner
from simulator.configuration import Configuration
from simulator.models import SimulatorRun
from vigil.access import keys, scopes
from vigil.audit import entries
from vigil.kernel.database import tx
from vigil.kernel.errors import Conflict, VigilError

STALE_AFTER = timedelta(seconds=10)
"""A process that said nothing for this long is dead."""
STARTING_TAKES = timedelta(seconds=45)
"""Before its first sign of life a process has this long, for it has to load everything first."""
LONGEST_RUN = timedelta(hours=24)
"""A forgotten simulation ends by itself, and its key with it."""
FIRST_NUMBER = 101
"""These fleets start at web-101, so that they never share a name with the demo's own."""
STOP_WAIT_SECONDS = 15.0
STOP_POLL_SECONDS = 0.2
EXIT_SECONDS = 2.0
"""From a process's last word to its end."""


class SimulatorDisabled(VigilError):
    """This installation does not allow simulations."""

    code = "simulator_disabled"
    status = 403


class UnableToStart(Conflict):
    """A simulation runs already, or its process could not be started."""

    code = "simulator_not_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a simulation runs, with a sentence, and the latest report."""

    running: bool
    message: str
    configuration: Mapping[str, object]
    report: Mapping[str, object]


def start(*, wanted: Configuration, url: str, actor: str, at: datetime) -> Standing:
    """Start a simulation against the Vigil at `url`. Raises SimulatorDisabled or UnableToStart."""
    check_enabled()
    run, plain = tx(lambda: _create(wanted, actor, at))
    instructions = launch.Instructions(
        url=url,
        key=plain,
        remediator_url=settings.REMEDIATOR_URL,
        remediator_secret=settings.REMEDIATOR_SECRET,
        parent_pid=os.getpid(),
    )
    try:
        launch.start(run_id=run.pk, instructions=instructions)
    except OSError as error:
        _end_in_tx(run, at=at, reason=f"Its process could not be started: {error}.")
        raise UnableToStart(f"The simulator's process could not be started: {error}.", status=503) from error
    return Standing(
        running=True, message=_started(wanted), configuration=run.configuration, report=_blank(run.configuration)
    )


def stop(*, actor: str, at: datetime) -> Standing:
    """Ask the running simulation to stop, and wait a little for its summary."""
    check_enabled()
    run = SimulatorRun.objects.filter(live=True).first()
    if run is None:
        last = SimulatorRun.objects.order_by("-pk").first()
        return _standing(last, running=False, message="No simulation was running.")
    if is_dead(run, at=at):
        _end_in_tx(run, at=at, reason="Its process had died.")
        return _standing(run, running=False, message="The simulation's process had died; this is its last report.")
    tx(lambda: _ask_to_stop(run, actor=actor, at=at))
    _wait_for(lambda: not SimulatorRun.objects.filter(pk=run.pk, live=True).exists())
    run.refresh_from_db()
    if run.live:
        return _standing(run, running=True, message="The simulation was told to stop and is finishing.")
    launch.reap(wait_seconds=EXIT_SECONDS)
    return _standing(run, running=False, message="The simulation has stopped.")


def status(*, at: datetime) -> Standing:
    """How the latest simulation stands."""
    launch.reap()
    run = SimulatorRun.objects.order_by("-pk").first()
    if run is None:
        return _standing(None, running=False, message="No simulation has run yet.")
    if not run.live:
        return _standing(run, running=False, message=run.end_reason)
    if is_dead(run, at=at):
        return _standing(run, running=False, message="The simulation's process has died without an end.")
    return _standing(run, running=True, message="The simulation is running.")


def beat(*, run_id: int, pid: int, report: Mapping[str, object], at: datetime) -> str:
    """The process's sign of life; answers why it is to stop, or "" to go on."""
    alive = SimulatorRun.objects.filter(pk=run_id, live=True)
    if not alive.update(pid=pid, beat_at=at, report=report):
        return "It was declared dead and another may have taken its place."
    run = SimulatorRun.objects.get(pk=run_id)
    if run.stop_requested:
        return "Stopped on request."
    return "It ran for a whole day." if at - run.started_at >= LONGEST_RUN else ""


def finish(*, run_id: int, report: Mapping[str, object], reason: str, at: datetime) -> None:
    """The process's last word: keep its report and revoke its key."""
    run = SimulatorRun.objects.get(pk=run_id)
    run.report = dict(report)
    SimulatorRun.objects.filter(pk=run_id).update(report=run.report)
    _end_in_tx(run, at=at, reason=reason)


def check_enabled() -> None:
    """Raises SimulatorDisabled unless the setting allows simulations."""
    if not settings.VIGIL_SIMULATOR_ENABLED:
        raise SimulatorDisabled(
            "The simulator is switched off here: it posts invented readings that Vigil acts on. "
            "Set VIGIL_SIMULATOR_ENABLED=1 and restart to allow it."
        )


def is_dead(run: SimulatorRun, *, at: datetime) -> bool:
    """Whether the process of a live run has given no sign of life for too long."""
    return at - run.beat_at > (STARTING_TAKES if run.pid is None else STALE_AFTER)


def _create(wanted: Configuration, actor: str, at: datetime) -> tuple[SimulatorRun, str]:
    for dead in [run for run in SimulatorRun.objects.filter(live=True) if is_dead(run, at=at)]:
        _end(dead, at=at, reason="Its process had died.")
    running = SimulatorRun.objects.filter(live=True).first()
    if running is not None:
        raise _already(running)
    run = _insert(wanted, actor, at)
    key, plain = keys.create(
        name=f"simulator run {run.pk}",
        scopes=[scopes.INGEST, scopes.READ],
        actor=actor,
        expires_at=at + LONGEST_RUN + timedelta(hours=1),
        at=at,
    )
    run.key = key
    run.save(update_fields=["key"])
    _audit(run, kind="simulator.started", actor=actor, reason=_started(wanted), at=at)
    return run, plain


def _insert(wanted: Configuration, actor: str, at: datetime) -> SimulatorRun:
    try:
        return SimulatorRun.objects.create(
            configuration=wanted.as_json(), started_at=at, started_by=actor, beat_at=at, report={}
        )
    except IntegrityError as error:  # another web process was asked in the same moment
        raise UnableToStart("A simulation has just been started; stop it first.") from error


def _end_in_tx(run: SimulatorRun, *, at: datetime, reason: str) -> None:
    tx(lambda: _end(run, at=at, reason=reason))
    run.refresh_from_db()


def _end(run: SimulatorRun, *, at: datetime, reason: str) -> None:
    if not SimulatorRun.objects.filter(pk=run.pk, live=True).update(live=False, ended_at=at, end_reason=reason):
        return  # it has ended already, and its key with it
    if run.key is not None:
        keys.revoke(key=run.key, actor="simulator", at=at, reason="The simulation has ended.")
    _audit(run, kind="simulator.ended", actor="simulator", reason=reason, at=at)


def _ask_to_stop(run: SimulatorRun, *, actor: str, at: datetime) -> None:
    if SimulatorRun.objects.filter(pk=run.pk, live=True, stop_requested=False).update(stop_requested=True):
        _audit(run, kind="simulator.stop_requested", actor=actor, reason="It was told to stop.", at=at)


def _audit(run: SimulatorRun, *, kind: str, actor: str, reason: str, at: datetime) -> None:
    entries.write(kind=kind, subject=f"simulator:{run.pk}", actor=actor, reason=reason, at=at)


def _already(run: SimulatorRun) -> UnableToStart:
    scenario = run.configuration.get("scenario")
    return UnableToStart(
        f"A simulation ({scenario}) has been running since {run.started_at:%H:%M:%S} UTC; stop it first."
    )


def _standing(run: SimulatorRun | None, *, running: bool, message: str) -> Standing:
    asked = run.configuration if run is not None else Configuration().as_json() | {"scenario": None}
    report = _blank(asked) | (run.report if run is not None else {})
    return Standing(running=running, message=message, configuration=asked, report=report)


def _blank(configuration: Mapping[str, object]) -> dict[str, object]:
    """A report before there is anything to report, so that the API's shape never changes."""
    counts = ("generated", "resent", "succeeded", "failed", "rate_limited", "timeout", "malformed")
    return {
        **{name: configuration.get(name) for name in ("rate", "mode", "scenario")},
        **{f"events_{name}": 0 for name in counts},
        "incidents_opened": 0,
        "healed": 0,
        "mean_time_to_heal_seconds": None,
        "started_at": None,
        "last_event_at": None,
        "uptime_seconds": 0.0,
    }


def _started(wanted: Configuration) -> str:
    healed = "" if runner.is_loopback(settings.REMEDIATOR_URL) else f" {launch.NOT_HEALED}"
    return (
        f"The simulation {wanted.scenario} has started: {wanted.rate} readings a second from {wanted.targets} "
        f"services, {wanted.mode.value}.{healed}"
    )


def _wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STOP_WAIT_SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(STOP_POLL_SECONDS)
