"""GET /metrics and GET /metrics/query: what is stored."""

import re
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from metrics import ranges
from metrics.api import answers
from metrics.formats import text
from metrics.models import Series
from vigil.access import bounds, scopes
from vigil.access.principal import Principal
from vigil.http import pagination, parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.errors import FieldError, Invalid

_LIST = ("name", "target", "limit", "offset")
_RANGE = ("metric", "target", "since", "until", "step", "aggregate")
_HOUR = timedelta(hours=1)
_FIRST = datetime(1970, 1, 2, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_STEP_MOST = timedelta(days=366)
_STEP_TEXT = re.compile(r"([0-9]{1,6})([smhd])")
_STEP = OpenApiParameter(
    "step",
    {"type": "string", "pattern": f"^{_STEP_TEXT.pattern}$"},
    description="Such as 30s, 5m, 2h or 1d; one that gives about 300 points if left out.",
)


class SeriesView(ApiView):
    """The series there are, with the newest value of each."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="metrics_list",
        summary="List series",
        parameters=[parameters.text("name"), parameters.text("target"), *parameters.PAGE],
        responses=schema.answers({200: answers.AllSeries}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, _LIST)
        page = pagination.page(request, _matching(request, self.caller(request)))
        return Response({**page.head(), "metrics": [_shape(series) for series in page.rows]})


class RangeView(ApiView):
    """One metric over time, gathered into steps."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        summary="Query a metric over time",
        parameters=[
            parameters.text("metric", "Its name.", required=True),
            parameters.text("target"),
            parameters.moment("since", "An hour before `until` if left out."),
            parameters.moment("until", "Now if left out."),
            _STEP,
            parameters.choice("aggregate", ranges.AGGREGATES, default="avg"),
        ],
        responses=schema.answers({200: answers.MetricRange}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, _RANGE)
        asked = _range(request, self.caller(request), self.at(request))
        found = ranges.read(asked)
        answer = {
            "metric": asked.metric,
            "step_seconds": int(asked.step.total_seconds()),
            "aggregate": asked.aggregate,
            "resolution_seconds": int(found.resolution.total_seconds()),
            "missing_before": found.missing_before,
        }
        series = [{"tags": one.tags, "target": one.target, "points": one.points} for one in found.series]
        return Response({**answer, "series": series})


def _matching(request: Request, caller: Principal) -> QuerySet[Series]:
    found = Series.objects.filter(bounds.among(caller.targets)).order_by("name", "target", "id")
    if name := query.text(request, "name"):
        found = found.filter(name=name)
    if target := query.text(request, "target"):
        found = found.filter(target=target)
    return found


def _shape(series: Series) -> dict[str, object]:
    return {
        "id": series.pk,
        "name": series.name,
        "tags": series.tags,
        "target": series.target,
        "last_value": series.last_value,
        "last_at": series.last_at,
    }


def _range(request: Request, caller: Principal, at: datetime) -> ranges.Range:
    until = query.moment(request, "until", default=at) or at
    if until < _FIRST:
        raise _invalid("until", "must be after 1970")
    since = query.moment(request, "since") or until - _HOUR
    return ranges.Range(
        metric=_metric(request),
        target=query.text(request, "target"),
        since=since,
        until=until,
        step=_step(request) or ranges.step_for(since=since, until=until),
        aggregate=query.choice(request, "aggregate", ranges.AGGREGATES, default="avg"),
        at=at,
        within=bounds.among(caller.targets),
    )


def _metric(request: Request) -> str:
    name = query.text(request, "metric")
    flaw = text.name_flaw(name)
    if flaw:
        raise _invalid("metric", f"{flaw}; name one, such as metric=cpu_usage")
    return name


def _step(request: Request) -> timedelta | None:
    """The step asked for; None: none was."""
    wanted = query.text(request, "step")
    if wanted == "":
        return None
    match = _STEP_TEXT.fullmatch(wanted)
    step = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta(0)
    if not timedelta(0) < step <= _STEP_MOST:
        raise _invalid("step", "must be a duration such as 30s, 5m, 2h or 1d, at most 366d")
    return step


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(f"{path}: {message}.", errors=[FieldError(path=path, message=message)])
