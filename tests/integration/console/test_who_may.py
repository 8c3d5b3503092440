"""The console honours the five roles, and a crafted request gets no further than a click."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from actions import control, steering
from actions.models import Action
from policies.models import Incident, Policy
from tests.browser import scene
from vigil.access.models import ApiKey
from vigil.audit.models import Entry
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]

EVERYBODY = {"viewer", "operator", "editor", "approver", "admin", "superuser"}
ADMINS = {"admin", "superuser"}
OWNERS = {"superuser"}
LISTS = {
    "policies_policy": EVERYBODY,
    "policies_incident": EVERYBODY,
    "policies_silence": EVERYBODY,
    "policies_maintenancewindow": EVERYBODY,
    "policies_inhibitionrule": EVERYBODY,
    "policies_commoncause": EVERYBODY,
    "actions_action": EVERYBODY,
    "actions_remediator": EVERYBODY,
    "actions_actiontype": EVERYBODY,
    "audit_entry": EVERYBODY,
    "metrics_series": EVERYBODY,
    "metrics_event": EVERYBODY,
    "access_apikey": ADMINS,
    "auth_user": ADMINS,
    "periodic_workerbeat": ADMINS,
    "periodic_periodicrun": ADMINS,
    "auth_group": OWNERS,
    "django_celery_beat_periodictask": OWNERS,
    "axes_accessattempt": OWNERS,
}
ADDERS = {
    "policies_silence": {"operator", *ADMINS},
    "policies_maintenancewindow": {"operator", *ADMINS},
    "policies_inhibitionrule": {"operator", *ADMINS},
    "actions_action": {"operator", *ADMINS},
    "policies_policy": {"editor", *ADMINS},
    "access_apikey": ADMINS,
    "actions_remediator": ADMINS,
    "auth_user": ADMINS,
}


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_each_role_sees_its_pages_and_no_other(as_role: SignIn, role: str) -> None:
    browser = as_role(role)
    for page, readers in LISTS.items():
        status = browser.get(reverse(f"admin:{page}_changelist")).status_code
        assert status == (200 if role in readers else 403), page
    assert browser.get(reverse("admin:index")).status_code == 200
    assert browser.get(reverse("admin:control")).status_code == 200


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_each_role_may_add_only_what_it_may_add(as_role: SignIn, role: str) -> None:
    browser = as_role(role)
    for page in LISTS:
        status = browser.get(reverse(f"admin:{page}_add")).status_code
        assert status == (
            200 if role in ADDERS.get(page, ADMINS if page == "actions_actiontype" else set()) else 403
        ), page


@pytest.mark.parametrize("who", ["nobody", None])
def test_without_a_role_only_the_sign_in_page_is_shown(as_role: SignIn, who: str | None) -> None:
    browser = as_role(who) if who else Client()
    for address in (
        reverse("admin:index"),
        reverse("admin:now"),
        reverse("admin:control"),
        reverse("admin:policies_policy_preview"),
    ):
        answer = browser.get(address)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/admin/login/")


@pytest.fixture
def trouble() -> dict[str, int]:
    """One open incident with its waiting action, a policy, and a key."""
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up")
    scene.send("cpu_percent", 97.0, "web-01")
    return {
        "incident": Incident.objects.get().pk,
        "action": Action.objects.get().pk,
        "policy": Policy.objects.get().pk,
    }


VERBS = {
    "actions_action_cancel": ("action", {"operator", *ADMINS}),
    "actions_action_retry": ("action", {"operator", *ADMINS}),
    "actions_action_note": ("action", {"operator", *ADMINS}),
    "policies_incident_acknowledge": ("incident", {"operator", *ADMINS}),
    "policies_incident_resolve": ("incident", {"operator", *ADMINS}),
    "policies_policy_switch": ("policy", {"editor", *ADMINS}),
    "policies_policy_remove": ("policy", {"editor", *ADMINS}),
    "policies_policy_change": ("policy", {"editor", *ADMINS}),
}


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_a_verb_that_a_role_lacks_is_refused_and_changes_nothing(
    as_role: SignIn, trouble: dict[str, int], role: str
) -> None:
    browser = as_role(role)
    before = Entry.objects.count()
    for name, (thing, allowed) in VERBS.items():
        if role in allowed:
            continue
        assert browser.post(reverse(f"admin:{name}", args=[trouble[thing]])).status_code == 403, name
    assert browser.post(reverse("admin:policies_policy_sentence")).status_code == (
        200 if role in {"editor", *ADMINS} else 403
    )
    assert Entry.objects.count() == before
    assert Action.objects.get().state == "ready"
    assert Incident.objects.get().status == "open"


@pytest.mark.parametrize("role", ["viewer", "editor", "approver"])
def test_the_switch_is_not_moved_by_those_without_control(as_role: SignIn, role: str) -> None:
    wish = {"mode": "paused", "reason": "I want to", "confirmed": "yes"}
    assert as_role(role).post(reverse("admin:control"), wish).status_code == 403
    assert control.state().mode == "active"


def test_not_even_a_superuser_writes_actions_incidents_or_the_audit(as_role: SignIn, trouble: dict[str, int]) -> None:
    browser = as_role("superuser")
    wish = {"state": "succeeded", "status": "resolved", "reason": "crafted", "_save": "Save"}
    assert browser.post(reverse("admin:actions_action_add"), wish).status_code == 422
    for name, key in (
        ("actions_action", trouble["action"]),
        ("policies_incident", trouble["incident"]),
        ("audit_entry", Entry.objects.values_list("pk", flat=True)[0]),
    ):
        assert browser.post(reverse(f"admin:{name}_change", args=[key]), wish).status_code == 403
        assert browser.post(reverse(f"admin:{name}_delete", args=[key]), {"post": "yes"}).status_code == 403
        if name != "actions_action":
            assert browser.post(reverse(f"admin:{name}_add"), wish).status_code == 403
    assert Action.objects.get().state == "ready"
    assert Incident.objects.get().status == "open"
    assert not Entry.objects.filter(reason="crafted").exists()


def test_nothing_is_deleted_in_bulk(as_role: SignIn, trouble: dict[str, int]) -> None:
    browser = as_role("superuser")
    for name in LISTS:
        wish = {"action": "delete_selected", "_selected_action": ["1"], "post": "yes"}
        browser.post(reverse(f"admin:{name}_changelist"), wish)
    assert Action.objects.count() == Incident.objects.count() == Policy.objects.count() == 1


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_bulk_verbs_are_not_offered_and_not_taken(as_role: SignIn, trouble: dict[str, int], role: str) -> None:
    wish = {"action": "cancel_selected", "_selected_action": [str(trouble["action"])]}
    as_role(role).post(reverse("admin:actions_action_changelist"), wish)
    assert Action.objects.get().state == "ready"


def test_keys_cannot_be_edited(as_role: SignIn) -> None:
    browser = as_role("superuser")
    browser.post(reverse("admin:access_apikey_add"), {"name": "agent", "scopes": ["ingest"], "expires": "30"})
    key = ApiKey.objects.get()
    answer = browser.post(reverse("admin:access_apikey_change", args=[key.pk]), {"scopes": '["control"]', "name": "x"})
    assert answer.status_code == 403
    assert ApiKey.objects.get().scopes == ["ingest"]
    assert browser.post(reverse("admin:access_apikey_delete", args=[key.pk]), {"post": "yes"}).status_code == 403


def test_an_administrator_cannot_make_himself_a_superuser(as_role: SignIn) -> None:
    browser = as_role("admin")
    own = scene.person("eve", "viewer")
    wish = {"username": "eve", "is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": []}
    browser.post(reverse("admin:auth_user_change", args=[own.pk]), wish)
    own.refresh_from_db()
    assert not own.is_superuser
    root = scene.person("root", superuser=True)
    assert browser.get(reverse("admin:auth_user_change", args=[root.pk])).status_code == 302
    assert browser.post(
        f"/admin/auth/user/{root.pk}/password/", {"password1": "x" * 12, "password2": "x" * 12}
    ).status_code in (302, 403, 404)
    root.refresh_from_db()
    assert root.check_password(scene.PASSWORD)


def test_a_form_without_its_token_is_refused(trouble: dict[str, int]) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(scene.person("op", "operator"), backend="django.contrib.auth.backends.ModelBackend")
    assert browser.post(reverse("admin:actions_action_cancel", args=[trouble["action"]])).status_code == 403
    assert Action.objects.get().state == "ready"


def test_what_was_done_here_says_who_did_it(as_role: SignIn, trouble: dict[str, int]) -> None:
    as_role("operator").post(reverse("admin:actions_action_cancel", args=[trouble["action"]]), {"reason": "Not now."})
    entry = Entry.objects.get(kind="action.cancelled")
    assert (entry.actor, entry.reason) == ("user:operator-ana", "Not now.")


def test_a_refusal_of_the_domain_is_told_on_the_page(as_role: SignIn, trouble: dict[str, int]) -> None:
    steering.cancel(action_id=trouble["action"], actor="user:bo", reason="first", at=clock.now())
    address = reverse("admin:actions_action_cancel", args=[trouble["action"]])
    answer = as_role("operator").post(address, {"reason": "second"}, follow=True)
    assert "there is nothing to cancel" in answer.content.decode()


def test_verbs_on_several_rows_reach_each_of_them(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up")
    for target in ("web-01", "web-02"):
        scene.send("cpu_percent", 97.0, target)
    operator, editor = as_role("operator"), as_role("editor")
    actions = [str(key) for key in Action.objects.values_list("pk", flat=True)]
    incidents = [str(key) for key in Incident.objects.values_list("pk", flat=True)]
    wish = {"action": "acknowledge_selected", "_selected_action": incidents}
    operator.post(reverse("admin:policies_incident_changelist"), wish)
    operator.post(
        reverse("admin:actions_action_changelist"), {"action": "cancel_selected", "_selected_action": actions}
    )
    assert set(Incident.objects.values_list("acknowledged_by", flat=True)) == {"user:operator-ana"}
    assert set(Action.objects.values_list("state", flat=True)) == {"cancelled"}
    wish = {"action": "disable_selected", "_selected_action": [str(Policy.objects.get().pk)]}
    editor.post(reverse("admin:policies_policy_changelist"), wish)
    assert not Policy.objects.get().enabled


def test_who_may_not_is_told_what_is_missing(as_role: SignIn) -> None:
    page = as_role("viewer").post(reverse("admin:control"), {"mode": "paused"}).content.decode()
    assert "missing: control" in page
    assert "An administrator can add you to a group." in page
