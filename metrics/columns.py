"""Many samples of series that are there, on PostgreSQL, a column at a time: no row of them is an object of its own.

What `metrics.rows` does for a handful. A batch of a thousand costs the process that sends it a third of what it would
cost row by row.
"""

from array import array
from collections.abc import Iterable, Sequence

import msgspec
from django.db import connection

from vigil.kernel import statements
from vigil.kernel.postgresql import arrays

_COPY = "COPY metrics_sample (id, series_id, value, at, received_at) FROM STDIN (FORMAT BINARY)"
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = b"\xff\xff"
_BLANK_CELL = b"\0\0\0\x08" + bytes(8)
"""A value's length, and room for it: all five columns have eight bytes."""
_BLANK_ROW = b"\0\5" + 5 * _BLANK_CELL
_FIRST_VALUE = 2 + 4
_MICROSECONDS_UNTIL_2000 = 946_684_800_000_000

_LOCK = """
    SELECT string_agg(tags_hash, ''), json_agg(date_part('epoch', last_at))::text,
           (SELECT announced FROM metrics_rollupprogress)
    FROM (
        SELECT tags_hash, last_at FROM metrics_series WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
    ) AS locked
"""
_TAKE_IDS = """
    SELECT min(number), max(number), CASE WHEN max(number) - min(number) >= count(*) THEN json_agg(number)::text END
    FROM (SELECT nextval('metrics_sample_id_seq') AS number FROM generate_series(1, %s)) AS taken
"""
_ADVANCE = """
    UPDATE metrics_series AS series
    SET last_value = sent.value, last_at = to_timestamp(sent.at), last_sample_id = sent.sample_id
    FROM unnest(%s, %s, %s, %s)
         AS sent (series_id, value, at, sample_id)
    WHERE series.id = sent.series_id AND (series.last_at IS NULL OR series.last_at <= to_timestamp(sent.at))
"""

_moments = msgspec.json.Decoder(list[float | None])
_numbers = msgspec.json.Decoder(list[int])


def lock(ids: Sequence[int], digests: str) -> tuple[list[float | None], int | None] | None:
    """Lock the series of these ids, which rise; of each the time of its newest sample as epoch seconds.

    And the minute since 1970 before which a new sample is late for `metrics.rollups`. None when not every one of them
    is there with its digest, all of which `digests` holds one after the other: what is there is locked all the same.
    """
    with statements.planned(connection) as cursor:
        cursor.execute(_LOCK, [arrays.whole(ids)])
        found, newest, announced = cursor.fetchone()
    return (_moments.decode(newest), announced) if found == digests else None


def take_ids(count: int) -> Sequence[int]:
    """So many ids of new samples, which rise."""
    with statements.planned(connection) as cursor:
        cursor.execute(_TAKE_IDS, [count])
        first, last, apart = cursor.fetchone()
    return range(first, last + 1) if apart is None else sorted(_numbers.decode(apart))


def copy(
    ids: Sequence[int],
    series_ids: Iterable[int],
    values: Iterable[float],
    moments: Sequence[float],
    received: Sequence[float],
) -> None:
    """Store samples; their times are epoch seconds."""
    columns = (
        array("q", ids),
        array("q", series_ids),
        array("d", values),
        array("q", _microseconds(moments)),
        array("q", _microseconds(received)),
    )
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(_COPY) as stream,
    ):
        stream.write(b"".join((_HEAD, _packed(columns, len(ids)), _TAIL)))


def advance(
    series_ids: Iterable[int], values: Iterable[float], moments: Iterable[float], sample_ids: Iterable[int]
) -> None:
    """Let each series, which stands here once, remember this as its newest sample, unless it is an older one."""
    with statements.planned(connection) as cursor:
        cursor.execute(
            _ADVANCE, [arrays.whole(series_ids), arrays.real(values), arrays.real(moments), arrays.whole(sample_ids)]
        )


def _microseconds(moments: Sequence[float]) -> list[int]:
    """Since 2000, as PostgreSQL counts."""
    # Rounded, a double of epoch seconds is exact until the year 2242. Most samples of a batch share a few moments.
    of = {moment: round(moment * 1e6) - _MICROSECONDS_UNTIL_2000 for moment in set(moments)}
    return [of[moment] for moment in moments]


def _packed(columns: Sequence["array[int] | array[float]"], count: int) -> bytearray:
    """Rows as COPY takes them, put together byte by byte of all rows at once."""
    rows = bytearray(_BLANK_ROW * count)
    for number, column in enumerate(columns):
        first = _FIRST_VALUE + number * len(_BLANK_CELL)
        arrays.lay(arrays.big_endian(column), rows, first=first, apart=len(_BLANK_ROW))
    return rows
