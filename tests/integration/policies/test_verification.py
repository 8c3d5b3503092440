"""Did it help? Only samples newer than the action's end may say so."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from django.conf import LazySettings

from actions import queries
from actions.models import Action
from policies import remedies
from policies.models import Incident, PolicyVersion
from tests.integration.policies import cast
from vigil.audit import entries
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
SETTLE = timedelta(seconds=10)


def _acted(at: datetime, *, ended: datetime, **fields: object) -> int:
    """An incident opened at `at`, whose action ended well at `ended`."""
    cast.policy(**fields)
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=ended, settle=SETTLE)
    return action.id


def _result(action_id: int) -> str:
    return queries.get(action_id).verification


def test_fallen_after_the_action_is_effective(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 3 * SECOND)
    assert _result(action_id) == ""
    assert remedies.verify_due(at=at + 12 * SECOND) == 1
    assert _result(action_id) == "effective"


def test_nothing_is_said_before_it_settled(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 3 * SECOND)
    assert remedies.verify_due(at=at + 10 * SECOND) == 0
    assert _result(action_id) == ""


def test_still_bad_after_it_settled_is_ineffective(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(93, at=at + 12 * SECOND)
    assert _result(action_id) == "ineffective"
    assert cast.incident().exhausted


def test_a_bad_sample_from_the_settle_time_does_not_condemn_it(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(93, at=at + 2 * SECOND)
    assert remedies.verify_due(at=at + 12 * SECOND) == 0
    cast.post(40, at=at + 13 * SECOND)
    assert _result(action_id) == "effective"


def test_samples_from_before_the_end_prove_nothing(at: datetime) -> None:
    action_id = _acted(at, ended=at + 5 * SECOND)
    cast.post(40, at=at + 4 * SECOND)
    assert remedies.verify_due(at=at + 20 * SECOND) == 0
    assert _result(action_id) == ""


def test_a_version_that_nobody_can_read_any_more_leaves_it_unverifiable(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    PolicyVersion.objects.update(document={"condition": "of a later Vigil"})
    cast.forget()
    with structlog.testing.capture_logs() as lines:
        for seconds in range(11, 111, 2):
            assert remedies.verify_due(at=at + seconds * SECOND) == 0, "another Vigil may still read it"
        assert remedies.verify_due(at=at + timedelta(minutes=6)) == 1
        assert remedies.verify_due(at=at + timedelta(minutes=7)) == 0
    assert _result(action_id) == "unverifiable"
    assert "cannot read version 1 of high-cpu-alert" in entries.of(f"action:{action_id}").last().reason  # type: ignore[union-attr]
    assert [line["event"] for line in lines].count("policies.book.version_unreadable") == 1


def test_one_that_cannot_be_judged_keeps_no_other_waiting(at: datetime) -> None:
    unreadable = _acted(at, ended=at + SECOND)
    cast.policy(name="another", condition="memory_usage > 90")
    cast.post(95, at=at, name="memory_usage", host="web-02")
    [judged] = [action.pk for action in Action.objects.exclude(pk=unreadable)]
    cast.end_action(judged, at=at + SECOND, settle=SETTLE)
    cast.post(40, at=at + 3 * SECOND, name="memory_usage", host="web-02")
    PolicyVersion.objects.filter(policy__name="high-cpu-alert").update(document={})
    cast.forget()
    assert remedies.verify_due(at=at + 12 * SECOND) == 1
    assert (_result(unreadable), _result(judged)) == ("", "effective")


def test_no_fresh_data_is_unverifiable_never_a_pass(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    assert remedies.verify_due(at=at + timedelta(minutes=3)) == 0
    assert remedies.verify_due(at=at + timedelta(minutes=6)) == 1
    action = queries.get(action_id)
    assert action.verification == "unverifiable"
    assert Incident.objects.get().status == "open"
    assert "cpu_usage" in entries.of(f"action:{action_id}").last().reason  # type: ignore[union-attr]


def test_a_window_counts_only_what_came_after_the_action(at: datetime, settings: LazySettings) -> None:
    settings.VIGIL_LEAST_SAMPLES = 1
    action_id = _acted(at, ended=at + SECOND, condition="avg(cpu_usage, 5m) > 60")
    cast.post(40, at=at + 12 * SECOND)
    assert cast.incident().status == "open", "(92 + 40) / 2 is over 60 still"
    assert _result(action_id) == "effective"


def test_what_was_absent_and_still_is_was_not_helped(at: datetime) -> None:
    cast.policy(condition="no cpu_usage for 1m")
    cast.post(1, at=at)
    later = at + timedelta(minutes=2)
    _sweep(later)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=later, settle=SETTLE)
    assert remedies.verify_due(at=later + 30 * SECOND) == 0
    assert remedies.verify_due(at=later + 61 * SECOND) == 1
    assert _result(action.id) == "ineffective"


def test_what_was_absent_and_speaks_again_was_helped(at: datetime) -> None:
    cast.policy(condition="no cpu_usage for 1m")
    cast.post(1, at=at)
    later = at + timedelta(minutes=2)
    _sweep(later)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=later, settle=SETTLE)
    cast.post(1, at=later + 11 * SECOND)
    assert _result(action.id) == "effective"
    assert cast.incident().resolution == "healed"


def test_bad_again_soon_after_healing_is_a_relapse(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 12 * SECOND)
    assert _result(action_id) == "effective"
    cast.post(95, at=at + timedelta(minutes=5))
    assert _result(action_id) == "relapsed"


def test_bad_again_long_after_is_none(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 12 * SECOND)
    cast.post(95, at=at + timedelta(minutes=11))
    assert _result(action_id) == "effective"


def test_bad_again_while_kept_open_is_a_relapse_too(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND, keep_open_for="5m")
    cast.post(40, at=at + 12 * SECOND)
    cast.post(95, at=at + 20 * SECOND)
    assert _result(action_id) == "relapsed"
    assert cast.incident().exhausted


def test_a_resolved_incidents_action_is_verified_all_the_same(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 2 * SECOND)
    assert cast.incident().status == "resolved"
    assert remedies.verify_due(at=at + 12 * SECOND, targets=["web-01"]) == 1
    assert _result(action_id) == "effective"


def test_other_targets_are_left_for_later(at: datetime) -> None:
    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 2 * SECOND)
    assert remedies.verify_due(at=at + 12 * SECOND, targets=["web-02"]) == 0
    assert _result(action_id) == ""


def test_an_edit_does_not_change_what_the_action_is_judged_by(at: datetime) -> None:
    from policies import authoring

    action_id = _acted(at, ended=at + SECOND)
    authoring.update(name="high-cpu-alert", change={"condition": "cpu_usage > 10"}, actor="user:ana", at=at)
    cast.post(40, at=at + 12 * SECOND)
    assert _result(action_id) == "effective"
    assert Incident.objects.order_by("id")[0].resolution == "healed"


def _sweep(at: datetime) -> None:
    from policies import sweep

    assert sweep.run(at=at).ran


def test_each_result_is_counted_once(at: datetime, django_capture_on_commit_callbacks: Any) -> None:
    def counted() -> float:
        return float(telemetry.verifications_total.labels(verification="effective")._value.get())

    action_id = _acted(at, ended=at + SECOND)
    cast.post(40, at=at + 3 * SECOND)
    before = counted()
    with django_capture_on_commit_callbacks(execute=True):
        assert remedies.verify_due(at=at + 12 * SECOND) == 1
        assert remedies.verify_due(at=at + 13 * SECOND) == 0
    assert _result(action_id) == "effective"
    assert counted() == before + 1
