"""Writing policies: versions, audit, who wins, and what an edit does to what is under way."""

from datetime import datetime, timedelta

import pytest

from actions import queries
from policies import authoring, book
from policies.authoring import PolicyChanged, PolicyExists
from policies.documents import UnableToReadPolicy
from policies.models import BookVersion, Policy, PolicyHealth, PolicyVersion
from tests.integration.policies import cast
from vigil.audit import entries
from vigil.kernel.errors import NotFound

pytestmark = pytest.mark.django_db

ANA = "user:ana"
NAME = "high-cpu-alert"


def _change(at: datetime, **fields: object) -> bool:
    return authoring.update(name=NAME, change=fields, actor=ANA, at=at).changed


def _versions() -> list[int]:
    return list(PolicyVersion.objects.order_by("number").values_list("number", flat=True))


def _kinds() -> list[str]:
    return [entry.kind for entry in entries.of(f"policy:{NAME}")]


def _book_version() -> int:
    return BookVersion.objects.get().version


def test_creating_leaves_a_version_an_entry_and_a_newer_book(at: datetime) -> None:
    before = _book_version()
    policy = cast.policy()
    assert authoring.current(policy).number == 1
    assert authoring.current(policy).sentence == "cpu_usage > 90"
    assert _kinds() == ["policy.created"]
    assert _book_version() > before


def test_a_name_is_given_once(at: datetime) -> None:
    cast.policy()
    with pytest.raises(PolicyExists, match="exists already"):
        cast.policy()


def test_an_edit_is_a_new_version_that_says_what_changed(at: datetime) -> None:
    cast.policy()
    assert _change(at, severity="critical", note="it woke nobody")
    version = authoring.current(authoring.get(NAME))
    assert (version.number, version.author, version.note) == (2, ANA, "it woke nobody")
    [_, entry] = entries.of(f"policy:{NAME}")
    assert entry.numbers == {"version": 2, "changed": ["severity"]}


def test_an_edit_that_changes_nothing_leaves_no_trace(at: datetime) -> None:
    cast.policy()
    before = _book_version()
    assert not _change(at, severity="warning")
    assert _versions() == [1]
    assert _book_version() == before


def test_a_partial_body_is_merged(at: datetime) -> None:
    cast.policy(description="keep me")
    _change(at, condition="cpu_usage > 95")
    written = authoring.written(authoring.get(NAME))
    assert written["description"] == "keep me"
    assert written["condition"] == {"type": "metric_exceeds", "metric": "cpu_usage", "threshold": 95}


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        ({"auto_remediate": False}, "observe"),
        ({"mode": "observe"}, "observe"),
        ({"auto_remediate": True}, "auto"),
        ({"mode": "observe", "auto_remediate": True}, "observe"),
        ({"mode": "auto", "auto_remediate": False}, "observe"),
    ],
)
def test_mode_and_auto_remediate_are_one_switch(at: datetime, change: dict[str, object], mode: str) -> None:
    cast.policy()
    _change(at, **change)
    written = authoring.written(authoring.get(NAME))
    assert (written["mode"], written["auto_remediate"]) == (mode, mode == "auto")


def test_both_saying_the_opposite_of_before_and_of_each_other_cannot_happen_silently(at: datetime) -> None:
    with pytest.raises(UnableToReadPolicy, match="send one of the two"):
        cast.policy(mode="observe", auto_remediate=True)


def test_what_was_read_can_be_sent_back(at: datetime) -> None:
    policy = cast.policy()
    shown = {**authoring.written(policy), **authoring.shown_extras(policy)}
    assert not _change(at, **shown)
    assert _change(at, **{**shown, "description": "edited"})


@pytest.mark.parametrize("field", ["sentence", "author", "created_at"])
def test_what_vigil_sets_cannot_be_changed(at: datetime, field: str) -> None:
    cast.policy()
    with pytest.raises(UnableToReadPolicy, match="set by Vigil"):
        _change(at, **{field: "forged"})


