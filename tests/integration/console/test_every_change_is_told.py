"""Each change by a person or a key: one audit entry that names them and the request, and without it no change."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from actions.models import Action, ActionType, ControlSwitch, Remediator
from policies.models import Incident, InhibitionRule, MaintenanceWindow, Policy, PolicyVersion, Silence
from tests.browser import scene
from tests.integration.console.test_muting_pages import ONCE, RULE, SILENCE
from tests.integration.console.test_pages import ORDER, remediator_form
from tests.integration.console.test_policy_form import FORM
from vigil import schedule
from vigil.access import keys, scopes
from vigil.access.models import ApiKey
from vigil.audit.models import Entry
from vigil.kernel import statements

pytestmark = pytest.mark.django_db

KEPT: Sequence[type[models.Model]] = (
    *(
        Policy,
        PolicyVersion,
        Incident,
        Action,
        ActionType,
        Remediator,
        ControlSwitch,
        ApiKey,
        User,
        User.groups.through,
    ),
    *(Silence, MaintenanceWindow, InhibitionRule, PeriodicTask, AccessAttempt),
)
FORGETTABLE = {"last_used_at", "last_login"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change, and the kind of entry that tells of it."""

    kind: str
    path: str
    """With `{name}` for a row's number; `admin:` in front names a page."""
    body: dict[str, Any]
    verb: str = "POST"


def _page(kind: str, name: str, body: dict[str, Any] | None = None, row: str = "") -> Step:
    return Step(kind=kind, path=f"admin:{name}/{row}", body=body or {})


POLICY = {"name": "p", "condition": "memory > 90", "target": "*", "action": "restart"}
ANA = {"username": "bo", "password1": scene.PASSWORD, "password2": scene.PASSWORD, "usable_password": "true"}
BY_KEY = (
    Step(kind="policy.created", path="policies", body=POLICY),
    Step(kind="policy.updated", path="policies/p", body={"severity": "critical"}, verb="PATCH"),
    Step(kind="policy.disabled", path="policies/p/disable", body={}, verb="PUT"),
    Step(kind="policy.enabled", path="policies/p/enable", body={}, verb="PUT"),
    Step(kind="policy.deleted", path="policies/p", body={}, verb="DELETE"),
    Step(kind="policies.reloaded", path="policies/reload", body={}),
    Step(kind="action.ready", path="actions", body={"action": "restart", "target": "db-01"}),
    Step(kind="action.noted", path="actions/{action}/notes", body={"notes": "seen"}),
    Step(kind="action.cancelled", path="actions/{action}/cancel", body={"reason": "no"}),
    Step(kind="action.ready", path="actions/{action}/retry", body={"reason": "yes"}),
    Step(kind="incident.acknowledged", path="incidents/{incident}/acknowledge", body={"note": "on it"}),
    Step(kind="incident.resolved", path="incidents/{incident}/resolve", body={"note": "done"}),
    Step(kind="silence.created", path="silences", body={"matchers": ["target = a"], "duration": "1h", "comment": "c"}),
    Step(kind="silence.updated", path="silences/{silence}", body={"comment": "d"}, verb="PATCH"),
    Step(kind="silence.ended", path="silences/{silence}", body={}, verb="DELETE"),
    Step(kind="maintenance.created", path="maintenance", body={"target": "a", "duration": "1h", "comment": "c"}),
    Step(kind="maintenance.updated", path="maintenance/{window}", body={"comment": "d"}, verb="PATCH"),
    Step(kind="maintenance.ended", path="maintenance/{window}", body={}, verb="DELETE"),
    Step(
        kind="inhibition.created",
        path="inhibitions",
        body={"name": "r", "source": ["policy = a"], "target": ["policy = b"]},
    ),
    Step(kind="inhibition.updated", path="inhibitions/{rule}", body={"equal": ["host"]}, verb="PATCH"),
    Step(kind="inhibition.ended", path="inhibitions/{rule}", body={}, verb="DELETE"),
    Step(kind="control.paused", path="control", body={"mode": "paused", "reason": "r"}, verb="PUT"),
)
BY_PERSON = (
    _page("policy.created", "policies_policy_add", FORM),
    _page("policy.updated", "policies_policy_change", FORM | {"threshold": "80", "version": "1"}, "policy"),
    _page("policy.disabled", "policies_policy_switch", {}, "policy"),
    _page("policy.deleted", "policies_policy_remove", {"name": "high-cpu"}, "policy"),
    _page("action.ready", "actions_action_add", ORDER),
    _page("action.noted", "actions_action_note", {"notes": "seen"}, "action"),
    _page("action.cancelled", "actions_action_cancel", {"reason": "no"}, "action"),
    _page("action.ready", "actions_action_retry", {"reason": "yes"}, "action"),
    _page("incident.acknowledged", "policies_incident_acknowledge", {"note": "on it"}, "incident"),
    _page("incident.resolved", "policies_incident_resolve", {"note": "done"}, "incident"),
    _page("silence.created", "policies_silence_add", SILENCE),
    _page("silence.ended", "policies_silence_end", {}, "silence"),
    _page("maintenance.created", "policies_maintenancewindow_add", ONCE),
    _page("maintenance.ended", "policies_maintenancewindow_end", {}, "window"),
    _page("inhibition.created", "policies_inhibitionrule_add", RULE),
    _page("inhibition.ended", "policies_inhibitionrule_end", {}, "rule"),
    _page("key.created", "access_apikey_add", {"name": "agent-2", "scopes": ["ingest"], "expires": "30"}),
    _page("key.revoked", "access_apikey_revoke", {"reason": "leaked"}, "key"),
    _page("remediator.created", "actions_remediator_add", remediator_form(name="second")),
    _page("remediator.updated", "actions_remediator_change", remediator_form(enabled=""), "remediator"),
    _page("user.created", "auth_user_add", ANA),
    _page("user.updated", "auth_user_change", {"username": "bo", "is_active": "on", "is_staff": "on"}, "person"),
    _page(
        "user.password",
        "auth_user_password_change",
        ANA | {"password1": "another-long-one", "password2": "another-long-one"},
        "person",
    ),
    _page("user.deleted", "auth_user_delete", {"post": "yes"}, "person"),
    _page(
        "user.password",
        "password_change",
        {"old_password": scene.PASSWORD, "new_password1": "another-long-one", "new_password2": "another-long-one"},
    ),
    _page("lockout.lifted", "axes_accessattempt_delete", {"post": "yes"}, "lockout"),
    _page("schedule.disabled", "django_celery_beat_periodictask_change", {}, "schedule"),
    _page("control.paused", "control", {"mode": "paused", "reason": "r", "confirmed": "yes"}),
)


