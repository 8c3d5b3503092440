"""What a person reads who sent a body that does not fit."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from vigil.http import misfits
from vigil.kernel.errors import FieldError


class Pace(StrEnum):
    STEADY = "steady"
    BURST = "burst"


class Rate(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=9)]
    per: Annotated[str, Meta(pattern="^[0-9]+m$")] = "1m"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    severity: Literal["", "info", "warning"] | UnsetType = UNSET
    pace: Pace = Pace.STEADY
    rate: Rate | UnsetType = UNSET
    rates: list[Rate] = []
    by_name: dict[str, Rate] = {}
    metrics: dict[str, float] = {}
    condition: dict[str, object] | str = ""
    tags: Annotated[dict[str, str], Meta(max_length=1)] = {}


FIELDS = "name, severity, pace, rate, rates, by_name, metrics, condition, tags"
MISFITS: dict[str, tuple[object, str, str]] = {
    "nothing": ({}, "name", "is required"),
    "a list": ([], "", "must be an object, not a list"),
    "a number for a text": ({"name": 5}, "name", "must be text, not a whole number"),
    "null for a text": ({"name": None}, "name", "must be text, not null"),
    "an empty text": ({"name": ""}, "name", "must not be empty"),
    "a long text": ({"name": "abcdef"}, "name", "must have at most 5 characters"),
    "an unknown field": ({"name": "a", "nmae": 1}, "nmae", f"is not a field; known are {FIELDS}"),
    "an unknown field inside": (
        {"name": "a", "rate": {"count": 1, "pre": 1}},
        "rate.pre",
        "is not a field; known are count, per",
    ),
    "a missing field inside": ({"name": "a", "rates": [{"count": 1}, {}]}, "rates[1].count", "is required"),
    "an unknown choice": ({"name": "a", "severity": "high"}, "severity", "must be one of info, warning"),
    "an unknown choice of an enum": ({"name": "a", "pace": "fast"}, "pace", "must be one of steady, burst"),
    "too small": ({"name": "a", "rate": {"count": 0}}, "rate.count", "must be a whole number of at least 1"),
    "too large": ({"name": "a", "rate": {"count": 10**30}}, "rate.count", "must be a whole number of at most 9"),
    "a fraction": ({"name": "a", "rate": {"count": 1.5}}, "rate.count", "must be a whole number, not a fraction"),
    "true for a number": ({"name": "a", "metrics": {"x": True}}, "metrics[...]", "must be a number, not true or false"),
    "unknown in a table": (
        {"name": "a", "by_name": {"x": {"count": 1, "z": 1}}},
        "by_name[...].z",
        "is not a field; known are count, per",
    ),
    "one of two kinds": ({"name": "a", "condition": 5}, "condition", "must be text or an object, not a whole number"),
    "too many": ({"name": "a", "tags": {"a": "", "b": ""}}, "tags", "must have at most 1 entries"),
    "another form": ({"name": "a", "rate": {"count": 1, "per": "x"}}, "rate.per", "must be text of the form ^[0-9]+m$"),
}


@pytest.mark.parametrize(("sent", "path", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_a_misfit_is_told_with_its_place(sent: object, path: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(sent, Body)
    assert misfits.field_error(caught.value, Body) == FieldError(path=path, message=message)
