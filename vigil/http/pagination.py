"""Pages by limit and offset, in the API's shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.request import Request

from vigil.http import query

LIMIT_DEFAULT, LIMIT_MAX, OFFSET_MAX = 50, 200, 10**9
COUNTED_MOST = 10_000
"""Rows that are counted: of a million, counting takes longer than reading the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """One page of a list."""

    count: int
    """One more than `COUNTED_MOST` for any number beyond it."""
    next: str | None
    previous: str | None
    rows: Sequence[T]

    def head(self) -> dict[str, object]:
        """The part of the answer that every list has."""
        return {"count": self.count, "next": self.next, "previous": self.previous}


def page(
    request: Request, rows: QuerySet[Any], *, limit_default: int = LIMIT_DEFAULT, limit_max: int = LIMIT_MAX
) -> Page[Any]:
    """The page that `limit` and `offset` ask for; the rows must be ordered."""
    limit = query.whole(request, "limit", default=limit_default, least=1, most=limit_max)
    offset = query.whole(request, "offset", default=0, least=0, most=OFFSET_MAX)
    found = list(rows[offset : offset + limit + 1])
    return Page(
        count=counted(rows),
        next=_address(request, limit=limit, offset=offset + limit) if len(found) > limit else None,
        previous=_address(request, limit=limit, offset=max(0, offset - limit)) if offset > 0 else None,
        rows=found[:limit],
    )


def counted(rows: QuerySet[Any]) -> int:
    """How many there are, up to one more than `COUNTED_MOST`."""
    return rows.order_by()[: COUNTED_MOST + 1].count()


def _address(request: Request, *, limit: int, offset: int) -> str:
    kept = {name: value for name, value in request.query_params.items() if name not in {"limit", "offset"}}
    return request.build_absolute_uri(f"{request.path}?{urlencode({**kept, 'limit': limit, 'offset': offset})}")
