"""What the API answers about metrics, as `metrics.api.views` makes it."""

from typing import Annotated

from msgspec import Meta

from metrics import ranges
from vigil.http.answers import Answer, Moment, Page, among


class Series(Answer, frozen=True, kw_only=True):
    """A metric with its tags, and its newest value."""

    id: int
    name: str
    tags: dict[str, str]
    target: str
    last_value: float | None
    last_at: Moment | None


class AllSeries(Page, frozen=True, kw_only=True):
    """A page of series."""

    metrics: list[Series]


class SeriesPoints(Answer, frozen=True, kw_only=True):
    """A series over time."""

    tags: dict[str, str]
    target: str
    points: Annotated[list[tuple[Moment, float]], Meta(description="Of each step that has samples, oldest first.")]


class MetricRange(Answer, frozen=True, kw_only=True):
    """A metric over time."""

    metric: str
    step_seconds: int
    aggregate: Annotated[str, among(ranges.AGGREGATES)]
    resolution_seconds: Annotated[
        int, Meta(description="Length of the coarsest rollups it was read from; 0: from the samples themselves.")
    ]
    missing_before: Annotated[
        Moment | None,
        Meta(description="What is older is not kept, in steps such as these; null if nothing is missing."),
    ]
    series: list[SeriesPoints]
