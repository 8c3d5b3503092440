"""Knocks at Vigil's doors, and knows what every refusal has to look like."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.test import Client

from actions.models import Action, ControlSwitch
from metrics.models import Event, IngestReceipt, Sample, Series
from policies.models import Incident, Policy, PolicyVersion
from vigil.access import keys
from vigil.audit.models import Entry

JSON = "application/json"
KEPT: tuple[type[models.Model], ...] = (
    *(Series, Sample, Event, IngestReceipt, Policy, PolicyVersion, Incident, Action, Entry, ControlSwitch),
)
"""Where a request may leave something behind."""
SHAPE = {"detail", "code", "errors", "request_id"}
LONGEST_DETAIL = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, and what it left in the database."""

    status: int
    body: bytes
    content_type: str
    left: dict[str, int]
    """Rows by table, for those tables that changed."""

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A caller with one key."""

    plain: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def send(
        self,
        verb: str,
        path: str,
        body: object = b"",
        *,
        content_type: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; a body that is no bytes or text is written as JSON."""
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        said = {"Authorization": f"Bearer {self.plain}"} if headers is None else headers
        before = _rows()
        if not content and content_type:  # the test client drops the type of an empty body, other clients do not
            said = {**said, "Content-Type": content_type}
        response = self.client.generic(verb, path, content, content_type=content_type, headers=said)
        after = _rows()
        return Answer(
            status=response.status_code,
            body=response.content,
            content_type=response.get("Content-Type", ""),
            left={name: after[name] - before[name] for name in after if after[name] != before[name]},
        )

    def with_key(self, **headers: str) -> dict[str, str]:
        """The key's header, and more."""
        return {"Authorization": f"Bearer {self.plain}", **{name.replace("_", "-"): v for name, v in headers.items()}}


def of(*scopes: str, targets: Iterable[str] = (), name: str = "stranger") -> Door:
    """A caller with a new key of these scopes."""
    _, plain = keys.create(name=name, scopes=scopes, actor="user:ana", targets=targets)
    keys.forget_cache()
    return Door(plain=plain)


def refused(answer: Answer, *statuses: int) -> Any:
    """Assert a refusal as people and machines need it, with nothing left behind; the document of the answer."""
    told = answer.body[:600]
    assert answer.status in statuses, f"{answer.status}: {told!r}"
    assert answer.left == {}, f"left {answer.left}: {told!r}"
    assert answer.content_type.startswith("application/json"), answer.content_type
    document = answer.document
    assert set(document) == SHAPE
    assert document["request_id"]
    for sentence in (document["detail"], *(error["message"] for error in document["errors"])):
        helps(sentence)
    for error in document["errors"]:
        assert error["path"].isprintable(), error["path"]
        assert len(error["path"]) <= 200, error["path"][:300]
    assert document["detail"][-1] in ".?!", document["detail"]
    assert len(answer.body) < 100_000, len(answer.body)
    return document


def helps(sentence: str) -> None:
    """A person can read it: some words, nothing that acts in a terminal, nothing of our insides."""
    assert 8 <= len(sentence) <= LONGEST_DETAIL, sentence[:LONGEST_DETAIL]
    assert " " in sentence, sentence
    assert sentence.isprintable(), repr(sentence)
    for inside in ("Traceback", 'File "', "psycopg", "sqlite3", "msgspec", "DETAIL:", "django.", "object at 0x"):
        assert inside not in sentence, sentence


def _rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in KEPT}
