"""What every foreign protocol's address has in common: the same door, scopes, caps and judging as native ingest.

A protocol adds three things: how its body is decoded, how its clients want to be answered, and how they want refusals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from metrics import ingest
from metrics.formats import packing
from metrics.formats.reading import Decoded, Unreadable
from metrics.ingest import Receipt
from policies import intake
from policies.api import shapes, taking
from policies.intake import Accepted
from vigil.access import scopes
from vigil.access.principal import Principal
from vigil.http import exceptions, query
from vigil.http.views import ApiView
from vigil.kernel.errors import VigilError, summary

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the client is told."""

    status: int
    content: bytes = b""


class ProtocolView(ApiView):
    """POST only: bytes in, what the protocol's own clients expect out."""

    required_scopes = {"POST": scopes.INGEST}
    requests_per_minute = "VIGIL_INGEST_REQUESTS_PER_MINUTE"
    protocol: ClassVar[str]
    """For the log."""
    parameters: ClassVar[frozenset[str]] = frozenset()
    """Query parameters it knows."""
    nothing_stored_status: ClassVar[int] = 422
    """For a body that is understood, and none of whose values can be taken."""

    def post(self, request: Request) -> HttpResponse:
        """Decode, store, judge, answer."""
        at, caller = self.at(request), self.caller(request)
        query.only(request, self.parameters)
        body = self.raw_body(request)
        decoded = self.decode(request, body, at)
        receipt = taking.receipt(request, body, caller)
        answer = self._earlier(receipt, at) or self._taken(decoded, caller, receipt, at)
        return self._response(request, answer, decoded)

    def decode(self, request: Request, body: bytes, at: datetime) -> Decoded:
        """The readings in `body`; Unreadable when it is unusable."""
        raise NotImplementedError

    def answer(self, decoded: Decoded, accepted: Accepted) -> Answer:
        """What the client is told of a request that went in, at least in part."""
        return Answer(status=201, content=msgspec.json.encode(summed_up(decoded, accepted)))

    def answer_headers(self, decoded: Decoded) -> Mapping[str, str]:
        """What stands in the head of an answer."""
        return {}

    def answer_type(self, request: Request) -> str:
        """The content type of answers."""
        return JSON

    def refusal(self, request: Request, refusal: VigilError) -> Answer | None:
        """A refusal in the protocol's own words; None for Vigil's."""
        return None

    def plain(self, request: Request, body: bytes) -> bytes:
        """`body` without its gzip; Unreadable (400, 413, 415)."""
        encoding = request.headers.get("Content-Encoding", "")
        return packing.unpacked(body, encoding=encoding, most=settings.VIGIL_UNPACKED_MAX_BYTES)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # Clients say Accept: application/x-protobuf and the like; what is answered does not depend on it.
        return super().perform_content_negotiation(request, force=True)

    def handle_exception(self, exc: Exception) -> Any:
        response = super().handle_exception(exc)
        answer = self.refusal(self.request, exceptions.as_refusal(exc))
        if answer is None:
            return response
        refused = HttpResponse(answer.content, status=answer.status, content_type=self.answer_type(self.request))
        for name, value in response.headers.items():
            refused.headers.setdefault(name, value)
        return refused

    def _earlier(self, receipt: Receipt | None, at: datetime) -> Answer | None:
        if receipt is None:
            return None
        replay = ingest.replayed(key=receipt.key, digest=receipt.digest, actor=receipt.actor, at=at)
        return None if replay is None else Answer(status=replay.status, content=replay.content)

    def _taken(self, decoded: Decoded, caller: Principal, receipt: Receipt | None, at: datetime) -> Answer:
        self._refuse(decoded, caller, at)
        accepted = _nothing() if not decoded.items else self._accepted(decoded, caller, receipt, at)
        taking.count(decoded)
        answer = self.answer(decoded, accepted)
        if receipt is not None:
            ingest.remember(
                key=receipt.key,
                digest=receipt.digest,
                actor=receipt.actor,
                status=answer.status,
                content=answer.content,
                at=at,
            )
        return answer

    def _refuse(self, decoded: Decoded, caller: Principal, at: datetime) -> None:
        if decoded.rejected and not decoded.items:
            taking.count_rejected(decoded.rejected)
            errors = taking.errors(decoded.rejected, single=False)
            raise taking.UnableToIngest(
                f"Nothing was stored: {summary(errors)}", errors=errors, status=self.nothing_stored_status
            )
        if caller.targets:
            taking.refuse_foreign(decoded.items, caller, at)

    def _accepted(self, decoded: Decoded, caller: Principal, receipt: Receipt | None, at: datetime) -> Accepted:
        return intake.accept(
            readings=[item for _, item in decoded.items],
            at=at,
            actor=caller.actor,
            source=self.protocol,
            receipt=receipt,
        )

    def _response(self, request: Request, answer: Answer, decoded: Decoded) -> HttpResponse:
        return HttpResponse(
            answer.content,
            status=answer.status,
            content_type=self.answer_type(request),
            headers=dict(self.answer_headers(decoded)),
        )


def summed_up(decoded: Decoded, accepted: Accepted) -> shapes.Json:
    """What became of a request, as native ingest says it."""
    stored = len(accepted.stored.samples) + len(accepted.stored.events)
    return {
        "ok": True,
        "stored": stored,
        "skipped": decoded.skipped,
        "repeated": len(decoded.items) - stored,
        "rejected": taking.told(decoded.rejected),
        **taking.concluded(accepted),
    }


def media_type(request: Request, taken: Mapping[str, str] | frozenset[str]) -> str:
    """The request's content type, one of `taken`; Unreadable (415) names those, and for a charset but UTF-8."""
    media, *parameters = (part.strip().lower() for part in (request.content_type or "").split(";"))
    for parameter in parameters:
        if parameter.startswith("charset=") and parameter[8:].strip('"') not in ("utf-8", "utf8"):
            raise unsupported(f"The charset {parameter[8:28]!r} is not taken; send UTF-8.")
    if media not in taken:
        raise unsupported(f"Send Content-Type: {' or '.join(sorted(taken))}.")
    return media


def unsupported(detail: str) -> Unreadable:
    """A 415."""
    return Unreadable(detail, code="unsupported_media_type", status=415)


def _nothing() -> Accepted:
    return Accepted(stored=ingest.Stored((), ()), evaluated=True)
