"""How query parameters are described: each function stands for the one of that name in `vigil.http.query`."""

from collections.abc import Collection

from drf_spectacular.utils import OpenApiParameter

from vigil.http import pagination, query

type Schema = dict[str, object]


def text(name: str, description: str = "", *, required: bool = False) -> OpenApiParameter:
    """What `query.text` reads."""
    return _parameter(name, {"type": "string", "maxLength": query.LONGEST_TEXT}, description, required=required)


def choice(name: str, choices: Collection[str], description: str = "", *, default: str = "") -> OpenApiParameter:
    """What `query.choice` reads."""
    standard: Schema = {"default": default} if default else {}
    return _parameter(name, {"type": "string", "enum": [str(one) for one in choices], **standard}, description)


def whole(name: str, description: str = "", *, least: int, most: int, default: int | None = None) -> OpenApiParameter:
    """What `query.whole` reads."""
    standard: Schema = {} if default is None else {"default": default}
    return _parameter(name, {"type": "integer", "minimum": least, "maximum": most, **standard}, description)


def moment(name: str, description: str = "") -> OpenApiParameter:
    """What `query.moment` reads."""
    seconds = {"type": "string", "pattern": f"^{query.EPOCH_SECONDS.pattern}$", "title": "Epoch seconds"}
    return _parameter(name, {"anyOf": [{"type": "string", "format": "date-time"}, seconds]}, description)


def passed_over(name: str) -> OpenApiParameter:
    """What clients of other systems say and nothing reads."""
    return _parameter(name, {"type": "string"}, "Passed over.")


def header(name: str, schema: Schema, description: str = "") -> OpenApiParameter:
    """A header that may be left out."""
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=description)


def path(name: str, choices: Collection[str]) -> OpenApiParameter:
    """A part of the address that is one of a few words."""
    schema: Schema = {"type": "string", "enum": [str(one) for one in choices]}
    return OpenApiParameter(name, schema, OpenApiParameter.PATH)


def _parameter(name: str, schema: Schema, description: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=description, required=required)


PAGE = (
    whole("limit", least=1, most=pagination.LIMIT_MAX, default=pagination.LIMIT_DEFAULT),
    whole("offset", least=0, most=pagination.OFFSET_MAX, default=0),
)
"""What `pagination.page` reads."""
SPAN = (moment("since", "From then on."), moment("until", "Before then."))
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$"},
    "The same request with the same key counts once.",
)
