"""The only writer of samples and events."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from django.conf import settings

from metrics import columns, receipts, rows, series, targets
from metrics.formats.reading import EventReading, Reading
from metrics.models import Event
from metrics.receipts import IdempotencyConflict, Receipt, Replay, receipt, remember, replayed
from metrics.rows import Locked, Newest, NewSample
from metrics.series import CardinalityExceeded, Key, Known
from vigil.kernel import database

__all__ = [
    "CardinalityExceeded",
    "IdempotencyConflict",
    "Receipt",
    "Replay",
    "Stored",
    "StoredEvent",
    "StoredSample",
    "receipt",
    "remember",
    "replayed",
    "store",
    "store_together",
]

log = structlog.get_logger(__name__)

_TRIES = 3


class StoredSample(msgspec.Struct, frozen=True, gc=False):
    """A reading that is in the database."""

    id: int
    series_id: int
    name: str
    tags: dict[str, str]
    target: str
    value: float
    at: datetime
    late: bool
    """A newer sample was there before, or it took longer than the staleness to arrive: history, no reason to act."""


class StoredEvent(msgspec.Struct, frozen=True):
    """An event that is in the database."""

    id: int
    name: str
    severity: str
    target: str
    tags: dict[str, str]
    payload: dict[str, object]
    at: datetime


class Stored(msgspec.Struct, frozen=True):
    """What one call stored, in the order it was given."""

    samples: tuple[StoredSample, ...]
    events: tuple[StoredEvent, ...]


def store(
    *,
    readings: Sequence[Reading | EventReading],
    at: datetime,
    source: str = "",
    actor: str = "",
    receipt: Receipt | None = None,
) -> Stored:
    """Store all of `readings`, received at `at`, in one transaction of its own; `source` is for the log.

    An event that says what tells it from every other is left out when `actor` sent it before.

    Raises CardinalityExceeded (429), and IdempotencyConflict (409) when `receipt` was claimed by another request.
    """
    measured = [reading for reading in readings if isinstance(reading, Reading)]
    happened = [reading for reading in readings if isinstance(reading, EventReading)]
    keys = [series.key_of(reading.name, reading.tags) for reading in measured]

    def write() -> tuple[Stored, dict[Key, Known]]:
        if receipt is not None:
            receipts.claim(receipt, stored=len(readings), at=at)
        samples = _many_known(measured, keys, at)
        known: dict[Key, Known] = {}
        if not samples:
            known, locked = _locked_series(keys, at, senders=dict.fromkeys(keys, actor))
            sent = [(reading, at) for reading in measured]
            samples = _samples(sent, [known[key] for key in keys], locked) if sent else ()
        new = _first_time(happened, actor, at)
        return Stored(samples, _events(new, at) if new else ()), known

    stored, known = database.tx(write)
    series.remember(known)
    log.debug("metrics.ingest.stored", source=source, samples=len(stored.samples), events=len(stored.events))
    return stored


def store_together(
    *, readings: Sequence[tuple[Reading, datetime]], actors: Sequence[str] | None = None
) -> list[Stored]:
    """Store one reading each of many requests, with the time each was received, in one transaction; raises as `store`.

    `actors` says of each who sent it.

    All are stored or none: what one of them alone is to blame for, the others have to be tried again without.
    """
    keys = [series.key_of(reading.name, reading.tags) for reading, _ in readings]
    at_once = _store_known(readings, keys)
    if at_once:
        return at_once

    def write() -> tuple[tuple[StoredSample, ...], dict[Key, Known]]:
        known, locked = _locked_series(keys, readings[-1][1], senders=dict(zip(keys, actors or (), strict=False)))
        return _samples(readings, [known[key] for key in keys], locked), known

    samples, known = database.tx(write)
    series.remember(known)
    return [Stored((sample,), ()) for sample in samples]


def _store_known(readings: Sequence[tuple[Reading, datetime]], keys: Sequence[Key]) -> list[Stored]:
    """On PostgreSQL, where every series is remembered and still there: all of it in one statement. Else []."""
    belongs = series.remembered(keys) if rows.is_postgres() else None
    if belongs is None:
        return []
    new = _new(readings, belongs)
    placed = database.single(lambda: rows.store_at_once(new, [one.tags_hash for one in belongs]))
    if not placed:
        return []
    before = {row.series_id: one.before for row, one in zip(new, placed, strict=True)}
    late, _ = _late_and_newest(new, [one.id for one in placed], before)
    return [
        Stored((StoredSample(one.id, known.id, sent.name, sent.tags, known.target, sent.value, row.at, is_late),), ())
        for one, known, (sent, _), row, is_late in zip(placed, belongs, readings, new, late, strict=True)
    ]


def _new(measured: Sequence[tuple[Reading, datetime]], belongs: Sequence[Known]) -> list[NewSample]:
    return [
        NewSample(one.id, sent.value, _when(sent.at, at), at) for (sent, at), one in zip(measured, belongs, strict=True)
    ]


def _locked_series(
    keys: list[Key], at: datetime, *, senders: Mapping[Key, str]
) -> tuple[dict[Key, Known], dict[int, Locked]]:
    """The series of `keys`, locked. One that was remembered may have been dropped meanwhile: then it is made again."""
    if not keys:
        return {}, {}
    for _ in range(_TRIES):
        known = series.resolve(keys, at=at, senders=senders)
        locked = rows.lock_series([one.id for one in known.values()])
        gone = [key for key, one in known.items() if not _is_same(locked.get(one.id), one)]
        if not gone:
            return known, locked
        series.forget(gone)
    raise RuntimeError("series vanish faster than they can be made")


def _is_same(row: Locked | None, one: Known) -> bool:
    return row is not None and row.tags_hash == one.tags_hash


def _samples(
    measured: Sequence[tuple[Reading, datetime]], belongs: Sequence[Known], locked: dict[int, Locked]
) -> tuple[StoredSample, ...]:
    new = _new(measured, belongs)
    ids = rows.insert_samples(new)
    _note_late_for_rollups(new, next(iter(locked.values())).announced)
    late, newest = _late_and_newest(new, ids, {number: one.last_at for number, one in locked.items()})
    if newest:
        rows.advance_series(newest)
    return tuple(
        StoredSample(number, one.id, sent.name, sent.tags, one.target, sent.value, row.at, is_late)
        for number, one, (sent, _), row, is_late in zip(ids, belongs, measured, new, late, strict=True)
    )


def _note_late_for_rollups(new: Sequence[NewSample], announced: int | None) -> None:
    """Those of minutes that are rolled up already, or are about to be."""
    if announced is None:
        return
    before = datetime.fromtimestamp(announced * 60, UTC)
    late = {(row.series_id, int(row.at.timestamp() // 60)) for row in new if row.at < before}
    if late:
        rows.note_late(late)


def _late_and_newest(
    new: Sequence[NewSample], ids: Sequence[int], before: Mapping[int, datetime | None]
) -> tuple[list[bool], Collection[Newest]]:
    """Whether each new sample was late, and what each series has to remember; `before` is its newest time until now."""
    staleness = timedelta(seconds=settings.VIGIL_STALENESS_SECONDS)
    newest: dict[int, Newest] = {}
    late = []
    for row, number in zip(new, ids, strict=True):
        already = newest.get(row.series_id)
        last_at = before[row.series_id] if already is None else already.at
        behind = last_at is not None and row.at < last_at
        late.append(behind or row.at < row.received_at - staleness)
        if not behind:
            newest[row.series_id] = Newest(row.series_id, row.value, row.at, number)
    return late, newest.values()


def _many_known(readings: Sequence[Reading], keys: Sequence[Key], at: datetime) -> tuple[StoredSample, ...]:
    """On PostgreSQL, many readings whose series are remembered and still there. Else (), and nothing is written.

    What `_locked_series` and `_samples` do, a column at a time (`metrics.columns`).
    """
    belongs = series.remembered(keys) if len(keys) >= rows.COPY_FROM and rows.is_postgres() else None
    if belongs is None:
        return ()
    digests = {one.id: one.tags_hash for one in belongs}
    numbers = sorted(digests)
    locked = columns.lock(numbers, "".join([digests[number] for number in numbers]))
    if locked is None:
        return ()
    newest, announced = locked
    ats, moments = _times(readings, at)
    series_ids, values = [one.id for one in belongs], [sent.value for sent in readings]
    if announced is not None:
        _note_late_moments(series_ids, moments, announced)
    ids = columns.take_ids(len(keys))
    columns.copy(ids, series_ids, values, moments, [at.timestamp()] * len(keys))
    late, ahead = _late_and_ahead(series_ids, moments, dict(zip(numbers, newest, strict=True)), _late_before(at))
    if ahead:
        columns.advance(*zip(*[(series_ids[one], values[one], moments[one], ids[one]) for one in ahead], strict=True))
    names, tags = [sent.name for sent in readings], [sent.tags for sent in readings]
    return tuple(map(StoredSample, ids, series_ids, names, tags, [one.target for one in belongs], values, ats, late))


def _times(readings: Sequence[Reading], at: datetime) -> tuple[list[datetime], list[float]]:
    """When each was measured, and the same as epoch seconds."""
    ats = [_when(sent.at, at) for sent in readings]
    return ats, [moment.timestamp() for moment in ats]


def _late_and_ahead(
    series_ids: Sequence[int], moments: Sequence[float], newest: dict[int, float | None], late_before: float
) -> tuple[list[bool], Collection[int]]:
    """Whether each sample was late, and the places of those that are now the newest of their series.

    `newest` has the time of each series' newest sample, and is kept up.
    """
    ahead: dict[int, int] = {}
    late = [moment < late_before for moment in moments]
    for place, (number, moment) in enumerate(zip(series_ids, moments, strict=True)):
        already = newest[number]
        if already is not None and moment < already:
            late[place] = True
        else:
            newest[number], ahead[number] = moment, place
    return late, ahead.values()


def _late_before(at: datetime) -> float:
    """Before these epoch seconds a sample that is received at `at` took longer than the staleness to arrive."""
    return (at - timedelta(seconds=settings.VIGIL_STALENESS_SECONDS)).timestamp()


def _note_late_moments(series_ids: Sequence[int], moments: Sequence[float], announced: int) -> None:
    """As `_note_late_for_rollups`."""
    before = announced * 60
    if min(moments) < before:
        late = zip(series_ids, moments, strict=True)
        rows.note_late({(number, int(moment // 60)) for number, moment in late if moment < before})


def _first_time(happened: Sequence[EventReading], actor: str, at: datetime) -> Sequence[EventReading]:
    marked = {sent.once: sent for sent in happened if sent.once}
    if not marked:
        return happened
    new = receipts.first_time(marked.keys(), actor=actor, at=at)
    return [sent for sent in happened if not sent.once or (sent.once in new and marked[sent.once] is sent)]


def _events(happened: Sequence[EventReading], at: datetime) -> tuple[StoredEvent, ...]:
    made = Event.objects.bulk_create([_event(sent, at) for sent in happened])
    return tuple(StoredEvent(row.pk, row.name, row.severity, row.target, row.tags, row.payload, row.at) for row in made)


def _event(sent: EventReading, at: datetime) -> Event:
    return Event(
        name=sent.name,
        severity=sent.severity,
        target=targets.target_of(sent.tags),
        tags=sent.tags,
        payload=sent.payload,
        at=_when(sent.at, at),
        received_at=at,
    )


def _when(sent_at: datetime | None, received_at: datetime) -> datetime:
    """A clock a little fast counts as now: a sample of the future would hide from every judgement until then."""
    return received_at if sent_at is None else min(sent_at, received_at)
