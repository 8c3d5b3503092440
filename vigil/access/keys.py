"""Makes, finds and revokes API keys."""

import hashlib
import hmac
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, transaction
from django.db.models import F

from vigil.access import bounds
from vigil.access import scopes as scope_names
from vigil.access.models import ApiKey, KeyBook
from vigil.audit import entries
from vigil.kernel import clock, patience
from vigil.kernel.errors import FieldError, Invalid

LONGEST_LIFE = timedelta(days=365)
CACHE_SECONDS = 0.5
"""A revoked key is refused everywhere within this time plus one request."""
UNKNOWN_ASKED_EVERY_SECONDS = 0.02
"""A key made a moment ago opens at once; made-up ones cost at most fifty queries a second."""
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """What a process remembers of a key."""

    id: int
    name: str
    prefix: str
    digest: str
    scopes: frozenset[str]
    targets: tuple[str, ...]
    expires_at: datetime | None
    last_used_at: datetime | None


def create(
    *,
    name: str,
    scopes: Iterable[str],
    actor: str,
    expires_at: datetime | None = None,
    targets: Iterable[str] = (),
    at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its plain text, which is stored nowhere: `vgl_<prefix>_<secret>_<checksum>`."""
    created_at = at if at is not None else clock.now()
    wanted = scope_names.check(scopes)
    if not name.strip() or len(name) > 100 or not name.isprintable():
        message = "A key needs a name of 1 to 100 printable characters that says who uses it."
        raise Invalid(message, errors=[FieldError(path="name", message=message)])
    if expires_at is not None and not created_at < expires_at <= created_at + LONGEST_LIFE:
        message = "A key expires in the future, within 365 days."
        raise Invalid(message, errors=[FieldError(path="expires_at", message=message)])
    bound_to = bounds.check(targets)
    prefix = secrets.token_hex(4)
    body = f"vgl_{prefix}_{secrets.token_urlsafe(32)}"
    plain = f"{body}_{zlib.crc32(body.encode()):08x}"
    with transaction.atomic():
        key = ApiKey.objects.create(
            name=name.strip(),
            prefix=prefix,
            digest=_digest(plain),
            scopes=sorted(wanted),
            targets=bound_to,
            created_at=created_at,
            created_by=actor,
            expires_at=expires_at,
        )
        entries.write(
            kind="key.created",
            subject=f"key:{key.pk}",
            actor=actor,
            reason=f"Key {key.name} for {', '.join(sorted(wanted))}.",
            to_state="active",
            numbers={"scopes": key.scopes, "targets": key.targets, "expires_at": expires_at},
            at=created_at,
        )
        _announce_change()
    return key, plain


def revoke(*, key: ApiKey, actor: str, at: datetime, reason: str = "Revoked.") -> bool:
    """From now on the key opens nothing; False when it was revoked before."""
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=at):
            return False
        entries.write(
            kind="key.revoked",
            subject=f"key:{key.pk}",
            actor=actor,
            reason=reason,
            from_state="active",
            to_state="revoked",
            at=at,
        )
        _announce_change()
    return True


def find(plain: str, *, at: datetime) -> KnownKey | None:
    """The live key with this plain text, or None. Costs a query at most twice a second per process."""
    return _opened_by(plain, at=at, found=_cache.get)


def known_lately(plain: str, *, at: datetime) -> KnownKey | None:
    """The same without any query: None also when it is time to ask the database, or to write that the key was used."""
    known = _opened_by(plain, at=at, found=_cache.peek)
    return known if known is not None and _cache.was_used_lately(known.id, at) else None


def _opened_by(plain: str, *, at: datetime, found: Callable[[str], KnownKey | None]) -> KnownKey | None:
    parts = plain.split("_", 2)
    if len(parts) != 3 or parts[0] != "vgl" or not plain.isascii() or len(plain) > 100:
        return None
    known = found(parts[1])
    stored = known.digest if known is not None else "0" * 64
    if not hmac.compare_digest(_digest(plain), stored) or known is None:
        return None
    if known.expires_at is not None and known.expires_at <= at:
        return None
    return known


def note_use(key: KnownKey, *, at: datetime) -> None:
    """Remember that the key was used, with at most one write a minute and process."""
    if _cache.used_lately(key.id, at):
        return
    ApiKey.objects.filter(pk=key.id).update(last_used_at=at)


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def _announce_change() -> None:
    KeyBook.objects.get_or_create(pk=1)
    KeyBook.objects.filter(pk=1).update(version=F("version") + 1)


class _Cache:
    """The live keys of this process, read again when the book's version moved."""

    def __init__(self) -> None:
        self._lock, self._noting = threading.Lock(), threading.Lock()
        self._version: int | None = None
        self._checked = 0.0
        self._keys: dict[str, KnownKey] = {}
        self._used: dict[int, datetime] = {}

    def get(self, prefix: str) -> KnownKey | None:
        """The live key with this prefix. OperationalError when the database is to be asked and does not answer."""
        with self._turn():
            age = time.monotonic() - self._checked
            longest = CACHE_SECONDS if prefix in self._keys else UNKNOWN_ASKED_EVERY_SECONDS
            if self._version is None or age > longest:
                self._refresh()
            return self._keys.get(prefix)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One asks for all. In a silence of the database the others do not wait for that one."""
        taken = self._lock.acquire(blocking=False)
        if not taken and not patience.silence.holds:
            left = patience.left()
            taken = self._lock.acquire(timeout=-1 if left is None else left)
        if not taken:
            raise OperationalError("the database did not answer others a moment ago")
        try:
            yield
        finally:
            self._lock.release()

    def peek(self, prefix: str) -> KnownKey | None:
        """What is known and fresh; None also when the database is to be asked."""
        fresh = self._version is not None and time.monotonic() - self._checked <= CACHE_SECONDS
        return self._keys.get(prefix) if fresh else None

    def was_used_lately(self, key_id: int, at: datetime) -> bool:
        """Without noting that it is used now."""
        last = self._used.get(key_id)
        return last is not None and at - last < USE_NOTED_EVERY

    def _refresh(self) -> None:
        version = KeyBook.objects.filter(pk=1).values_list("version", flat=True).first() or 0
        if version != self._version:
            self._keys = {row.prefix: _known(row) for row in ApiKey.objects.filter(revoked_at__isnull=True)}
            self._version = version
        self._checked = time.monotonic()

    def used_lately(self, key_id: int, at: datetime) -> bool:
        """Whether it was; it counts as used now."""
        with self._noting:
            last = self._used.get(key_id)
            if last is not None and at - last < USE_NOTED_EVERY:
                return True
            self._used[key_id] = at
            return False

    def forget(self) -> None:
        with self._lock:
            self._version = None
            self._used.clear()


def _known(row: ApiKey) -> KnownKey:
    return KnownKey(
        id=row.pk,
        name=row.name,
        prefix=row.prefix,
        digest=row.digest,
        scopes=frozenset(row.scopes),
        targets=tuple(row.targets),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


_cache = _Cache()


def forget_cache() -> None:
    """Read the keys again at the next request: for tests, whose databases change under the process."""
    _cache.forget()
