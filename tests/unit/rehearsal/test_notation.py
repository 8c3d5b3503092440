"""Series, values and times in the notation of promtool's tests."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine.rehearsal import notation
from policies.engine.rehearsal.notation import NotationError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2.5 -3 1e3", (1, 2.5, -3, 1000)),
        ("0+10x5", (0, 10, 20, 30, 40, 50)),
        ("5-2x2", (5, 3, 1)),
        ("-1+1x2", (-1, 0, 1)),
        ("-2-.5x1", (-2, -2.5)),
        ("1e2+1e1x1", (100, 110)),
        ("90x3", (90, 90, 90, 90)),
        ("7x0", (7,)),
        ("_", (None,)),
        ("_x3 4", (None, None, None, 4)),
        ("Inf -Inf", (math.inf, -math.inf)),
        ("", ()),
    ],
)
def test_values_expand(text: str, values: tuple[float | None, ...]) -> None:
    assert notation.values(text) == values


def test_stale_and_nan_are_no_number() -> None:
    assert [math.isnan(value) for value in notation.values("stale NaN") if value is not None] == [True, True]


@pytest.mark.parametrize("text", ["1x", "ten", "1+x3", "_x", "0+10", "1,2", "stalex2", "1 +2x3 x", "{{schema:1}}"])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(NotationError):
        notation.values(text)


@pytest.mark.parametrize("text", ["1x999999999", "_x999999999", "0+1x20000", "1x19999 1"])
def test_endless_series_are_refused(text: str) -> None:
    with pytest.raises(NotationError, match="longer than 20,000"):
        notation.values(text)


@given(st.integers(-1000, 1000), st.integers(0, 50), st.integers(0, 200))
def test_a_climb_has_its_start_and_its_steps(start: int, step: int, count: int) -> None:
    assert notation.values(f"{start}+{step}x{count}") == tuple(start + step * place for place in range(count + 1))


@pytest.mark.parametrize(
    ("text", "name", "tags"),
    [
        ("cpu", "cpu", {}),
        ("cpu{}", "cpu", {}),
        ('cpu{host="web-01"}', "cpu", {"host": "web-01"}),
        (' cpu { host = "a" , zone="b",} ', "cpu", {"host": "a", "zone": "b"}),
        ('"disk /var"{mount="a, b=c}"}', "disk /var", {"mount": "a, b=c}"}),
        (r'cpu{path="C:\\x \"y\""}', "cpu", {"path": r"C:\x " + '"y"'}),
        ('cpu{"k8s.pod"="a"}', "cpu", {"k8s.pod": "a"}),
    ],
)
def test_names_and_tags(text: str, name: str, tags: dict[str, str]) -> None:
    assert notation.named(text) == notation.Named(name=name, tags=tags)


@pytest.mark.parametrize(
    "text", ["", "{}", "cpu{", "cpu{host}", "cpu{host=web}", 'cpu{a="1" b="2"}', 'cpu{a="1",a="2"}', "cpu usage"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(NotationError):
        notation.named(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("0s", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("500ms", 0.5)]
)
def test_times(text: str, seconds: float) -> None:
    assert notation.length(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "31d", "1.5h", "1y"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(NotationError):
        notation.length(text)
