"""A policy whose actions do not help may do less by itself, and only a person gives it back."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from actions import queries
from actions.states import State
from policies import authoring, book, demotion, explaining, runner
from policies.demotion import UnableToPromote
from policies.documents import UnableToReadPolicy
from policies.engine import demoting
from policies.explaining import UnableToExplain
from policies.models import Demotion, Incident, Mode, Policy
from tests.integration.policies import cast
from vigil.access import keys
from vigil.audit import entries
from vigil.kernel import clock
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

NAME = "high-cpu-alert"
SECOND = timedelta(seconds=1)
FREE = {"settle": "0s", "cooldown": "1s", "rate": {"count": 100, "per": "1m"}, "common_cause": {"percent": 100}}
FREE |= {"flapping": {"high": 101, "low": 100}}
DOWN = demoting.below("auto", Mode.values)


@pytest.fixture(autouse=True)
def _no_circuit(settings: LazySettings) -> None:
    """What does not help opens the policy's circuit as well, which would hold the next one before it could fail."""
    settings.VIGIL_BREAKER_FAILURES = 1_000


def _fail(at: datetime, times: int = 1, *, host: str = "web") -> list[int]:
    """So many actions, each on a target of its own, that do not help."""
    failed = []
    for number in range(times):
        target = f"{host}-{number}"
        cast.post(92, at=at, host=target)
        [action] = queries.for_incident(cast.incident().pk)
        cast.end_action(action.id, at=at + SECOND)
        cast.post(93, at=at + 2 * SECOND, host=target)
        assert queries.get(action.id).verification == "ineffective"
        failed.append(action.id)
    return failed


def _policy() -> Policy:
    return authoring.get(NAME)


def _about() -> Incident:
    return Incident.objects.get(policy__name=demotion.BUILTIN)


def test_three_of_five_that_did_not_help_demote_it_by_one_mode(at: datetime) -> None:
    counted = telemetry.policy_demotions_total.labels(change="demoted")._value.get()
    cast.policy(**FREE)
    failed = _fail(at, 2)
    assert (_policy().mode, _policy().demotion) == ("auto", None)
    failed += _fail(at, host="web-x")
    policy = _policy()
    assert policy.mode == DOWN
    assert policy.demotion is not None
    assert policy.demotion.evidence == failed[::-1]
    assert telemetry.policy_demotions_total.labels(change="demoted")._value.get() == counted + 1


def test_it_is_told_in_the_audit_and_by_an_incident_about_the_policy(at: datetime) -> None:
    cast.policy(**FREE)
    failed = _fail(at, 3)
    entry = entries.of(f"policy:{NAME}").last()
    assert entry is not None
    assert (entry.kind, entry.actor) == ("policy.demoted", "vigil")
    assert entry.numbers == {"from": "auto", "to": DOWN, "bad": 3, "of": 3, "actions": failed[::-1]}
    about = _about()
    assert (about.target, about.status) == (f"policy:{NAME}", "open")
    assert about.status_reason == entry.reason
    [opened] = entries.of(about.subject)
    assert opened.kind == "incident.opened"


def test_vigils_own_policy_is_in_no_list_and_no_book(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 3)
    assert [policy.name for policy in Policy.objects.all()] == [NAME]
    assert {rule.name for rule in book.current(at + SECOND).rules.values()} == {NAME}
    assert _about().policy_version.sentence
    assert runner.status(at=at).sweep is not None
    with pytest.raises(UnableToReadPolicy, match="Vigil's own"):
        cast.policy(name=demotion.BUILTIN)
    with pytest.raises(UnableToExplain, match="is about policy high-cpu-alert itself"):
        explaining.of_incident(_about().pk, now=at + timedelta(hours=1))


def test_a_demoted_policy_orders_no_more_by_itself(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 3)
    settled = cast.only(cast.post(99, at=at + 5 * SECOND, host="web-9"))
    assert settled.decided is not None
    ordered = settled.decided.action
    assert settled.decided.guard == "mode" if ordered is None else ordered.state == State.AWAITING_APPROVAL


def test_what_helped_in_between_keeps_it_up(at: datetime) -> None:
    cast.policy(**FREE, demote={"bad": 2, "of": 2})
    _fail(at)
    cast.post(92, at=at, host="web-7")
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=at + SECOND)
    cast.post(40, at=at + 2 * SECOND, host="web-7")
    _fail(at, host="web-y")
    assert _policy().mode == "auto"


def test_relapses_count(at: datetime) -> None:
    cast.policy(**FREE, demote={"bad": 1, "of": 1})
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=at + SECOND)
    cast.post(40, at=at + 2 * SECOND)
    assert _policy().mode == "auto"
    cast.post(95, at=at + 30 * SECOND)
    assert queries.get(action.id).verification == "relapsed"
    assert _policy().mode == DOWN


