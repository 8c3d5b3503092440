"""What a piece of PromQL became, and whose number it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.engine.conditions import Condition, Forecast, Measure


class Untranslatable(ValueError):
    """The condition table cannot say this; `kind` groups reasons for a statistic."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose number or verdict it is."""

    labels: frozenset[str] | None = None
    """Of a group by these labels; the empty set is everything together, and None is each series for itself."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """Labels that every series in it has with this one value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotient:
    """One measure over another."""

    over: Measure
    under: Measure


type Base = Measure | Quotient | Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`scale` times what the base says, plus `offset`."""

    base: Base
    scope: Scope
    scale: float = 1.0
    offset: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A condition, without its `for` and without the labels it groups by."""

    condition: Condition
    scope: Scope
    notes: tuple[str, ...] = ()


def common(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """The labels that both have with the same value."""
    return {label: value for label, value in one.items() if other.get(label) == value}
