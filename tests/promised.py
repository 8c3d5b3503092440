"""Holds every answer that a test's client sees against docs/openapi.yaml: what the document promises is what comes.

Also what was sent, where it was accepted: the document may describe no less than what is taken.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
import yaml
from django.test.client import Client, FakePayload
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"
NAME = "urn:vigil:openapi"
PREFIX = "/api/v1/"
COVERED = (PREFIX, "/remediator/", "/health", "/ready", "/metrics")
NOT_YET: tuple[str, ...] = ()
"""Beginnings of addresses whose answers are not yet described well enough to be held against the document."""
LARGE = 20_000
UNPROMISED = {"405", "406", "500"}
"""Refusals that every address may give, and that no operation lists."""

type Json = Mapping[str, Any]

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_moment(said: object) -> bool:
    return not isinstance(said, str) or datetime.fromisoformat(said).tzinfo is not None


@_formats.checks("uuid", raises=ValueError)
def _is_uuid(said: object) -> bool:
    return not isinstance(said, str) or str(UUID(said)) == said


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and its answer; `sent` and `body` are decoded JSON, None where it was none."""

    method: str
    path: str
    query: str = ""
    sent: object = None
    status: int
    media: str = "application/json"
    body: object


class Promises:
    """An OpenAPI document that exchanges are held against."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.registry = Registry[Any]().with_resource(NAME, DRAFT202012.create_resource(document))
        self.routes = [(_route(path), path) for path in sorted(document["paths"], key=_vagueness)]
        self.validator: Callable[[str], Draft202012Validator] = functools.cache(self._validator)

    def broken(self, seen: Exchange) -> str | None:
        """How an exchange differs from what the document says; None: it does not."""
        path, method = self.path(seen.path), seen.method.lower()
        operations: Json = self.document["paths"].get(path, {})
        if path is None or method not in operations:
            refused = self._content(_refusal(path, *operations), seen.media, seen.body)
            return refused if seen.status >= 400 else "It is not described."
        if str(seen.status) in UNPROMISED:
            return self._content(_refusal(path, method), seen.media, seen.body)
        place = self._place(_below("paths", path, method, "responses", str(seen.status)))
        if place is None:
            return f"{seen.status} is not described."
        wrong_answer: str | None = self._content(place, seen.media, seen.body)
        return wrong_answer or (self._misunderstood(path, method, seen) if seen.status < 300 else None)

    def path(self, asked: str) -> str | None:
        """The document's path for an address, which may have a slash at its end or be an older alias."""
        plain = asked.removesuffix("/")
        for one in (plain, plain.replace(f"{PREFIX}ui/", PREFIX)):
            found: str | None = next((path for route, path in self.routes if route.fullmatch(one)), None)
            if found is not None:
                return found
        return None

    def _misunderstood(self, path: str, method: str, seen: Exchange) -> str | None:
        """What was taken although the document does not describe it so."""
        operation = self.document["paths"][path][method]
        known = {one["name"]: at for at, one in enumerate(operation.get("parameters", ())) if one["in"] == "query"}
        for name, value in parse_qsl(seen.query):
            if name not in known:
                return f"The parameter {name} is not described."
            place = _below("paths", path, method, "parameters", str(known[name]), "schema")
            flaw = self._flaw(place, int(value) if value.isdigit() and not _is_text(self.at(place)) else value)
            if flaw is not None:
                return f"The parameter {name}: {flaw}"
        partly = isinstance(seen.body, dict) and seen.body.get("rejected")
        if seen.sent is None or partly or "requestBody" not in operation:
            return None
        flaw = self._content(_below("paths", path, method, "requestBody"), "application/json", seen.sent)
        return None if flaw is None else f"The request's body: {flaw}"

    def at(self, place: str) -> Any:
        """What stands at a place of the document."""
        return self.registry.resolver(NAME).lookup(place).contents

    def _place(self, place: str) -> str | None:
        """The same place, or the one that it refers to; None: there is nothing."""
        try:
            found = self.at(place)
        except Unresolvable:
            return None
        return str(found["$ref"]) if "$ref" in found else place

    def _content(self, place: str, media: str, body: object) -> str | None:
        kinds = self.at(place).get("content")
        if kinds is None:
            return None if body is None else "It has a body, and none is described."
        if media not in kinds:
            return f"It comes as {media}, and {', '.join(kinds)} is described."
        return self._flaw(f"{place}/content/{_escaped(media)}/schema", body) if media == "application/json" else None

    def _flaw(self, place: str, body: object) -> str | None:
        flaw = next(self.validator(place).iter_errors(body), None)
        return None if flaw is None else _said(flaw)

    def _validator(self, place: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": NAME + place}, registry=self.registry, format_checker=_formats)


@functools.cache
def agreed() -> Promises:
    """The document that is in the repository."""
    return Promises(yaml.load(DOCUMENT.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506


@pytest.fixture(scope="session", autouse=True)
def answers_are_as_promised() -> Iterator[None]:
    """Every answer of the API to a Django client, in any test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "request", _checked(Client.request))
        yield


def _checked(request: Any) -> Any:
    @functools.wraps(request)
    def wrapped(self: Client, **asked: Any) -> Any:
        sent = asked.get("wsgi.input")
        body = sent.read() if isinstance(sent, FakePayload) else b""
        if body:
            asked["wsgi.input"] = FakePayload(body)
        answer = request(self, **asked)
        _check(asked, body, answer)
        return answer

    return wrapped


def _check(asked: Mapping[str, Any], sent: bytes, answer: Any) -> None:
    path, method = asked.get("PATH_INFO", "/"), asked.get("REQUEST_METHOD", "GET")
    if not path.startswith(COVERED) or path.startswith(NOT_YET) or method in ("HEAD", "OPTIONS"):
        return
    media = answer["Content-Type"].split(";")[0]
    seen = Exchange(
        method=method,
        path=path,
        query=asked.get("QUERY_STRING", ""),
        sent=_decoded(sent, asked.get("CONTENT_TYPE", "")) if answer.status_code < 300 else None,
        status=answer.status_code,
        media=media,
        body=json.loads(answer.content) if media == "application/json" and answer.content else None,
    )
    flaw = agreed().broken(seen)
    assert flaw is None, f"{method} {path} answered {answer.status_code}, and docs/openapi.yaml differs: {flaw}"


def _decoded(sent: bytes, media: str) -> object:
    """None for what is not JSON, and for large bodies, whose items are all alike."""
    known = sent.strip() and media.startswith("application/json") and len(sent) < LARGE
    return json.loads(sent, parse_int=_whole) if known else None


def _whole(digits: str) -> int:
    """Python reads no more than 4,300 digits, and a number of 100 is beyond every bound as well."""
    return int(digits[:100])


def _is_text(schema: Json) -> bool:
    return schema.get("type") != "integer"


def _refusal(path: str | None, *methods: str) -> str:
    """Where the shape of refusals stands: what an address's verbs have in common, those that it lacks have as well."""
    if path is None:
        return _below("components", "responses", "NotFound")
    return _below("paths", path, methods[0], "responses", "default")


def _route(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


def _vagueness(path: str) -> tuple[int, str]:
    return path.count("{"), path


def _below(*parts: str) -> str:
    return "#/" + "/".join(map(_escaped, parts))


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _said(flaw: ValidationError) -> str:
    """Of alternatives, what is wrong with the one that fits best."""
    best = best_match([flaw]) or flaw
    return f"{best.json_path}: {best.message[:500]}"