def test_the_settings_say_how_many_and_zero_never_demotes(at: datetime, settings: LazySettings) -> None:
    settings.VIGIL_DEMOTE_BAD = 0
    cast.policy(**FREE)
    _fail(at, 4)
    assert _policy().mode == "auto"


def test_a_person_promotes_it_and_the_incident_is_over(at: datetime) -> None:
    cast.policy(**FREE)
    failed = _fail(at, 3)
    demotion.promote(_policy(), actor="user:ana", note="Repaired.", at=at + 9 * SECOND)
    policy = _policy()
    assert (policy.mode, policy.demotion) == ("auto", None)
    assert (_about().status, _about().resolution) == ("resolved", "by_hand")
    entry = entries.of(f"policy:{NAME}").last()
    assert entry is not None
    assert (entry.kind, entry.actor, entry.reason) == ("policy.promoted", "user:ana", "Repaired.")
    assert entry.numbers["actions"] == failed[::-1]
    assert Demotion.objects.get().ended_by == "user:ana"


def test_what_waits_goes_with_the_mode_when_the_policy_is_demoted_and_when_it_is_promoted(at: datetime) -> None:
    cast.policy(auto_remediate=False, mode="approve", **FREE)
    cast.post(92, at=at, host="web-w")
    [waiting] = queries.for_incident(cast.incident().pk)
    _fail(at, 3)
    assert _policy().mode == "suggest"
    assert queries.get(waiting.id).state == "cancelled"
    cast.post(93, at=at + 3 * SECOND, host="web-w")
    [_, again] = queries.for_incident(Incident.objects.get(target="web-w").pk)
    assert (again.state, again.asks) == ("awaiting_approval", "operator")
    demotion.promote(_policy(), actor="user:ana", note="Repaired.", at=at + 9 * SECOND)
    assert queries.get(again.id).state == "cancelled"


def test_only_what_happened_after_the_promotion_counts_again(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 3)
    demotion.promote(_policy(), actor="user:ana", note="", at=at)
    later = at + timedelta(hours=1)
    _fail(later, 2, host="web-b")
    assert _policy().mode == "auto"
    _fail(later, host="web-c")
    assert _policy().mode == DOWN
    assert Incident.objects.filter(policy__name=demotion.BUILTIN).count() == 2


def test_a_new_version_begins_to_count_anew(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 2)
    authoring.update(name=NAME, change={"description": "Now with a better script."}, actor="user:ana", at=clock.now())
    _fail(at + timedelta(minutes=5), 2, host="web-b")
    assert _policy().mode == "auto"


def test_an_edit_of_something_else_leaves_it_demoted(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 3)
    authoring.update(name=NAME, change={"description": "Hm."}, actor="user:ana", at=clock.now())
    policy = _policy()
    assert (policy.mode, policy.demotion is not None) == (DOWN, True)
    assert authoring.written(policy)["mode"] == "auto", "what it says is what a person wrote"


def test_choosing_another_mode_is_a_persons_word_about_it(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 3)
    authoring.update(name=NAME, change={"mode": "observe"}, actor="user:ana", at=clock.now())
    assert (_policy().mode, _policy().demotion) == ("observe", None)
    assert _about().status == "resolved"


def test_removing_it_withdraws_the_incident_about_it(at: datetime) -> None:
    cast.policy(**FREE)
    _fail(at, 3)
    authoring.delete(name=NAME, actor="user:ana", at=clock.now())
    assert _about().resolution == "withdrawn"


def test_what_is_not_demoted_cannot_be_promoted(db: None) -> None:
    with pytest.raises(UnableToPromote, match="is not demoted"):
        demotion.promote(cast.policy(), actor="user:ana", note="", at=clock.now())


def test_the_api_shows_it_and_promotes(at: datetime) -> None:
    _, plain = keys.create(name="promoter", scopes=["read", "policies:write"], actor="user:ana")
    client = Client(headers={"Authorization": f"Bearer {plain}"})

    def call(method: str, path: str, body: object = None) -> tuple[int, Any]:
        content = "" if body is None else json.dumps(body)
        answer = client.generic(method.upper(), f"/api/v1/{path}", content, content_type="application/json")
        return answer.status_code, json.loads(answer.content)

    cast.policy(**FREE)
    failed = _fail(at, 3)
    shown = call("get", f"policies/{NAME}")[1]
    assert shown["mode"] == "auto"
    assert {key: shown["demoted"][key] for key in ("from", "to", "evidence")} == {
        "from": "auto",
        "to": DOWN,
        "evidence": failed[::-1],
    }
    assert call("put", f"policies/{NAME}", shown)[0] == 200, "what was read can be sent back"
    status, promoted = call("post", f"policies/{NAME}/promote", {"note": "Repaired."})
    assert (status, promoted["demoted"]) == (200, None)
    assert [one["action_id"] for one in promoted["evidence"]] == failed[::-1]
    assert call("post", f"policies/{NAME}/promote")[0] == 409