def _newest(model: type[models.Model], **having: object) -> int:
    found = model._default_manager.filter(**having).order_by("-pk").values_list("pk", flat=True).first()
    return 0 if found is None else int(found)


def _rows() -> dict[str, int]:
    return {
        "policy": _newest(Policy, name="high-cpu"),
        "incident": _newest(Incident),
        "action": _newest(Action),
        "silence": _newest(Silence),
        "window": _newest(MaintenanceWindow),
        "rule": _newest(InhibitionRule),
        "key": _newest(ApiKey, name="agent-2"),
        "remediator": _newest(Remediator),
        "person": _newest(User, username="bo"),
        "lockout": _newest(AccessAttempt),
        "schedule": _newest(PeriodicTask),
    }


def _send(client: Client, step: Step) -> int:
    if not step.path.startswith("admin:"):
        path = f"/api/v1/{step.path.format(**_rows())}"
        return client.generic(step.verb, path, json.dumps(step.body), content_type="application/json").status_code
    name, _, row = step.path.partition("/")
    return client.post(reverse(name, args=[_rows()[row]] if row else []), step.body).status_code


def _state() -> dict[str, list[dict[str, Any]]]:
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in FORGETTABLE}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in KEPT
    }


def _story(client: Client, steps: Sequence[Step], *, actor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in steps:
        before, seen = _state(), _newest(Entry)
        with monkeypatch.context() as patch:
            patch.setattr(statements, "insert", _broken)
            assert _send(client, step) == 500, step
        assert _state() == before, f"{step} changed something without an entry"
        assert _send(client, step) in {200, 201, 302}, step
        told = {(one.kind, one.actor, one.request_id) for one in Entry.objects.filter(pk__gt=seen)}
        assert (step.kind, actor, "req-1") in told, f"{step}: {told}"
        assert _state() != before or step.kind == "policies.reloaded", step


_insert = statements.insert


def _broken(row: models.Model) -> None:
    if isinstance(row, Entry):
        raise RuntimeError("the audit cannot be written")
    _insert(row)


@pytest.fixture
def trouble(db: None) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up")
    scene.send("cpu_percent", 97.0, "web-01")
    AccessAttempt.objects.create(username="eve", ip_address="192.0.2.1", failures_since_start=5)
    schedule.ensure()


def test_what_a_key_does_is_told_or_not_done(trouble: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain = keys.create(name="all", scopes=scopes.ALL, actor="user:ana")
    keys.forget_cache()
    client = Client(
        raise_request_exception=False, headers={"Authorization": f"Bearer {plain}", "X-Request-ID": "req-1"}
    )
    _story(client, BY_KEY, actor="key:all", monkeypatch=monkeypatch)


def test_what_a_person_does_is_told_or_not_done(trouble: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False, headers={"X-Request-ID": "req-1"})
    client.force_login(scene.person("ana", superuser=True), backend="django.contrib.auth.backends.ModelBackend")
    _story(client, BY_PERSON, actor="user:ana", monkeypatch=monkeypatch)
