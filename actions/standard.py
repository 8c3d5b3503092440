"""The action types a new installation begins with. Pure data; the first migration holds the same as it was then."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardType:
    """One action type as it is delivered."""

    name: str
    description: str
    retry_safety: str
    properties: Mapping[str, object]
    required: tuple[str, ...] = ()
    open: bool = False
    """Whether parameters beyond the named ones are taken."""
    rollback: str = ""
    """The type that undoes it."""
    tells: bool = False
    """Goes to the pager: it tells people and mends nothing."""

    @property
    def schema(self) -> dict[str, object]:
        """JSON Schema of the parameters."""
        schema: dict[str, object] = {
            "title": self.name,
            "type": "object",
            "properties": dict(self.properties),
            "additionalProperties": self.open,
        }
        return schema | ({"required": list(self.required)} if self.required else {})


_NAME: Mapping[str, object] = {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"}
_REPLICAS: Mapping[str, object] = {"type": "integer", "minimum": 0, "maximum": 10000}
_TEXT: Mapping[str, object] = {"type": "string", "minLength": 1, "maxLength": 1000}
_SECONDS: Mapping[str, object] = {"type": "integer", "minimum": 0, "maximum": 3600}
_PLACE: Mapping[str, object] = {"namespace": _NAME, "service": _NAME}

STANDARD_TYPES: tuple[StandardType, ...] = (
    StandardType(
        name="scale-up",
        description="Run more copies of the target.",
        retry_safety="natural",
        properties={"replicas": _REPLICAS, **_PLACE},
        rollback="scale-down",
    ),
    StandardType(
        name="scale-down",
        description="Run fewer copies of the target.",
        retry_safety="natural",
        properties={"replicas": _REPLICAS, **_PLACE},
        rollback="scale-up",
    ),
    StandardType(
        name="restart",
        description="Stop the target and start it again.",
        retry_safety="at_most_once",
        properties={"grace_seconds": _SECONDS, **_PLACE},
    ),
    StandardType(
        name="restart-service",
        description="Restart the service on the target.",
        retry_safety="at_most_once",
        properties={"grace_seconds": _SECONDS, **_PLACE},
    ),
    StandardType(
        name="drain-pod",
        description="Move the work off the pod, then remove it.",
        retry_safety="at_most_once",
        properties={"grace_seconds": _SECONDS, "pod": _NAME, **_PLACE},
    ),
    StandardType(
        name="rebalance",
        description="Spread load or data evenly again.",
        retry_safety="at_most_once",
        properties=_PLACE,
    ),
    StandardType(
        name="snapshot",
        description="Keep a copy of the target's present state.",
        retry_safety="at_most_once",
        properties={"name": _NAME, **_PLACE},
    ),
    StandardType(
        name="custom",
        description="Whatever the remediator makes of the parameters.",
        retry_safety="at_most_once",
        properties={},
        open=True,
    ),
    StandardType(
        name="page",
        description="Call a person: the pager is told about the incident.",
        retry_safety="natural",
        properties={"to": _NAME, "message": _TEXT},
        tells=True,
    ),
)
