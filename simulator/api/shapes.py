"""What a start may ask for, checked strictly."""

from typing import Annotated

import msgspec
from msgspec import Meta

from simulator import scenarios
from simulator.configuration import Configuration
from simulator.pace import Mode
from simulator.runs import FIRST_NUMBER
from vigil.kernel.errors import FieldError, Invalid

type Percent = Annotated[float, Meta(ge=0, le=100)]


class StartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST simulator/start; every field has a default."""

    rate: Annotated[int, Meta(ge=1, le=5000)] = 100
    mode: Mode = Mode.STEADY
    scenario: str = "mixed"
    targets: Annotated[int, Meta(ge=1, le=1000)] = 20
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 1
    failure_percent: Percent | None = None
    timeout_percent: Percent | None = None
    malformed_percent: Percent | None = None


def configuration(body: StartBody) -> Configuration:
    """The configuration asked for. Raises Invalid for an unknown scenario or percentages that exceed the whole."""
    try:
        scenarios.find(body.scenario)
    except scenarios.UnknownScenario as error:
        raise Invalid(str(error), errors=[FieldError(path="scenario", message=str(error))]) from error
    wanted = Configuration(**msgspec.structs.asdict(body), first=FIRST_NUMBER)
    chaos = wanted.chaos()
    if chaos.failure + chaos.timeout + chaos.malformed > 100:
        message = (
            "failure_percent, timeout_percent and malformed_percent are shares of the same sends: at most 100 in all."
        )
        raise Invalid(message, errors=[FieldError(path="failure_percent", message=message)])
    return wanted
