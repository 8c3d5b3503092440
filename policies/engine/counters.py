"""How far and how fast a counter or gauge moved in a window, reckoned as Prometheus 2.42 does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from policies.engine.values import Sample

_NEAR = 1.1
"""Samples this many usual distances from an edge of the window are taken to go on up to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when a window reaches."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


def increase(samples: Sequence[Sample], span: Span) -> float | None:
    """The climb of a counter over the whole window; where it fell it was reset and counts from zero again."""
    climbed = _climbed(samples)
    if climbed is None:
        return None
    return climbed * _stretch(samples, span, to_zero=_seconds_to_zero(samples, climbed))


def rate(samples: Sequence[Sample], span: Span) -> float | None:
    """That climb for each second of the window."""
    climbed = _climbed(samples)
    if climbed is None or span.seconds <= 0:
        return None
    # The factor is divided first, as Prometheus does, so that even the last digit is the same at a threshold.
    return climbed * (_stretch(samples, span, to_zero=_seconds_to_zero(samples, climbed)) / span.seconds)


def delta(samples: Sequence[Sample], span: Span) -> float | None:
    """How far a gauge moved over the whole window."""
    if _sampled(samples) <= 0:
        return None
    return (samples[-1].value - samples[0].value) * _stretch(samples, span, to_zero=None)


def _sampled(samples: Sequence[Sample]) -> float:
    return (samples[-1].at - samples[0].at).total_seconds() if len(samples) > 1 else 0.0


def _climbed(samples: Sequence[Sample]) -> float | None:
    if _sampled(samples) <= 0:
        return None
    resets = sum(before.value for before, now in pairwise(samples) if now.value < before.value)
    return samples[-1].value - samples[0].value + resets


def _seconds_to_zero(samples: Sequence[Sample], climbed: float) -> float | None:
    """How long before the first sample the counter would have stood at zero: it cannot have begun earlier."""
    first = samples[0].value
    return _sampled(samples) * (first / climbed) if climbed > 0 and first >= 0 else None


def _stretch(samples: Sequence[Sample], span: Span, *, to_zero: float | None) -> float:
    """By how much the movement between the samples grows when it is drawn on to the edges of the window."""
    sampled = _sampled(samples)
    usual = sampled / (len(samples) - 1)
    before = max(0.0, (samples[0].at - span.start).total_seconds())
    if to_zero is not None:
        before = min(before, to_zero)
    after = max(0.0, (span.end - samples[-1].at).total_seconds())
    return (sampled + _reach(before, usual) + _reach(after, usual)) / sampled


def _reach(gap: float, usual: float) -> float:
    """Near an edge the series is taken to go on up to it; far from it, to have begun or ended in between."""
    return gap if gap < usual * _NEAR else usual / 2
