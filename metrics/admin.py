"""What was sensed, to be looked at: series with their last hours, and events. Single samples have no page."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from metrics import queries, ranges
from metrics.models import Event, Series
from metrics.queries import Point
from metrics.ranges import Range
from vigil.access import marks, scoped
from vigil.access.scoped import LongList
from vigil.kernel import clock
from vigil.kernel.errors import Invalid

SHOWN_FOR = timedelta(hours=3)
LONGER = {
    "day": ("the last day", timedelta(days=1)),
    "week": ("the last week", timedelta(days=7)),
    "month": ("the last 30 days", timedelta(days=30)),
    "year": ("the last year", timedelta(days=365)),
}
"""Times to choose that are drawn from averages."""
POINTS_MAX = 600
NEWEST = 20


@admin.register(Series)
class SeriesAdmin(LongList[Series]):
    """Every metric with each set of tags, and its newest value."""

    list_display = ("name", "target", "shown_tags", "shown_value", "last_at")
    search_fields = ("name", "target")
    search_help_text = "Metric or target"
    ordering = ("name", "target")

    @admin.display(description="tags")
    def shown_tags(self, obj: Series) -> str:
        return ", ".join(f"{key}={value}" for key, value in sorted(obj.tags.items())) or "none"

    @admin.display(description="newest value", ordering="last_value")
    def shown_value(self, obj: Series) -> str | None:
        return None if obj.last_value is None else f"{obj.last_value:,.6g}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "GET":
            scoped.demand(request, scoped.NOBODY)
        row = self.get_queryset(request).filter(pk=object_id).first() if object_id.isdecimal() else None
        if row is None:
            raise Http404("There is no such series; one that is silent for long is dropped.")
        at = clock.now()
        shown, span = LONGER.get(request.GET.get("last", ""), ("the last three hours", SHOWN_FOR))
        points, step = _points(row, at) if span == SHOWN_FOR else _averages(row, at, span)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{row.name} of {row.target}",
            "object": row,
            "points": points,
            "newest": points[-NEWEST:][::-1],
            "line": polyline(points[-POINTS_MAX:]),
            "low": min((point.value for point in points), default=None),
            "high": max((point.value for point in points), default=None),
            "at": at,
            "shown": shown,
            "step": step,
            "longer": LONGER,
        }
        return TemplateResponse(request, "console/series.html", context)


@admin.register(Event)
class EventAdmin(LongList[Event]):
    """Things that happened: deploys, alerts of others."""

    list_display = ("name", "shown_severity", "target", "at")
    list_filter = ("severity",)
    search_fields = ("name", "target")
    search_help_text = "Event or target"
    ordering = ("-at",)
    fields = ("name", "severity", "target", "tags", "payload", "at", "received_at")

    @admin.display(description="severity", ordering="severity")
    def shown_severity(self, obj: Event) -> str:
        return marks.tag(obj.severity)


def polyline(points: tuple[Point, ...]) -> str:
    """The points as an SVG line in a box of 1000 by 100, time to the right."""
    if len(points) < 2:
        return ""
    first, last = points[0].at, points[-1].at
    low, high = min(point.value for point in points), max(point.value for point in points)
    span, height = (last - first).total_seconds() or 1.0, (high - low) or 1.0
    return " ".join(
        f"{(point.at - first).total_seconds() / span * 1000:.1f},{95 - (point.value - low) / height * 90:.1f}"
        for point in points
    )


def _points(row: Series, at: datetime) -> tuple[tuple[Point, ...], timedelta | None]:
    found = queries.window(metrics={row.name}, since=at - SHOWN_FOR, until=at, targets={row.target})
    return next((one.points for one in found if one.series_id == row.pk), ()), None


def _averages(row: Series, at: datetime, span: timedelta) -> tuple[tuple[Point, ...], timedelta]:
    """Of about 300 steps, and how long such a step is."""
    since = at - span
    step = ranges.step_for(since=since, until=at)
    asked = Range(
        metric=row.name,
        target=row.target,
        since=since,
        until=at,
        step=step,
        aggregate="avg",
        at=at,
        within=Q(pk=row.pk),
    )
    try:
        found = ranges.read(asked).series
    except Invalid:  # values too large to be added up have no average
        return (), step
    return tuple(Point(0, moment, value) for one in found for moment, value in one.points), step
