"""The bodies that are read field by field, so that one answer names all that is wrong; here they are only described."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from policies.authoring import NOTE_MAX
from policies.documents import PolicyBody
from policies.engine import calendar
from policies.engine.rehearsal import file
from policies.engine.schema import json_schema
from policies.muting import bodies
from vigil.http import schema
from vigil.http.answers import Json, Moment, among, partial

type _Duration = Annotated[str, Meta(description="Such as 30s, 5m, 2h or 1d.")]
type _Matcher = str | MatcherBody
type _Matchers = Annotated[
    list[_Matcher], Meta(max_length=bodies.MATCHERS_MAX, description="All have to fit, as in `target = web-*`.")
]
type _Wall = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
type _Comment = Annotated[str, Meta(max_length=bodies.COMMENT_MAX)]


type Condition = Annotated[Json, schema.component("Condition", json_schema())]


class MatcherBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A matcher in its parts."""

    name: Annotated[str, Meta(description="target, policy, severity or a tag.")]
    operator: str
    value: str


class SilenceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A silence: `matchers`, or an `incident_id`, or both; how long it lasts as `ends_at` or `duration`."""

    matchers: _Matchers | None = None
    comment: _Comment
    starts_at: Annotated[Moment, Meta(description="Now if left out.")] | None = None
    ends_at: Moment | None = None
    duration: _Duration | None = None
    incident_id: Annotated[int, Meta(gt=0)] | None = None


class WeeklyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours of the week, by the clock on a wall."""

    days: Annotated[list[Annotated[str, among(calendar.DAYS)]], Meta(min_length=1)]
    from_: _Wall = field(name="from")
    to: _Wall
    timezone: Annotated[str, Meta(description="Such as Europe/Berlin or UTC.")]


class MaintenanceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A maintenance window: once, with an end, or `weekly`."""

    target: Annotated[str, Meta(description="A pattern of targets.")]
    comment: _Comment
    starts_at: Annotated[Moment, Meta(description="Now if left out.")] | None = None
    ends_at: Moment | None = None
    duration: _Duration | None = None
    weekly: WeeklyBody | None = None


class InhibitionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """While an incident that fits `source` is open, those that fit `target` are held."""

    name: Annotated[str, Meta(max_length=bodies.NAME_MAX)]
    comment: _Comment | None = None
    source: _Matchers
    target: _Matchers
    equal: Annotated[list[str], Meta(max_length=bodies.MATCHERS_MAX, description="Tags in which both agree.")] = []


class MatchersBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Matchers alone."""

    matchers: _Matchers


class TargetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern of targets alone."""

    target: str


class NewPolicy(PolicyBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new policy. Durations are texts such as 30s, 5m, 2h or 1d; the condition is a sentence or an object."""

    condition: Condition | Annotated[str, Meta(description="As a sentence.")]
    note: Annotated[str, Meta(max_length=NOTE_MAX, description="Why.")] = ""


class ExpectationBody(file.ExpectationBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What should be at a time."""

    incidents: list[file.IncidentBody] | UnsetType = UNSET  # type: ignore[assignment]
    actions: list[file.ActionBody] | UnsetType = UNSET  # type: ignore[assignment]
    held: list[file.HoldBody] | UnsetType = UNSET  # type: ignore[assignment]
    verdicts: list[file.VerdictBody] | UnsetType = UNSET  # type: ignore[assignment]


class TestBody(file.TestBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test: series in, what should come of them out."""

    expect: Annotated[list[ExpectationBody], Meta(min_length=1, max_length=file.MOST_EXPECTATIONS)]  # type: ignore[assignment]
    input_series: Annotated[list[file.SeriesBody], Meta(max_length=file.MOST_SERIES)] = []  # type: ignore[assignment]
    events: Annotated[list[file.EventBody], Meta(max_length=file.MOST_EVENTS)] = []  # type: ignore[assignment]
    unwatched: Annotated[list[file.StretchBody], Meta(max_length=100)] = []  # type: ignore[assignment]


class TestFileBody(file.FileBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy test file; its policies are written out."""

    policies: Annotated[list[PolicyBody], Meta(min_length=1, max_length=500)]  # type: ignore[assignment]
    tests: Annotated[list[TestBody], Meta(min_length=1, max_length=file.MOST_TESTS)]  # type: ignore[assignment]


_PASSED_OVER = Annotated[object, Meta(description="Passed over.")]
_SHOWN = (
    ("version", Annotated[int, Meta(description="The one that was read; another one in force is a 412.")]),
    ("sentence", str),
    ("created_at", Moment),
    ("updated_at", _PASSED_OVER),
    ("author", str),
    ("demoted", _PASSED_OVER),
    ("warnings", _PASSED_OVER),
    ("health", _PASSED_OVER),
)
PolicyChange = partial(
    "PolicyChange",
    NewPolicy,
    "Those fields of a policy that change; what GET shows beside them may stand there too.",
    *_SHOWN,
)
SilenceChange = partial("SilenceChange", SilenceBody, "Those fields of a silence that change.")
MaintenanceChange = partial("MaintenanceChange", MaintenanceBody, "Those fields of a maintenance window that change.")
InhibitionChange = partial("InhibitionChange", InhibitionBody, "Those fields of an inhibition rule that change.")
