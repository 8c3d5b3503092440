"""Writes and verifies audit entries."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import QuerySet

from vigil.audit.models import Entry
from vigil.kernel import clock, context, statements


def write(
    *,
    kind: str,
    subject: str,
    actor: str,
    reason: str,
    from_state: str = "",
    to_state: str = "",
    numbers: Mapping[str, object] | None = None,
    seq: int | None = None,
    at: datetime | None = None,
    request_id: str | None = None,
    previous: Entry | None = None,
) -> Entry:
    """Append one entry in the caller's transaction.

    `previous` is the subject's newest committed entry as far as the caller knows; with it and a `seq` that follows it
    there is nothing to look up, as no step can be between two numbers.

    `seq` is the subject's own step counter where it has one; None continues the subject's chain. Two writers of one
    step meet at the unique constraint: the loser gets an IntegrityError and its transaction is gone, as it should be.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An audit entry belongs into the transaction of the change it tells of.")
    if previous is None or seq is None or (previous.subject, previous.seq) != (subject, seq - 1):
        previous = Entry.objects.filter(subject=subject).order_by("-seq").only("seq", "digest").first()
    entry = Entry(
        subject=subject,
        seq=seq if seq is not None else (previous.seq + 1 if previous else 1),
        kind=kind,
        from_state=from_state,
        to_state=to_state,
        actor=actor,
        reason=reason,
        numbers=_plain(numbers or {}),
        request_id=context.request_id() if request_id is None else request_id,
        at=at if at is not None else clock.now(),
        previous_digest=previous.digest if previous else "",
    )
    entry.digest = digest_of(entry)
    statements.insert(entry)
    return entry


def known(*, subject: str, seq: int, digest: str | None) -> Entry | None:
    """An entry of which no more was read than what the next one needs of it; None without a digest."""
    return None if digest is None else Entry(subject=subject, seq=seq, digest=digest)


def of(subject: str) -> QuerySet[Entry]:
    """A subject's whole story, oldest first."""
    return Entry.objects.filter(subject=subject).order_by("seq")


def steps(subjects: Collection[str]) -> Iterator[tuple[str, tuple[int, str, str]]]:
    """(subject, (number, from, to)) of every entry of these subjects, each subject's oldest first."""
    rows = Entry.objects.filter(subject__in=list(subjects)).order_by("subject", "seq")
    for subject, seq, origin, goal in rows.values_list("subject", "seq", "from_state", "to_state"):
        yield subject, (seq, origin, goal)


def shown(entry: Entry) -> dict[str, object]:
    """An entry as the API shows it."""
    return {
        "subject": entry.subject,
        "seq": entry.seq,
        "kind": entry.kind,
        "from": entry.from_state,
        "to": entry.to_state,
        "actor": entry.actor,
        "reason": entry.reason,
        "numbers": entry.numbers,
        "request_id": entry.request_id,
        "at": entry.at,
    }


def digest_of(entry: Entry) -> str:
    """SHA-256 over the entry's content and the digest before it, hexadecimal."""
    content = [
        entry.previous_digest,
        entry.subject,
        entry.seq,
        entry.kind,
        entry.from_state,
        entry.to_state,
        entry.actor,
        entry.reason,
        entry.numbers,
        entry.request_id,
        entry.at.isoformat(timespec="microseconds"),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def broken_links(subject: str) -> list[str]:
    """What is wrong with a subject's chain: gaps, edited entries, wrong links; empty when it verifies."""
    return list(_broken(subject, of(subject)))


def all_broken_links() -> Iterator[tuple[str, str]]:
    """Each fault of any chain with its subject; reads every entry once, a few at a time."""
    everything = Entry.objects.order_by("subject", "seq").iterator(chunk_size=1000)
    for subject, entries in groupby(everything, key=attrgetter("subject")):
        for fault in _broken(subject, entries):
            yield subject, fault


def _broken(subject: str, chain: Iterable[Entry]) -> Iterator[str]:
    digest = ""
    for expected, entry in enumerate(chain, start=1):
        if entry.seq != expected:
            yield f"{subject}: entry {expected} is missing (found {entry.seq})."
            return
        if entry.previous_digest != digest:
            yield f"{subject}: entry {entry.seq} does not follow the one before it."
        if entry.digest != digest_of(entry):
            yield f"{subject}: entry {entry.seq} was changed after it was written."
        digest = entry.digest


def _plain(numbers: Mapping[str, object]) -> dict[str, object]:
    """As JSON would give them back, so that the digest is the same when the row is read again."""
    plain: dict[str, object] = json.loads(json.dumps(dict(numbers), cls=DjangoJSONEncoder))
    return plain
