"""What the answers of the API consist of: each app declares its own beside the code that makes them.

Nothing is built from these; the OpenAPI document is made of them, and the tests hold every answer against it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

type Moment = Annotated[datetime, Meta(tz=True)]
type Json = dict[str, object]


def among(words: Iterable[str], description: str | None = None) -> Meta:
    """What a text is annotated with that is one of `words`."""
    return Meta(description=description, extra_json_schema={"enum": [str(word) for word in words]})


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object that has these fields and no others; those that are UNSET may be left out."""


class Page(Answer, frozen=True, kw_only=True):
    """What every list has."""

    count: Annotated[
        int,
        Meta(ge=0, description="How many there are on all pages; 10001 says more than 10000, which are not counted."),
    ]
    next: Annotated[str, Meta(description="The address of the next page.")] | None
    previous: str | None


def partial(name: str, shape: type[msgspec.Struct], description: str, *more: tuple[str, Any]) -> type[msgspec.Struct]:
    """The shape of a partial body: every field of `shape`, and `more` of them, may be left out."""
    fields = [*((one.encode_name, one.type) for one in msgspec.structs.fields(shape)), *more]
    return msgspec.defstruct(
        name,
        [(field, kind | UnsetType, UNSET) for field, kind in fields],
        namespace={"__doc__": description},
        forbid_unknown_fields=True,
    )
