"""What counts as growth in a soak."""

import pytest

from tests.faults.rows import soak
from tests.faults.rows.soak import Sample

HOUR = 3600.0


def _samples(*, until: float, megabytes_per_hour: float, born: float = 0.0) -> list[Sample]:
    """One every ten seconds; the first minute grows by 50 MB whatever follows."""
    moments = [born + 10.0 * number for number in range(round((until - born) / 10))]
    return [
        Sample(at=at, megabytes=50 * min(1.0, (at - born) / 60) + megabytes_per_hour * at / HOUR, files=9)
        for at in moments
    ]


@pytest.mark.parametrize(("until", "born"), [(4 * HOUR, 0.0), (600.0, 0.0), (3 * HOUR, 2.5 * HOUR)])
def test_the_slope_of_a_process_leaves_out_how_it_warmed_up(until: float, born: float) -> None:
    samples = _samples(until=until, megabytes_per_hour=3, born=born)
    warm = soak._warm(samples, 0.0)
    assert len(warm) >= soak.LEAST_SAMPLES
    slope = soak._per_hour([one.at for one in warm], [one.megabytes for one in warm])
    assert slope == pytest.approx(3, abs=0.01)


def test_what_grows_in_hours_is_told() -> None:
    notes = {"MB an hour": {"web-0": 1.5, "beat-0": 0.2}, "ingest p99 grew": 1.1}
    told = soak._too_much(notes | {"others, first/last/most": {"redis pidboxes": "0/0/0"}})
    assert told == {"memory that grows": {"web-0": 1.5}, "ingest that slows down": 0, "pidboxes": 0}
    told = soak._too_much(notes | {"others, first/last/most": {"redis pidboxes": "0/0/2"}, "ingest p99 grew": 1.3})
    assert (told["ingest that slows down"], told["pidboxes"]) == (1, 1)
