"""Policies as people write them: what is taken, what is refused and with which words."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import documents
from policies.documents import UnableToReadPolicy

WRITTEN: dict[str, object] = {
    "name": "high-cpu-alert",
    "target": "web-*",
    "condition": {"type": "metric_exceeds", "metric": "cpu_percent", "threshold": 90},
    "action": "scale-up",
}


def _errors(**fields: object) -> dict[str, str]:
    with pytest.raises(UnableToReadPolicy) as caught:
        documents.read(WRITTEN | fields)
    assert caught.value.errors
    return {error.path: error.message for error in caught.value.errors}


def test_what_is_left_out_has_a_safe_meaning() -> None:
    draft = documents.read(WRITTEN)
    document = draft.document
    assert draft.enabled
    assert (document.mode, document.severity, document.on_no_data) == ("observe", "warning", "keep")
    assert (document.cooldown, document.rate, document.settle, document.deadline) == (None, None, None, None)
    assert document.keep_open_for == timedelta(0)


def test_everything_that_can_be_said_comes_back_as_it_was_said() -> None:
    said = WRITTEN | {
        "description": "Scale up.",
        "severity": "critical",
        "target_tag": "service",
        "enabled": False,
        "mode": "auto",
        "params": {"replicas": 2},
        "then": [{"action": "restart", "params": {}, "after": "5m"}],
        "cooldown": "10m",
        "rate": {"count": 3, "per": "1h"},
        "group": {"name": "web", "max": 1},
        "keep_open_for": "2m",
        "on_no_data": "open",
        "settle": "30s",
        "max_attempts": 2,
        "deadline": "5m",
    }
    draft = documents.read(said)
    kept = documents.stored(draft.document)
    assert documents.written(name=draft.name, enabled=draft.enabled, kept=kept) == said | {"auto_remediate": True}
    assert documents.from_stored(draft.name, kept) == draft.document


@pytest.mark.parametrize(("auto", "mode"), [(True, "auto"), (False, "observe")])
def test_auto_remediate_is_the_mode_both_ways(auto: bool, mode: str) -> None:
    document = documents.read(WRITTEN | {"auto_remediate": auto}).document
    assert document.mode == mode
    shown = documents.written(name="x", enabled=True, kept=documents.stored(document))
    assert shown["auto_remediate"] is auto


@pytest.mark.parametrize("mode", ["suggest", "approve"])
def test_what_asks_first_does_not_remediate_by_itself_and_reads_back_as_written(mode: str) -> None:
    document = documents.read(WRITTEN | {"mode": mode}).document
    shown = documents.written(name="x", enabled=True, kept=documents.stored(document))
    assert (shown["mode"], shown["auto_remediate"]) == (mode, False)
    assert documents.read(shown).document == document
    assert documents.read(documents.merge(shown, {"auto_remediate": False})).document.mode == mode
    assert documents.read(documents.merge(shown, {"auto_remediate": True})).document.mode == "auto"


def test_a_condition_may_be_a_sentence() -> None:
    said = documents.read(WRITTEN | {"condition": "avg(cpu_percent, 5m) > 90 for 2m"}).document
    assert said.sentence == "avg(cpu_percent, 5m) > 90 for 2m"
    assert documents.read(WRITTEN | {"condition": documents.stored(said)["condition"]}).document == said


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "High CPU"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "evaluate"}, "name"),
        ({"name": 5}, "name"),
        ({"target": ""}, "target"),
        ({"target": []}, "target"),
        ({"target": None}, "target"),
        ({"target": ".*"}, "target"),
        ({"target": "**"}, "target"),
        ({"target": "?*"}, "target"),
        ({"severity": "loud"}, "severity"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"auto_remediate": None}, "auto_remediate"),
        ({"mode": "auto", "auto_remediate": False}, "mode"),
        ({"mode": "sometimes"}, "mode"),
        ({"mode": "suggest", "auto_remediate": True}, "mode"),
        ({"approval_expires": "5s"}, "approval_expires"),
        ({"target_tag": ""}, "target_tag"),
        ({"target_tag": "a b"}, "target_tag"),
        ({"description": "x" * 2001}, "description"),
        ({"description": "\x1b[31mred"}, "description"),
        ({"description": "\u202egnp.exe"}, "description"),
        ({"params": []}, "params"),
        ({"action": ""}, "action"),
        ({"then": [{"action": "restart", "after": "soon"}]}, "then[0].after"),
        ({"then": [{"action": "restart"}] * 9}, "then"),
        ({"cooldown": "0s"}, "cooldown"),
        ({"cooldown": "-5m"}, "cooldown"),
        ({"cooldown": "5"}, "cooldown"),
        ({"cooldown": "PT5M"}, "cooldown"),
        ({"cooldown": 300}, "cooldown"),
        ({"cooldown": "1000000000s"}, "cooldown"),
        ({"rate": {"count": 0, "per": "10m"}}, "rate.count"),
        ({"rate": {"count": 1, "per": "2d"}}, "rate.per"),
        ({"group": {"name": "", "max": 1}}, "group.name"),
        ({"group": {"name": "web", "max": 10**9}}, "group.max"),
        ({"keep_open_for": "2d"}, "keep_open_for"),
        ({"on_no_data": "ignore"}, "on_no_data"),
        ({"settle": "2h"}, "settle"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"deadline": "1s"}, "deadline"),
        ({"condition": "cpu_percent >"}, "condition"),
        ({"condition": ""}, "condition"),
        ({"condition": {"type": "metric_exceeds", "metric": "cpu", "threshold": "90"}}, "condition.threshold"),
        ({"condition": {"type": "metric_exceeds", "metric": "cpu", "threshold": True}}, "condition.threshold"),
        ({"condition": {"type": "metric_over", "metric": "cpu", "threshold": 1}}, "condition.type"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(fields: dict[str, object], path: str) -> None:
    errors = _errors(**fields)
    assert path in errors
    assert errors[path]


def test_every_error_is_named_at_once() -> None:
    errors = _errors(name="No", target=".*", cooldown="soon", condition="nonsense")
    assert set(errors) == {"name", "target", "cooldown", "condition"}


@pytest.mark.parametrize(
    ("given", "meant"), [("cooldwon", "cooldown"), ("severty", "severity"), ("auto_remediat", "auto_remediate")]
)
def test_an_unknown_field_suggests_the_one_that_was_meant(given: str, meant: str) -> None:
    assert f"`{meant}`" in _errors(**{given: "x"})[given]


def test_an_unknown_field_that_resembles_none_lists_them() -> None:
    assert "keep_open_for" in _errors(zzz=1)["zzz"]


def test_an_unknown_field_inside_is_refused_too() -> None:
    assert _errors(rate={"count": 1, "per": "1m", "burst": 2})
    assert _errors(then=[{"action": "restart", "wait": "5m"}])


@pytest.mark.parametrize("raw", [None, [], "x", 1, True])
def test_what_is_no_object_is_no_policy(raw: object) -> None:
    with pytest.raises(UnableToReadPolicy, match="JSON object"):
        documents.read(raw)


@pytest.mark.parametrize("field", ["name", "target", "condition", "action"])
def test_what_is_needed_must_be_said(field: str) -> None:
    raw = {key: value for key, value in WRITTEN.items() if key != field}
    with pytest.raises(UnableToReadPolicy, match=field):
        documents.read(raw)


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        ({"mode": "auto"}, "auto"),
        ({"auto_remediate": True}, "auto"),
        ({"mode": "observe", "auto_remediate": True}, "auto"),
        ({"mode": "auto", "auto_remediate": False}, "auto"),
        ({"mode": "observe", "auto_remediate": False}, "observe"),
        ({"severity": "info"}, "observe"),
    ],
)
def test_in_a_merge_the_switch_that_changed_wins(change: dict[str, object], mode: str) -> None:
    current = documents.written(name="x", enabled=True, kept=documents.stored(documents.read(WRITTEN).document))
    assert documents.read(documents.merge(current, change)).document.mode == mode


@given(
    st.dictionaries(
        st.sampled_from([*documents.FIELDS, "zzz"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_nothing_but_a_refusal_comes_of_nonsense(fields: dict[str, object]) -> None:
    try:
        draft = documents.read(WRITTEN | fields)
    except UnableToReadPolicy:
        return
    kept = documents.stored(draft.document)
    assert documents.from_stored(draft.name, kept) == draft.document
