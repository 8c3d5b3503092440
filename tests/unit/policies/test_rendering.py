"""Placeholders in parameters: one pass, data stays data, and what is missing is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import rendering
from policies.engine.rendering import Facts, UnableToRender

FACTS = Facts(
    target="web-01",
    policy="high-cpu",
    severity="warning",
    reason="cpu_usage 92.5 > 90",
    value=92.5,
    incident_id=7,
    tags={"region": "eu-1", "host.name": "web-01", "empty": "", "long": "x" * 251, "bell": "a\x07b", "rtl": "a\u202eb"},
)


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("{{ target }}", "web-01"),
        ("{{target}}", "web-01"),
        ("{{ value }}", 92.5),
        ("{{ incident_id }}", 7),
        ("{{ tags.region }}", "eu-1"),
        ("{{ tags.host.name }}", "web-01"),
        ("{{ policy }}/{{ severity }}", "high-cpu/warning"),
        ("at {{ value }} on {{ target }}", "at 92.5 on web-01"),
        (" {{ value }}", " 92.5"),
        ("{{ reason }}", "cpu_usage 92.5 > 90"),
        ("no placeholder }} here }", "no placeholder }} here }"),
        (["{{ target }}", {"deep": "{{ tags.region }}"}], ["web-01", {"deep": "eu-1"}]),
        (2, 2),
        (None, None),
        (True, True),
    ],
)
def test_what_becomes_of_a_parameter(written: object, becomes: object) -> None:
    rendered = rendering.render({"x": written}, FACTS)["x"]
    assert (rendered, type(rendered)) == (becomes, type(becomes))


def test_a_whole_number_is_one() -> None:
    rendered = rendering.render({"x": "{{ value }}", "y": "{{ value }} %"}, _with(value=92.0))
    assert repr(rendered) == "{'x': 92, 'y': '92 %'}"


def test_a_dry_run_has_incident_0() -> None:
    assert rendering.render({"x": "{{ incident_id }}"}, _with(incident_id=None)) == {"x": 0}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{{ tags.zone }}", "`tags.zone` has no value here"),
        ("{{ tags.empty }}", "`tags.empty` has no value here"),
        ("on {{ tags.zone }}", "`tags.zone` has no value here"),
        ("{{ tags.long }}", "at most 250 characters"),
        ("{{ tags.bell }}", "printable"),
        ("{{ tags.rtl }}", "printable"),
        ("{{ threshold }}", "there is no placeholder `threshold`"),
        ("{{ target", "begins a placeholder"),
    ],
)
def test_what_cannot_be_put_in_is_refused_with_its_place(written: str, said: str) -> None:
    with pytest.raises(UnableToRender, match=said) as caught:
        rendering.render({"hosts": [written]}, FACTS)
    assert caught.value.flaw.path == "params.hosts[0]"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_no_number_is_no_value(value: float | None) -> None:
    with pytest.raises(UnableToRender, match="no number decided"):
        rendering.render({"x": "{{ value }}"}, _with(value=value))


@pytest.mark.parametrize(
    ("params", "places"),
    [
        ({"x": "{{ target }}"}, []),
        ({"x": "{{ tags.a_tag-1 }}", "y": "plain", "z": [1, None]}, []),
        ({"x": "{{ traget }}"}, ["params.x"]),
        ({"x": {"y": ["ok", "{{ host }} {{ target }} {{ other }}"]}}, ["params.x.y[1]", "params.x.y[1]"]),
        ({"x": "{{ tags. }}"}, ["params.x"]),
        ({"x": "{{ tags.1st }}"}, ["params.x"]),
        ({"x": "{{ target | upper }}"}, ["params.x"]),
        ({"x": "{{ target.__class__ }}"}, ["params.x"]),
        ({"x": "{{{ target }}}"}, ["params.x"]),
        ({"x": "{{"}, ["params.x"]),
        ({"x": "{{ 7*7 }}"}, ["params.x"]),
        ({"{{ target }}": 1}, ["params.{{ target }}"]),
        ({"x": "{% raw %} ${target} $(id)"}, []),
    ],
)
def test_which_places_are_wrong_when_it_is_saved(params: dict[str, object], places: list[str]) -> None:
    assert [flaw.path for flaw in rendering.flaws(params)] == places


def test_an_unknown_name_is_answered_with_the_known_ones_and_what_was_meant() -> None:
    [flaw] = rendering.flaws({"x": "{{ targt }}"})
    assert "did you mean `target`" in flaw.message
    assert all(name in flaw.message for name in rendering.KNOWN)


def test_an_outline_has_true_types_in_open_places() -> None:
    known = rendering.outline({"a": "{{ value }}", "b": ["{{ tags.x }}", "v{{ value }}"], "c": 3})
    assert known.params == {"a": 0, "b": ["x", "x"], "c": 3}
    assert known.open_at == {("a",), ("b", 0), ("b", 1)}


printable = st.text(max_size=40).filter(lambda text: text.isprintable() and text != "")
hostile = st.one_of(
    printable,
    st.lists(
        st.sampled_from(
            ["{{ target }}", "{{ value }}", "{{", "}}", "{", "}", " ", "target", "${x}", "`id`", "; rm -rf /"]
        ),
        min_size=1,
        max_size=8,
    ).map("".join),
)


@given(target=hostile, tag=hostile)
def test_what_is_put_in_is_never_expanded(target: str, tag: str) -> None:
    facts = _with(target=target, tags={"t": tag})
    params = {"whole": "{{ target }}", "inside": "<{{ tags.t }}|{{ target }}>", "list": ["{{ tags.t }}"]}
    assert rendering.render(params, facts) == {"whole": target, "inside": f"<{tag}|{target}>", "list": [tag]}


@given(
    st.recursive(
        st.one_of(hostile, st.integers(), st.none()), lambda one: st.lists(one) | st.dictionaries(printable, one)
    )
)
def test_what_was_saved_renders_without_a_placeholder_left(value: object) -> None:
    """Whatever passes the check is filled in; nothing that opens like a placeholder is left of the template."""
    params = {"x": value}
    if not rendering.flaws(params):
        rendered = rendering.render(params, _with(target="T", tags={}))
        assert not rendering.is_filled_in(rendered)
    elif not any("{{" in key for key in _keys(value)):
        with pytest.raises(UnableToRender):
            rendering.render(params, FACTS)


def _keys(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for one in value.values() for key in _keys(one))]
    return [key for one in value for key in _keys(one)] if isinstance(value, list) else []


def _with(**changes: object) -> Facts:
    fields = {name: getattr(FACTS, name) for name in Facts.__dataclass_fields__}
    return Facts(**{**fields, **changes})
