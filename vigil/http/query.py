"""Query parameters, read strictly."""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from vigil.kernel.errors import FieldError, Invalid

LONGEST_TEXT = 250
EPOCH_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")


def only(request: Request, names: Collection[str]) -> None:
    """Refuse parameters the endpoint does not know: a misspelt filter must not answer with everything."""
    unknown = sorted(set(request.query_params) - set(names))
    if unknown:
        known = f"there are {', '.join(sorted(names))}" if names else "there are none here"
        raise _invalid(unknown[0][:80], f"unknown parameter; {known}.")


def text(request: Request, name: str, *, default: str = "") -> str:
    """A text of at most 250 characters without control characters."""
    value = request.query_params.get(name, default)
    if len(value) > LONGEST_TEXT or not value.isprintable():
        raise _invalid(name, f"must be printable and at most {LONGEST_TEXT} characters long.")
    return value


def choice(request: Request, name: str, choices: Collection[str], *, default: str = "") -> str:
    """One of `choices`, or the default when absent."""
    value = text(request, name, default=default)
    if value != default and value not in choices:
        raise _invalid(name, f"must be one of {', '.join(sorted(choices))}.")
    return value


def whole(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    value = text(request, name, default=str(default))
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12) or not least <= int(value) <= most:
        raise _invalid(name, f"must be a whole number from {least} to {most}.")
    return int(value)


def moment(request: Request, name: str, *, default: datetime | None = None) -> datetime | None:
    """A time: RFC 3339 with a zone, or epoch seconds."""
    value = text(request, name)
    if value == "":
        return default
    if EPOCH_SECONDS.fullmatch(value):
        return datetime.fromtimestamp(float(value), UTC)
    try:
        parsed = parse_datetime(value.replace(" ", "+"))
        if parsed is not None and parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the year 1 east of Greenwich is as unusable as "yesterday"
    raise _invalid(name, "must be a time with a zone, such as 2026-01-19T12:00:00Z, or epoch seconds.")


def _invalid(name: str, message: str) -> Invalid:
    return Invalid(f"{name}: {message}", errors=[FieldError(path=name, message=message)])
