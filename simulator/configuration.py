"""What a simulation is asked to do."""

from dataclasses import asdict, dataclass

from simulator.pace import Mode

CHAOS_FAILURE_PERCENT = 10.0
CHAOS_TIMEOUT_PERCENT = 5.0
CHAOS_MALFORMED_PERCENT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All of a simulation's choices. Percentages left at None are 0, except in chaos mode."""

    scenario: str = "mixed"
    mode: Mode = Mode.STEADY
    rate: int = 100
    """Readings per second over the whole fleet."""
    targets: int = 20
    seed: int = 1
    first: int = 1
    """The number of each role's first service: web-01 for 1."""
    failure_percent: float | None = None
    timeout_percent: float | None = None
    malformed_percent: float | None = None

    def chaos(self) -> "Chaos":
        """The percentages in force."""
        chaotic = self.mode is Mode.CHAOS
        return Chaos(
            failure=_or(self.failure_percent, CHAOS_FAILURE_PERCENT if chaotic else 0.0),
            timeout=_or(self.timeout_percent, CHAOS_TIMEOUT_PERCENT if chaotic else 0.0),
            malformed=_or(self.malformed_percent, CHAOS_MALFORMED_PERCENT if chaotic else 0.0),
        )

    def as_json(self) -> dict[str, object]:
        """The configuration with the percentages in force, as the API shows it."""
        chaos = self.chaos()
        shown = {
            "failure_percent": chaos.failure,
            "timeout_percent": chaos.timeout,
            "malformed_percent": chaos.malformed,
        }
        return asdict(self) | {"mode": self.mode.value} | shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """How much goes wrong on purpose, in percent: of the remediator's answers and of the agent's own sends."""

    failure: float = 0.0
    timeout: float = 0.0
    malformed: float = 0.0

    def pick(self, roll: float) -> str:
        """What a roll in [0, 100) comes to: "failure", "timeout", "malformed" or "" for nothing wrong."""
        edges = (("failure", self.failure), ("timeout", self.timeout), ("malformed", self.malformed))
        for name, percent in edges:
            if roll < percent:
                return name
            roll -= percent
        return ""


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
