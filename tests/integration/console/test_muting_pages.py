"""Silences, maintenance windows and inhibition rules in the console: preview, make, show, end."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from metrics.formats.reading import Reading
from policies import authoring, intake
from policies.models import CommonCause, Incident, InhibitionRule, MaintenanceWindow, Silence
from policies.muting import maintenance
from tests.browser import scene
from tests.integration.console.test_policy_form import FORM
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]

SILENCE = {"matchers": "target = web-*\r\nseverity != critical\r\n", "duration": "2h", "comment": "deploy"}
ONCE = {"target": "web-*", "how": "once", "timezone": "UTC", "duration": "1h", "comment": "new disks"}
WEEKLY = {
    "target": "db-*",
    "how": "weekly",
    "timezone": "Europe/Berlin",
    "days": ["sat", "sun"],
    "opens": "22:00",
    "closes": "02:00",
    "comment": "backups",
}
RULE = {"name": "dead host", "source": "policy = host-down", "target": "policy != host-down", "equal": "host, rack"}


def _add(name: str) -> str:
    return reverse(f"admin:policies_{name}_add")


def _kept() -> int:
    return Silence.objects.count() + MaintenanceWindow.objects.count() + InhibitionRule.objects.count()


def _trouble() -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up")
    scene.send("cpu_percent", 97.0, "web-01")


@pytest.mark.parametrize(
    ("name", "form"), [("silence", SILENCE), ("maintenancewindow", ONCE), ("inhibitionrule", RULE)]
)
def test_a_preview_says_what_would_be_muted_and_keeps_nothing(as_role: SignIn, name: str, form: dict[str, str]) -> None:
    _trouble()
    page = as_role("operator").post(_add(name), form | {"preview": "yes"}).content.decode()
    assert "It would mute 1 live incident now. It covers 1 of 1 known targets and 1 policy in force." in page
    assert "web-cpu-high on web-01" in page
    assert _kept() == 0


def test_a_silence_is_made_shown_and_ended(as_role: SignIn) -> None:
    browser = as_role("operator")
    made = browser.post(_add("silence"), SILENCE)
    row = Silence.objects.get()
    assert made.headers["Location"] == reverse("admin:policies_silence_change", args=[row.pk])
    assert (row.matchers, row.author) == (["target = web-*", "severity != critical"], "user:operator-ana")
    page = browser.get(made.headers["Location"]).content.decode()
    assert "target = web-* and severity != critical" in page
    assert "silence.created" in page
    assert f'tracking-tight">silence {row.pk}: deploy<' in page
    browser.post(reverse("admin:policies_silence_end", args=[row.pk]))
    row.refresh_from_db()
    assert row.ended_by == "user:operator-ana"
    assert "End it now" not in browser.get(made.headers["Location"]).content.decode()
    listed = browser.get(reverse("admin:policies_silence_changelist") + "?state=over").content.decode()
    assert "deploy" in listed


def test_weekly_maintenance_is_made_with_its_zone(as_role: SignIn) -> None:
    as_role("operator").post(_add("maintenancewindow"), WEEKLY)
    shown = maintenance.written(MaintenanceWindow.objects.get())
    assert shown["weekly"] == {"days": ["sat", "sun"], "from": "22:00", "to": "02:00", "timezone": "Europe/Berlin"}


def test_a_date_box_is_read_in_the_zone_beside_it(as_role: SignIn) -> None:
    form = ONCE | {"timezone": "Europe/Berlin", "starts_at": "2099-07-01T10:00"}
    form_of_winter = ONCE | {"timezone": "America/New_York", "starts_at": "2099-01-01T10:00"}
    browser = as_role("operator")
    for one in (form, form_of_winter):
        assert browser.post(_add("maintenancewindow"), one).status_code == 302
    starts = MaintenanceWindow.objects.order_by("id").values_list("starts_at", flat=True)
    assert [f"{moment:%H:%M}" for moment in starts] == ["08:00", "15:00"]


@pytest.mark.parametrize(
    ("name", "form", "part"),
    [
        ("silence", SILENCE | {"matchers": ""}, "at least one matcher"),
        ("silence", SILENCE | {"matchers": "severity = loud"}, "info, warning, critical"),
        ("silence", SILENCE | {"duration": ""}, "Say when it ends"),
        ("silence", SILENCE | {"comment": ""}, "Say it"),
        ("silence", SILENCE | {"starts_at": "soon"}, "with a zone"),
        ("silence", SILENCE | {"starts_at": "9999-12-31T23:59"}, "more than a century away"),
        ("maintenancewindow", ONCE | {"starts_at": "0001-01-01T00:00", "timezone": "Europe/Berlin"}, "with a zone"),
        ("maintenancewindow", ONCE | {"starts_at": "9999-12-31T09:00", "timezone": "Pacific/Kiritimati"}, "a century"),
        ("maintenancewindow", ONCE | {"timezone": "Mars/Base"}, "Europe/Berlin or UTC"),
        ("maintenancewindow", ONCE | {"target": "web-[0-9]"}, "regular expression"),
        ("maintenancewindow", WEEKLY | {"days": []}, "at least one of"),
        ("maintenancewindow", WEEKLY | {"opens": ""}, "such as 22:00"),
        ("inhibitionrule", RULE | {"source": ""}, "at least one matcher"),
        ("inhibitionrule", RULE | {"equal": "a b"}, "name a tag"),
    ],
)
def test_what_makes_no_sense_is_said_beside_its_box(
    as_role: SignIn, name: str, form: dict[str, object], part: str
) -> None:
    answer = as_role("operator").post(_add(name), form)
    assert answer.status_code == 422
    assert part.lower() in answer.content.decode().lower()
    assert _kept() == 0


@pytest.mark.parametrize("role", ["viewer", "editor", "approver"])
def test_those_who_may_not_act_neither_mute_nor_end(as_role: SignIn, role: str) -> None:
    as_role("operator").post(_add("silence"), SILENCE)
    row = Silence.objects.get()
    browser = as_role(role)
    assert browser.get(reverse("admin:policies_silence_change", args=[row.pk])).status_code == 200
    assert browser.post(_add("silence"), SILENCE).status_code == 403
    assert browser.post(reverse("admin:policies_silence_end", args=[row.pk])).status_code == 403
    assert Silence.objects.get().ended_at is None


def test_a_common_cause_is_shown_with_what_it_holds_and_counted(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up")
    for value in (40.0, 97.0):
        readings = [
            Reading(name="cpu_percent", value=value, tags={"host": f"web-{number:02}"}, at=clock.now())
            for number in range(6)
        ]
        intake.accept(readings=readings, at=clock.now(), actor="key:agent-1")
    browser, row = as_role("viewer"), CommonCause.objects.get()
    listed = browser.get(reverse("admin:policies_commoncause_changelist") + "?state=live").content.decode()
    assert "web-cpu-high" in listed
    page = browser.get(reverse("admin:policies_commoncause_change", args=[row.pk])).content.decode()
    assert "6 of 6 known targets went bad within 60 s" in page
    assert reverse("admin:policies_incident_change", args=[Incident.objects.get(target="web-03").pk]) in page
    assert browser.get(reverse("admin:policies_commoncause_changelist") + "?state=over").status_code == 200


def test_not_even_a_superuser_edits_or_deletes_one(as_role: SignIn) -> None:
    browser = as_role("superuser")
    browser.post(_add("silence"), SILENCE)
    row = Silence.objects.get()
    assert browser.post(reverse("admin:policies_silence_change", args=[row.pk]), SILENCE).status_code == 403
    assert browser.post(reverse("admin:policies_silence_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_an_incident_says_that_it_is_muted_and_the_navigation_counts(as_role: SignIn) -> None:
    browser = as_role("operator")
    browser.post(_add("silence"), SILENCE)
    _trouble()
    page = browser.get(reverse("admin:policies_incident_change", args=[Incident.objects.get().pk])).content.decode()
    assert "silenced by operator-ana until" in page
    assert "Held back (silence)" in page


def test_the_policy_form_keeps_what_is_said_about_muting(as_role: SignIn) -> None:
    editor = as_role("editor")
    more = {"group_by": "zone", "cause_percent": "40", "cause_within": "2m", "act_in_maintenance": "on"}
    editor.post("/admin/policies/policy/add/", FORM | more)
    policy = authoring.get("high-cpu")
    kept = authoring.current(policy).document
    expected = {"group_by": "zone", "common_cause": {"percent": 40, "within": "2m"}, "act_in_maintenance": True}
    assert kept.items() >= expected.items()
    page = editor.get(reverse("admin:policies_policy_change", args=[policy.pk])).content.decode()
    assert 'name="act_in_maintenance" checked' in page or 'id="id_act_in_maintenance" checked' in page
    assert clock.now() >= policy.created_at
