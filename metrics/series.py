"""Which series a reading belongs to: remembered per process, made when it is new."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import batched, islice
from typing import NamedTuple, cast

from django.conf import settings
from django.db import connection

from metrics import targets
from metrics.models import NewSeries, Series
from vigil.kernel.errors import VigilError

REMEMBERED_MOST = 65_536
"""Series a process remembers; about half a kilobyte each."""
LONGEST_REMEMBERED = 1_000
"""Characters of name and tags above which a series is looked up each time, so that memory stays bounded."""
UNTIL_TRIED_AGAIN_SECONDS = 60
_AT_ONCE = 10_000

type Key = tuple[str, tuple[tuple[str, str], ...]]


class Known(NamedTuple):
    """A series as the cache has it. `tags_hash` tells whether the row is still the one it was."""

    id: int
    tags_hash: str
    target: str


class CardinalityExceeded(VigilError):
    """Too many series: usually a tag whose value is new in every reading."""

    code = "cardinality"
    status = 429


_remembered: dict[Key, Known] = {}
_evicting = threading.Lock()


def key_of(name: str, tags: dict[str, str]) -> Key:
    """What tells one series from another: the order in which tags were sent does not."""
    return name, tuple(sorted(tags.items()) if len(tags) > 1 else tags.items())


def resolve(keys: Iterable[Key], *, at: datetime, senders: Mapping[Key, str]) -> dict[Key, Known]:
    """The series of every key, made where there is none yet; must be in the caller's transaction.

    `senders` says who sent a key; whoever is not named there has no cap of their own.

    Raises CardinalityExceeded. What it made is not remembered before `remember` is told that the transaction held.
    """
    wanted = dict.fromkeys(keys)
    found = {key: known for key in wanted if (known := _remembered.get(key)) is not None}
    if len(found) < len(wanted):
        found |= _read_or_made([key for key in wanted if key not in found], at, senders)
    return found


def remembered(keys: Iterable[Key]) -> list[Known] | None:
    """The series of these keys by memory alone; None when one of them is not there. Any may have been dropped."""
    found = [_remembered.get(key) for key in keys]
    return cast("list[Known]", found) if all(found) else None


def remember(found: dict[Key, Known]) -> None:
    """Keep what a committed transaction found."""
    for key, known in found.items():
        if key not in _remembered and _length(key) <= LONGEST_REMEMBERED:
            _remembered[key] = known
    if len(_remembered) > REMEMBERED_MOST:
        with _evicting:
            surplus = len(_remembered) - REMEMBERED_MOST * 7 // 8
            for key in list(islice(_remembered, max(0, surplus))):
                _remembered.pop(key, None)


def forget(keys: Collection[Key]) -> None:
    """Ask the database about these again."""
    for key in keys:
        _remembered.pop(key, None)


def digest(key: Key) -> str:
    """32 characters that stand for a name and its tags."""
    return hashlib.blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()


def _length(key: Key) -> int:
    return len(key[0]) + sum(len(tag) + len(value) for tag, value in key[1])


def _read_or_made(keys: list[Key], at: datetime, senders: Mapping[Key, str]) -> dict[Key, Known]:
    digests = {digest(key): key for key in keys}
    found = _read(digests)
    unknown = [(code, key) for code, key in digests.items() if key not in found]
    if unknown:
        _make(unknown, at, senders)
        found |= _read(dict(unknown))  # another process may have made some of them
    return found


def _read(digests: dict[str, Key]) -> dict[Key, Known]:
    found: dict[Key, Known] = {}
    for codes in batched(digests, _AT_ONCE):
        names = {digests[code][0] for code in codes}
        rows = Series.objects.filter(name__in=names, tags_hash__in=codes).values_list("id", "tags_hash", "target")
        found.update({digests[row[1]]: Known(*row) for row in rows})
    return found


def _make(unknown: list[tuple[str, Key]], at: datetime, senders: Mapping[Key, str]) -> None:
    _check_cardinality(len(unknown))
    if settings.VIGIL_NEW_SERIES_PER_KEY:
        _check_senders(Counter(sender for _, key in unknown if (sender := senders.get(key, ""))), at)
    rows = []
    # Sorted: two batches with the same new series then wait in a line, not for each other.
    for code, (name, pairs) in sorted(unknown):
        tags = dict(pairs)
        target = targets.target_of(tags)
        rows.append(Series(name=name, tags=tags, tags_hash=code, target=target, created_at=at))
    Series.objects.bulk_create(rows, ignore_conflicts=True)


def _check_senders(more: Mapping[str, int], at: datetime) -> None:
    """In one order, so that two transactions cannot wait for each other."""
    most: int = settings.VIGIL_NEW_SERIES_PER_KEY
    for sender, count in sorted(more.items()):
        row, _ = NewSeries.objects.select_for_update().get_or_create(actor=sender, day=at.date())
        if row.count + count > most:
            raise CardinalityExceeded(
                f"{sender} may bring {most} new series a day, and with these it were {row.count + count}. Drop tags "
                "whose value changes all the time, such as ids, or raise VIGIL_NEW_SERIES_PER_KEY; readings of series "
                "that are there already are taken.",
                retry_after=UNTIL_TRIED_AGAIN_SECONDS,
            )
        row.count += count
        row.save(update_fields=["count"])


def _check_cardinality(more: int) -> None:
    most: int = settings.VIGIL_CARDINALITY_MAX
    if _at_most() + more > most and Series.objects.count() + more > most:
        raise CardinalityExceeded(
            f"This would make more than {most} series. Drop tags whose value changes all the time, such as ids, "
            "or raise VIGIL_CARDINALITY_MAX.",
            retry_after=UNTIL_TRIED_AGAIN_SECONDS,
        )


def _at_most() -> int:
    """More series than this there are not: how many ids lie between the first and the last. No need to count them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT max(id) FROM metrics_series) - (SELECT min(id) FROM metrics_series) + 1")
        (between,) = cursor.fetchone()
    return between or 0
