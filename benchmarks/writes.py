"""Bodies of Prometheus remote write 1.0, made before the time is taken."""

from collections.abc import Sequence

from tests.unit.metrics import wire_out as out

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
_STEP_MILLISECONDS = 100
_MARKER = (1 << 42) - 1
"""Stands for the time: as long, when it is written, as any of our days."""


def requests(metric: str, hosts: Sequence[str], *, count: int, newest: float) -> list[bytes]:
    """So many requests, each with one sample of every host, a tenth of a second apart, the last at `newest` (epoch)."""
    first = int(newest * 1000) - count * _STEP_MILLISECONDS
    # Everything but the time is the same in each: six bytes, put in where the marker stands.
    marker = out.varint(_MARKER)
    template = b"".join(
        out.series({"__name__": metric, "host": host}, (50 + number % 10, _MARKER)) for number, host in enumerate(hosts)
    )
    parts = template.split(marker)
    moments = (out.varint(first + number * _STEP_MILLISECONDS) for number in range(count))
    return [out.snappy(moment.join(parts)) for moment in moments]
