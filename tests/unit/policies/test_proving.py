"""On how many samples since an action, and since when without a break, it looks well."""

from datetime import datetime, timedelta

import pytest

from policies.engine import language, proving
from policies.engine.values import Sample, Series, TargetData
from tests.unit.policies.builders import NOW, ago

HIGH = language.parse("cpu > 90")


def fresh(*points: tuple[float, float], more: tuple[tuple[float, float], ...] = ()) -> TargetData:
    """Samples as (seconds ago, value), oldest first; `more` is a second series."""
    return TargetData(target="web-01", series={"cpu": tuple(_series(many) for many in (points, more) if many)})


def _series(points: tuple[tuple[float, float], ...]) -> Series:
    samples = tuple(Sample(id=number, at=ago(back), value=value) for number, (back, value) in enumerate(points))
    return Series(name="cpu", tags={"points": str(len(points))}, samples=samples)


@pytest.mark.parametrize(
    ("data", "samples", "since"),
    [
        pytest.param(fresh(), 0, None, id="nothing came"),
        pytest.param(fresh((30, 40)), 1, ago(30), id="one good sample"),
        pytest.param(fresh((30, 95), (20, 40), (10, 50)), 3, ago(20), id="the calm begins with the first good one"),
        pytest.param(fresh((30, 40), (20, 95), (10, 50)), 3, ago(10), id="a relapse begins it anew"),
        pytest.param(fresh((30, 40), (20, 95)), 2, None, id="bad now"),
        pytest.param(fresh((30, 40), more=((20, 95), (10, 50))), 2, ago(10), id="the worst series counts"),
    ],
)
def test_how_long_it_has_been_well(data: TargetData, samples: int, since: datetime | None) -> None:
    seen = proving.calm(HIGH, data, at=NOW, staleness=timedelta(minutes=5))
    assert (seen.samples, seen.healthy_since) == (samples, since)


def test_once_well_the_recover_line_no_longer_matters() -> None:
    condition = language.parse("cpu > 90 recover at 80")
    seen = proving.calm(condition, fresh((30, 85), (20, 70), (10, 85)), at=NOW, staleness=timedelta(minutes=5))
    assert seen.healthy_since == ago(20)


def test_each_moment_is_judged_on_what_was_there_then() -> None:
    condition = language.parse("max(cpu, 20s) > 90")
    seen = proving.calm(condition, fresh((300, 40), (10, 40)), at=NOW, staleness=timedelta(seconds=60))
    assert seen.healthy_since == ago(300)


def test_of_very_many_samples_some_are_looked_at_and_the_ends_always() -> None:
    many = tuple((1000.0 - number, 40.0) for number in range(999))
    seen = proving.calm(HIGH, fresh(*many), at=NOW, staleness=timedelta(minutes=5))
    assert (seen.samples, seen.healthy_since) == (999, ago(1000))