def test_an_older_version_is_refused(at: datetime) -> None:
    cast.policy()
    _change(at, severity="critical")
    with pytest.raises(PolicyChanged, match="version 2 by now"):
        authoring.update(name=NAME, change={"severity": "info"}, actor=ANA, at=at, expected_version=1)
    with pytest.raises(PolicyChanged):
        _change(at, severity="info", version=1)
    assert _change(at, severity="info", version=2)


def test_a_name_never_changes(at: datetime) -> None:
    cast.policy()
    with pytest.raises(UnableToReadPolicy, match="never changes"):
        _change(at, name="other")


def test_an_unknown_action_names_the_known_ones(at: datetime) -> None:
    with pytest.raises(UnableToReadPolicy) as caught:
        cast.policy(action="exec")
    assert caught.value.errors[0].path == "action"
    assert "scale-up" in caught.value.errors[0].message


def test_parameters_are_checked_against_the_action_type(at: datetime) -> None:
    with pytest.raises(UnableToReadPolicy) as caught:
        cast.policy(params={"replicas": "two"})
    assert caught.value.errors[0].path.startswith("params")


def test_steps_are_checked_too(at: datetime) -> None:
    with pytest.raises(UnableToReadPolicy) as caught:
        cast.policy(then=[{"action": "exec"}])
    assert caught.value.errors[0].path == "then[0].action"


def test_a_toggle_makes_no_version(at: datetime) -> None:
    cast.policy()
    assert authoring.disable(name=NAME, actor=ANA, at=at).changed
    assert not authoring.disable(name=NAME, actor=ANA, at=at).changed
    assert authoring.enable(name=NAME, actor=ANA, at=at).changed
    assert _versions() == [1]
    assert _kinds() == ["policy.created", "policy.disabled", "policy.enabled"]


def test_disabling_withdraws_incidents_and_cancels_what_waits(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    authoring.disable(name=NAME, actor=ANA, at=at + timedelta(seconds=1))
    incident = cast.incident()
    assert (incident.status, incident.resolution) == ("resolved", "withdrawn")
    assert [action.status for action in queries.for_incident(incident.pk)] == ["cancelled"]
    assert entries.of(incident.subject).last().actor == ANA  # type: ignore[union-attr]


def test_deleting_frees_the_name_and_keeps_the_history(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    authoring.delete(name=NAME, actor=ANA, at=at)
    with pytest.raises(NotFound):
        authoring.get(NAME)
    assert cast.incident().resolution == "withdrawn"
    assert cast.incident().policy.name == NAME
    assert authoring.current(cast.policy()).number == 1
    assert Policy.everything.count() == 2


def test_an_edit_is_seen_by_a_book_that_is_older_than_half_a_second(at: datetime) -> None:
    cast.policy()
    assert len(book.current(at).rules) == 1
    stale, known = book._cached, book._known
    authoring.disable(name=NAME, actor=ANA, at=at)
    book._cached, book._known = stale, known
    assert len(book.current(at + timedelta(seconds=0.4)).rules) == 1
    assert len(book.current(at + timedelta(seconds=0.5)).rules) == 0


def test_an_edit_gives_a_policy_that_disabled_itself_another_chance(at: datetime) -> None:
    policy = cast.policy()
    PolicyHealth.objects.create(policy=policy, disabled_by_error=True, consecutive_errors=5, last_error="broken")
    book.bump()
    assert book.current(at).broken == {NAME: "broken"}
    _change(at, severity="info")
    assert book.current(at).broken == {}


def test_a_version_is_never_changed(at: datetime) -> None:
    from django.core.exceptions import ImproperlyConfigured

    version = authoring.current(cast.policy())
    version.sentence = "forged"
    with pytest.raises(ImproperlyConfigured):
        version.save()
    with pytest.raises(ImproperlyConfigured):
        version.delete()
