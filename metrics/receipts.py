"""Idempotency: a batch that is sent again under the same key counts once and is answered the same."""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

import msgspec
from django.db import connection

from metrics import rows
from metrics.models import IngestReceipt
from vigil.kernel.errors import FieldError, Invalid, VigilError

ANSWER_WITHIN = timedelta(seconds=30)
"""How long a stored batch may wait for its answer; after that whoever was to give it has died."""
_ONCE = "once"
_AT_ONCE = 500
"""Marks a statement."""
_VISIBLE = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Who sends which body under which key."""

    key: str
    digest: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The answer that was given the first time."""

    status: int
    content: bytes


class IdempotencyConflict(VigilError):
    """The same batch is being stored right now."""

    code = "in_progress"
    status = 409


def receipt(*, key: str, body: bytes, actor: str) -> Receipt:
    """The receipt for `body`; Invalid (422) when the key is not 1 to 200 visible ASCII characters."""
    if not _VISIBLE.fullmatch(key):
        message = "must be 1 to 200 visible ASCII characters; a UUID is a good one."
        raise Invalid(f"Idempotency-Key {message}", errors=[FieldError(path="Idempotency-Key", message=message)])
    return Receipt(key=key, digest=hashlib.sha256(body).hexdigest(), actor=actor)


def replayed(*, key: str, digest: str, actor: str, at: datetime) -> Replay | None:
    """The first answer, or None when this batch is new.

    Invalid (422) when the key was used for another body; IdempotencyConflict (409) while the first is being answered.
    """
    row = IngestReceipt.objects.filter(actor=actor, key=key).first()
    if row is None:
        return None
    if row.digest != digest:
        raise Invalid(
            "This Idempotency-Key was used for another body; use a new key for each batch.", code="key_reused"
        )
    if row.status is not None:
        return Replay(status=row.status, content=bytes(row.content))
    if at - row.created_at < ANSWER_WITHIN:
        raise _in_progress()
    return Replay(status=201, content=_lost_answer(row.stored))


def remember(*, key: str, digest: str, actor: str, status: int, content: bytes, at: datetime) -> None:
    """Keep the answer that was given."""
    row = IngestReceipt(actor=actor, key=key, digest=digest, created_at=at, status=status, content=content)
    IngestReceipt.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["actor", "key"], update_fields=["status", "content"]
    )


def claim(wanted: Receipt, *, stored: int, at: datetime) -> None:
    """Take the key in the caller's transaction, so that batch and claim live or die together; IdempotencyConflict."""
    sql = """
        INSERT INTO metrics_ingestreceipt (actor, key, digest, created_at, stored, content)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (actor, key) DO NOTHING
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [wanted.actor, wanted.key, wanted.digest, rows.stamp(at), stored, b""])
        if cursor.rowcount != 1:
            raise _in_progress()


def first_time(marks: Collection[str], *, actor: str, at: datetime) -> set[str]:
    """Those of `marks` that `actor` did not send before, claimed in the caller's transaction.

    One that comes again stays claimed for as long as it comes at least once a day.
    """
    by_key = {_once_key(mark): mark for mark in marks}
    new: set[str] = set()
    # Sorted: two requests with the same marks then wait in a line, not for each other.
    for keys in batched(sorted(by_key), _AT_ONCE):
        new |= _claimed(keys, actor=actor, at=at)
    return {by_key[key] for key in new}


def _claimed(keys: Sequence[str], *, actor: str, at: datetime) -> set[str]:
    values = [part for key in keys for part in (actor, key, _ONCE, rows.stamp(at), 1, b"")]
    places = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(keys))
    sql = f"""
        INSERT INTO metrics_ingestreceipt (actor, key, digest, created_at, stored, content)
        VALUES {places} ON CONFLICT (actor, key) DO NOTHING RETURNING key
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        new = {row[0] for row in cursor.fetchall()}
    again = set(keys) - new
    if again:
        IngestReceipt.objects.filter(actor=actor, key__in=again).update(created_at=at)
    return new


def _once_key(mark: str) -> str:
    return f"{_ONCE}:{hashlib.blake2b(mark.encode(), digest_size=16).hexdigest()}"


def _in_progress() -> IdempotencyConflict:
    return IdempotencyConflict(
        "A batch with this Idempotency-Key is being stored right now; ask again in a second.", retry_after=1
    )


def _lost_answer(stored: int) -> bytes:
    said = "This batch was stored before, but the answer given then was lost; the next sweep judges it."
    return msgspec.json.encode(
        {
            "ok": True,
            "stored": stored,
            "rejected": [],
            "policies_evaluated": False,
            "violations": [],
            "actions": [],
            "detail": said,
        }
    )
