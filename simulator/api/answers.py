"""What the API answers about simulations, as `simulator.runs` and `simulator.runner` report it."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from simulator.pace import Mode
from vigil.http.answers import Answer, Moment, among


class SimulatorConfiguration(Answer, frozen=True, kw_only=True):
    """What a simulation was asked to do, with the percentages in force."""

    scenario: str | None
    mode: Annotated[str, among(Mode)]
    rate: Annotated[int, Meta(description="Readings a second.")]
    targets: int
    seed: int
    first: Annotated[int, Meta(description="The number of each role's first service.")]
    failure_percent: float
    timeout_percent: float
    malformed_percent: float


class SimulatorReport(Answer, frozen=True, kw_only=True):
    """How a simulation went, or goes."""

    rate: int
    mode: Annotated[str, among(Mode)]
    scenario: str | None
    events_generated: int
    events_resent: int
    events_succeeded: int
    events_failed: int
    events_rate_limited: int
    events_timeout: int
    events_malformed: int
    events_malformed_accepted: int | UnsetType = UNSET
    answers: dict[str, int] | UnsetType = UNSET
    incidents_opened: int
    healed: int
    mean_time_to_heal_seconds: float | None
    broken_now: dict[str, str] | UnsetType = UNSET
    started_at: Moment | None
    last_event_at: Moment | None
    uptime_seconds: float
    configuration: SimulatorConfiguration | UnsetType = UNSET


class SimulatorStatus(SimulatorReport, frozen=True, kw_only=True):
    """How the running simulation, or the latest one, stands."""

    running: bool
    message: str


class SimulatorStarted(Answer, frozen=True, kw_only=True):
    """A simulation runs."""

    ok: bool
    message: str
    running: bool
    configuration: SimulatorConfiguration


class SimulatorStopped(Answer, frozen=True, kw_only=True):
    """No simulation runs any more."""

    ok: bool
    message: str
    running: bool
    summary: SimulatorReport
