"""The line a finite number must not cross: a threshold or a band, each with its own way back."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

from policies.engine import numerals
from policies.engine.conditions import Band, Compare, Comparison, Outside, Ratio
from policies.engine.sentences import SIGNS, band_text

_TESTS: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.EXCEEDS: operator.gt,
    Comparison.BELOW: operator.lt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.AT_MOST: operator.le,
    Comparison.EQUALS: operator.eq,
    Comparison.NOT_EQUALS: operator.ne,
}
_OPPOSITES = {
    Comparison.EXCEEDS: "<=",
    Comparison.BELOW: ">=",
    Comparison.AT_LEAST: "<",
    Comparison.AT_MOST: ">",
    Comparison.EQUALS: "!=",
    Comparison.NOT_EQUALS: "==",
}
UPWARD = (Comparison.EXCEEDS, Comparison.AT_LEAST)
DOWNWARD = (Comparison.BELOW, Comparison.AT_MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    comparison: Comparison
    threshold: float
    recover: float | None = None
    """Given only while the condition was violated before."""

    def broken_by(self, value: float) -> bool:
        return self._crossed(value) or self._not_back(value)

    def excess(self, value: float) -> float:
        """Larger is nearer to violation, or further into it."""
        if self.comparison in UPWARD:
            return value
        if self.comparison in DOWNWARD:
            return -value
        distance = abs(value - self.threshold)
        return distance if self.comparison is Comparison.NOT_EQUALS else -distance

    def statement(self, value: float) -> str:
        """What is true of this number, as in `92 > 90`."""
        if self._crossed(value):
            return self._said(value, SIGNS[self.comparison], self.threshold)
        if self.recover is None:
            return self._said(value, _OPPOSITES[self.comparison], self.threshold)
        back = "<" if self.comparison in UPWARD else ">"
        return self._said(value, f"not yet {back}" if self._not_back(value) else back, self.recover)

    def numbers(self) -> dict[str, float | str | None]:
        numbers: dict[str, float | str | None] = {"threshold": self.threshold}
        return numbers if self.recover is None else numbers | {"recover": self.recover}

    def _crossed(self, value: float) -> bool:
        return _TESTS[self.comparison](value, self.threshold)

    def _not_back(self, value: float) -> bool:
        if self.recover is None:
            return False
        return value >= self.recover if self.comparison in UPWARD else value <= self.recover

    def _said(self, value: float, sign: str, limit: float) -> str:
        return f"{numerals.shown(value, limit)} {sign} {numerals.exact(limit)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BandBound:
    band: Band
    recover: Band | None = None

    def broken_by(self, value: float) -> bool:
        return self._crossed(value) or self._not_back(value)

    def excess(self, value: float) -> float:
        return max(self.band.low - value, value - self.band.high)

    def statement(self, value: float) -> str:
        text = numerals.shown(value, self.band.low, self.band.high)
        if self._crossed(value):
            return f"{text} outside {band_text(self.band)}"
        if self._not_back(value) and self.recover is not None:
            return f"{text} not yet within {band_text(self.recover)}"
        return f"{text} within {band_text(self.recover or self.band)}"

    def numbers(self) -> dict[str, float | str | None]:
        return {"low": self.band.low, "high": self.band.high}

    def _crossed(self, value: float) -> bool:
        return value < self.band.low or value > self.band.high

    def _not_back(self, value: float) -> bool:
        return self.recover is not None and not self.recover.low < value < self.recover.high


type Bound = Threshold | BandBound


def bound_of(condition: Compare | Outside | Ratio, *, was_violated: bool) -> Bound:
    """The bound in force: with the way back only once the condition was violated."""
    if isinstance(condition, Outside):
        return BandBound(band=condition.band, recover=condition.recover if was_violated else None)
    recover = condition.recover if was_violated else None
    return Threshold(comparison=condition.comparison, threshold=condition.threshold, recover=recover)
