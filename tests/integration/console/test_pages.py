"""What an operator reads and does: the front page, the switch, keys, remediators, schedules, stories."""

import base64
import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.defaults import server_error
from django_celery_beat.models import PeriodicTask
from time_machine import TimeMachineFixture

from actions import control, queries
from actions.models import Action, ActionType, Remediator
from metrics.models import Series
from policies import incidents
from policies.models import Incident
from policies.muting import silences
from tests.browser import scene
from tests.integration.actions import make
from vigil import schedule
from vigil.access import keys
from vigil.access.models import ApiKey
from vigil.audit.models import Entry
from vigil.console import dashboard
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]


def text_of(page: bytes) -> str:
    """The page as a person reads it."""
    without_tags = re.sub(r"<[^>]+>", " ", page.decode())
    return re.sub(r"\s+", " ", html.unescape(without_tags))


def front_page(browser: Client) -> str:
    return text_of(browser.get(reverse("admin:now")).content)


def test_a_calm_vigil_says_that_nothing_is_broken(as_role: SignIn) -> None:
    page = front_page(as_role("viewer"))
    assert "Nothing is broken." in page
    assert "No incident is open or pending." in page


def test_an_open_incident_is_told_with_what_happens_to_it(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", severity="critical")
    scene.send("cpu_percent", 97, "web-01")
    page = front_page(as_role("viewer"))
    assert "1 open incident, 1 critical." in page
    assert "cpu_percent 97 > 90" in page
    assert "scale-up is ordered and about to start." in page


def test_a_finished_remedy_waits_for_proof_and_then_counts_as_healed(as_role: SignIn) -> None:
    browser = as_role("viewer")
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", settle="0s")
    scene.send("cpu_percent", 97, "web-01")
    scene.work()
    assert "waiting for fresh readings to prove it" in front_page(browser)
    scene.send("cpu_percent", 20, "web-01")
    page = front_page(browser)
    assert "Nothing is broken." in page
    assert "web-01 web-cpu-high by scale-up" in page


def test_a_remedy_that_did_not_help_is_not_credited_with_the_healing(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", settle="0s")
    scene.send("cpu_percent", 97, "web-01")
    scene.work()
    scene.send("cpu_percent", 96, "web-01")
    assert Action.objects.get().verification == "ineffective"
    scene.send("cpu_percent", 20, "web-01")
    assert "web-01 web-cpu-high without a remedy that helped" in front_page(as_role("viewer"))


def test_an_observing_policy_says_what_it_would_have_done(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", mode="observe")
    scene.send("cpu_percent", 97, "web-01")
    assert "Would have ordered scale-up on web-01, but the policy only observes." in front_page(as_role("viewer"))


def test_an_action_that_needs_a_human_comes_first(as_role: SignIn) -> None:
    with scene.remediator():
        number = scene.get_stuck("queue-02")
    assert queries.get(number).needs_human
    page = front_page(as_role("operator"))
    assert page.index("1 action needs you.") < page.index("What is broken")
    browser = as_role("admin")
    listed = browser.get(reverse("admin:actions_action_changelist"), {"status": "needs_human"}).content.decode()
    assert "queue-02" in listed


@pytest.fixture
def exhausted(db: None) -> Incident:
    """The only remedy was carried out and helped nothing."""
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", settle="0s")
    scene.send("cpu_percent", 97, "web-01")
    scene.work()
    scene.send("cpu_percent", 98, "web-01")
    Incident.objects.update(exhausted=True)
    Action.objects.update(verification="ineffective")
    return Incident.objects.get()


@pytest.mark.usefixtures("exhausted")
def test_an_incident_that_no_remedy_helped_needs_a_person_in_the_headline(as_role: SignIn) -> None:
    page = front_page(as_role("viewer"))
    assert "1 incident needs you. 1 open incident." in page
    assert "Every remedy was tried and none helped." in page


def test_an_incident_that_somebody_deals_with_asks_nobody_else(as_role: SignIn, exhausted: Incident) -> None:
    incidents.acknowledge(incident_id=exhausted.pk, actor="user:bo", note="", at=clock.now())
    page = front_page(as_role("viewer"))
    assert "bo deals with it; Vigil orders nothing more." in page
    assert "needs you" not in page
    listed = as_role("operator").get(reverse("admin:policies_incident_changelist"), {"is": "exhausted"})
    assert "web-01" not in text_of(listed.content)


def test_an_incident_that_is_muted_says_so_instead_of_seeming_forgotten(as_role: SignIn) -> None:
    raw = {"matchers": ["target = web-*"], "duration": "2h", "comment": "deploy"}
    silences.create(raw=raw, actor="user:bo", at=clock.now())
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 97, "web-01")
    page = front_page(as_role("viewer"))
    assert "1 open incident, 1 held." in page
    assert "Held: silenced by bo until" in page


def test_the_front_page_says_how_many_incidents_it_has_no_room_for(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", mode="observe")
    for number in range(dashboard.SHOWN + 3):
        scene.send("cpu_percent", 97, f"web-{number}")
    assert "3 more" in front_page(as_role("viewer"))


def test_the_front_page_asks_a_fixed_number_of_queries(as_role: SignIn, django_assert_max_num_queries: object) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up")
    for number in range(12):
        scene.send("cpu_percent", 97, f"web-{number:02}")
    browser = as_role("viewer")
    with django_assert_max_num_queries(45):  # type: ignore[operator]
        browser.get(reverse("admin:now"))


def test_a_paused_vigil_says_so_on_every_page(as_role: SignIn) -> None:
    control.set_mode(mode="paused", reason="failover", actor="user:bo", at=clock.now())
    browser = as_role("superuser")
    for name in (
        "index",
        "control",
        "policies_policy_changelist",
        "actions_action_changelist",
        "policies_policy_add",
        "auth_user_add",
    ):
        page = text_of(browser.get(reverse(f"admin:{name}")).content)
        assert page.count("VIGIL IS PAUSED.") == 1, name
        assert "failover (user:bo" in page


def test_moving_the_switch_takes_two_steps_and_a_reason(as_role: SignIn) -> None:
    browser, address = as_role("operator"), reverse("admin:control")
    assert browser.post(address, {"mode": "paused"}).status_code == 422
    asked = browser.post(address, {"mode": "paused", "reason": "failover"})
    assert "Pause Vigil?" in text_of(asked.content)
    assert control.state().mode == "active"
    browser.post(address, {"mode": "paused", "reason": "failover", "confirmed": "yes"})
    state = control.state()
    assert (state.mode, state.reason, state.by) == ("paused", "failover", "user:operator-ana")
    browser.post(address, {"mode": "active", "reason": "done", "confirmed": "yes"})
    assert control.state().mode == "active"


@pytest.mark.parametrize("mode", ["", "off", "ACTIVE"])
def test_a_mode_nobody_knows_is_refused(as_role: SignIn, mode: str) -> None:
    wish = {"mode": mode, "reason": "x", "confirmed": "yes"}
    assert as_role("operator").post(reverse("admin:control"), wish).status_code == 422
    assert control.state().mode == "active"


def test_a_pause_file_outranks_the_switch_and_the_page_says_so(
    as_role: SignIn, tmp_path: Path, settings: object
) -> None:
    settings.VIGIL_PAUSE_FILE = tmp_path / "VIGIL_PAUSE"  # type: ignore[attr-defined]
    (tmp_path / "VIGIL_PAUSE").write_text("touched by hand")
    browser = as_role("operator")
    assert "The pause file holds Vigil still" in text_of(browser.get(reverse("admin:control")).content)
    wish = {"mode": "active", "reason": "go", "confirmed": "yes"}
    answer = browser.post(reverse("admin:control"), wish, follow=True)
    assert "but Vigil stays paused: touched by hand" in text_of(answer.content)


def test_a_new_key_is_shown_once_and_kept_nowhere(as_role: SignIn) -> None:
    browser = as_role("admin")
    wish = {"name": "agent-1", "scopes": ["ingest", "read"], "expires": "30", "targets": "web-*, db-01"}
    answer = browser.post(reverse("admin:access_apikey_add"), wish)
    plain = re.search(r"vgl_[0-9a-f]{8}_[\w-]+", answer.content.decode())
    assert plain is not None
    assert "no-store" in answer["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.scopes, key.targets, key.created_by) == (["ingest", "read"], ["web-*", "db-01"], "user:admin-ana")
    assert keys.find(plain.group(), at=clock.now()) is not None
    secret = plain.group().split("_", 2)[2]
    for address in (reverse("admin:access_apikey_changelist"), reverse("admin:access_apikey_change", args=[key.pk])):
        assert secret not in browser.get(address).content.decode()
    assert not Entry.objects.filter(reason__contains=secret).exists()


def test_a_key_without_a_scope_is_refused(as_role: SignIn) -> None:
    answer = as_role("admin").post(reverse("admin:access_apikey_add"), {"name": "agent-1", "expires": ""})
    assert "Choose at least one" in text_of(answer.content)
    assert not ApiKey.objects.exists()


def test_a_revoked_key_opens_nothing(as_role: SignIn) -> None:
    key, plain = keys.create(name="agent-1", scopes=["ingest"], actor="user:bo")
    as_role("admin").post(reverse("admin:access_apikey_revoke", args=[key.pk]), {"reason": "leaked"})
    keys.forget_cache()
    assert keys.find(plain, at=clock.now()) is None
    assert Entry.objects.get(kind="key.revoked").reason == "leaked"


def remediator_form(**change: object) -> dict[str, object]:
    return {"kind": "http", "config": json.dumps({"url": "https://r.example/do"}), "enabled": "on", **change}


def test_a_remediators_secret_goes_in_and_never_comes_out(as_role: SignIn) -> None:
    browser, secret = as_role("admin"), "whsec_" + base64.b64encode(b"a secret that nobody ever sees..").decode()
    page = reverse("admin:actions_remediator_change", args=[Remediator.objects.get(name="default").pk])
    browser.post(page, remediator_form(new_secret=secret))
    assert Remediator.objects.get(name="default").secret == secret
    for role, address in (("admin", page), ("viewer", page), ("admin", reverse("admin:actions_remediator_changelist"))):
        client = browser if role == "admin" else as_role(role)
        assert secret[6:] not in client.get(address).content.decode()
    browser.post(page, remediator_form())
    assert Remediator.objects.get(name="default").secret == secret
    browser.post(page, remediator_form(drop_secret="on"))
    assert Remediator.objects.get(name="default").secret == ""
    assert Entry.objects.filter(subject="remediator:default", actor="user:admin-ana").count() == 3
    assert not Entry.objects.filter(reason__contains=secret).exists()


def test_a_secret_that_no_key_opens_can_be_entered_again(as_role: SignIn) -> None:
    row = Remediator.objects.get(name="default")
    make.secret_lost(row.name)
    browser, page = as_role("admin"), reverse("admin:actions_remediator_change", args=[row.pk])
    for name in ("remediator", "actiontype"):
        assert browser.get(reverse(f"admin:actions_{name}_changelist")).status_code == 200
    assert browser.get(page).status_code == 200
    assert "enter the secret again" in text_of(browser.post(page, remediator_form()).content)
    browser.post(page, remediator_form(new_secret="s" * 32))
    assert Remediator.objects.get(name="default").secret == "s" * 32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config": '{"url": "ftp://r.example"}'}, "http:// or https://"),
        ({"config": "[]"}, "JSON object"),
        ({"config": '{"adress": 1}'}, "adress"),
        ({"kind": "pigeon"}, "not one of the available choices"),
        ({"kind": "command", "config": '{"command": "rm"}'}, "command"),
    ],
)
def test_a_remediator_that_cannot_work_is_not_kept(as_role: SignIn, change: dict[str, str], said: str) -> None:
    row = Remediator.objects.get(name="default")
    answer = as_role("admin").post(reverse("admin:actions_remediator_change", args=[row.pk]), remediator_form(**change))
    assert answer.status_code == 200
    assert said in text_of(answer.content)
    row.refresh_from_db()
    assert row.kind == "log"


def test_an_action_types_schema_has_to_be_one(as_role: SignIn) -> None:
    kind = ActionType.objects.get(name="restart")
    wish = {
        "remediator": kind.remediator_id,
        "retry_safety": "natural",
        "risk": "low",
        "max_seconds": "60",
        "name": "other",
    }
    browser, page = as_role("admin"), reverse("admin:actions_actiontype_change", args=[kind.pk])
    answer = browser.post(page, wish | {"schema": '{"type": "no-such-type"}'})
    assert "This is no JSON Schema" in text_of(answer.content)
    answer = browser.post(page, wish | {"schema": '{"properties": {"a": {"$ref": "http://elsewhere/s.json"}}}'})
    assert "http://elsewhere/s.json leads nowhere in it" in text_of(answer.content)
    browser.post(page, wish | {"schema": '{"type": "object"}', "enabled": "on"})
    kind.refresh_from_db()
    assert (kind.name, kind.schema, kind.max_seconds) == ("restart", {"type": "object"}, 60)


def test_a_schedule_is_explained_in_vigils_words(as_role: SignIn) -> None:
    schedule.ensure()
    job = PeriodicTask.objects.get(name="policies.sweep")
    page = text_of(as_role("superuser").get(f"/admin/django_celery_beat/periodictask/{job.pk}/change/").content)
    assert "neither beat nor the dispatcher runs it" in page
    assert "Short Description" not in page


def test_a_schedule_is_switched_and_nothing_else(as_role: SignIn) -> None:
    schedule.ensure()
    job = PeriodicTask.objects.get(name="metrics.prune")
    browser = as_role("superuser")
    page = reverse("admin:django_celery_beat_periodictask_change", args=[job.pk])
    browser.post(page, {"task": "os.system", "kwargs": '{"x": 1}', "queue": "elsewhere"})
    job.refresh_from_db()
    assert (job.enabled, job.task, job.kwargs, job.queue) == (False, "metrics.prune", "{}", "vigil.chores")
    browser.post(
        reverse("admin:django_celery_beat_periodictask_changelist"),
        {"action": "run_tasks", "_selected_action": [job.pk]},
    )
    assert "run_tasks" not in browser.get(reverse("admin:django_celery_beat_periodictask_changelist")).content.decode()


def test_the_story_of_an_incident_has_its_audit_its_decisions_and_its_actions(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", settle="0s")
    scene.send("cpu_percent", 97, "web-01")
    scene.work()
    scene.send("cpu_percent", 20, "web-01")
    incident = Incident.objects.get()
    page = text_of(as_role("viewer").get(reverse("admin:policies_incident_change", args=[incident.pk])).content)
    steps = ["Incident opened", "Decided to act", "Action 1 ready", "Action 1 succeeded", "Incident resolved"]
    steps = [step.replace("Action 1", f"Action {Action.objects.get().pk}") for step in steps]
    places = [page.find(step, page.find("What happened")) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    assert f"Action {Action.objects.get().pk} effective" in page
    assert "What you can do" not in page


def test_in_a_story_the_cause_stands_before_its_effect(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up", settle="0s")
    scene.send("cpu_percent", 97, "web-01")
    scene.work()
    scene.send("cpu_percent", 98, "web-01")
    incident = Incident.objects.get(exhausted=True)
    page = text_of(as_role("viewer").get(reverse("admin:policies_incident_change", args=[incident.pk])).content)
    told = ["Incident opened", "Decided to act", "ready", "succeeded", "ineffective", "Incident exhausted", "Refused"]
    story = page.split("What happened", 1)[1]
    places = [story.index(one) for one in told]
    assert places == sorted(places)


def test_an_operator_acknowledges_and_resolves(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 97, "web-01")
    browser, incident = as_role("operator"), Incident.objects.get()
    browser.post(reverse("admin:policies_incident_acknowledge", args=[incident.pk]), {"note": "on it"})
    incident.refresh_from_db()
    assert incident.acknowledged_by == "user:operator-ana"
    browser.post(reverse("admin:policies_incident_resolve", args=[incident.pk]), {"note": "planned load"})
    incident.refresh_from_db()
    assert (incident.status, incident.resolution) == ("resolved", "by_hand")
    assert Action.objects.get().state == "cancelled"


def test_an_action_page_tells_its_attempts_and_takes_a_retry(as_role: SignIn) -> None:
    with scene.remediator():
        number = scene.get_stuck("queue-02")
    browser, address = as_role("operator"), reverse("admin:actions_action_change", args=[number])
    page = text_of(browser.get(address).content)
    assert "ambiguous" in page
    assert "The request left, but no answer came" in page
    browser.post(reverse("admin:actions_action_retry", args=[number]), {"reason": "looked: it is idle"})
    assert queries.get(number).state == "failed"
    assert Action.objects.get(retry_of=number).state == "ready"


def test_what_is_not_there_is_404(as_role: SignIn) -> None:
    browser = as_role("superuser")
    for name in ("policies_incident", "actions_action", "policies_policy", "metrics_series"):
        for key in ("999999", "x"):
            assert browser.get(reverse(f"admin:{name}_change", args=[key])).status_code == 404


ORDER = {"kind": "scale-up", "target": "web-01", "params": '{"replicas": 3}', "reason": "a sale", "key": "page-1"}


def test_an_operator_orders_by_hand_and_sending_twice_orders_once(as_role: SignIn) -> None:
    browser, address = as_role("operator"), reverse("admin:actions_action_add")
    browser.post(address, ORDER)
    browser.post(address, ORDER)
    action = Action.objects.get()
    assert (action.target, action.params, action.ordered_by) == ("web-01", {"replicas": 3}, "user:operator-ana")
    assert action.by_hand


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "*"}, "one target"),
        ({"kind": "scale_up"}, "Select a valid choice"),
        ({"params": '{"copies": 3}'}, "copies"),
        ({"params": "[1]"}, "JSON object"),
        ({"reason": ""}, "required"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_beside_its_field(
    as_role: SignIn, change: dict[str, str], said: str
) -> None:
    answer = as_role("operator").post(reverse("admin:actions_action_add"), ORDER | change)
    assert answer.status_code == 422
    assert said in text_of(answer.content)
    assert not Action.objects.exists()


def test_a_paused_vigil_takes_no_order_and_says_why(as_role: SignIn) -> None:
    control.set_mode(mode="paused", reason="failover", actor="user:bo", at=clock.now())
    page = text_of(as_role("operator").post(reverse("admin:actions_action_add"), ORDER).content)
    assert "Not ordered: Vigil is paused (set by user:bo: failover)." in page


def test_invisible_characters_do_not_get_through_the_boxes(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 97, "web-01")
    browser, incident = as_role("operator"), Incident.objects.get()
    wish = {"note": "seen\x00\x1b[2J\n[ERROR] it"}
    answer = browser.post(reverse("admin:policies_incident_acknowledge", args=[incident.pk]), wish)
    assert answer.status_code == 302
    assert Entry.objects.get(kind="incident.acknowledged").reason == "seen[2J [ERROR] it"


def test_a_stored_secret_cannot_be_felt_for_by_address(as_role: SignIn) -> None:
    key, _ = keys.create(name="agent-1", scopes=["ingest"], actor="user:ana")
    browser, address = as_role("admin"), reverse("admin:access_apikey_changelist")
    for start in (key.digest[:4], "nothing"):
        answer = browser.get(address, {"digest__startswith": start})
        assert (answer.status_code, answer.headers.get("Location")) == (302, f"{address}?e=1")
    assert "agent-1" in text_of(browser.get(address, {"state": "active"}).content)


def test_a_line_says_from_when_to_when_it_goes(as_role: SignIn) -> None:
    for value in (40, 41):
        scene.send("cpu_percent", value, "web-01")
    page = text_of(
        as_role("viewer").get(reverse("admin:metrics_series_change", args=[Series.objects.get().pk])).content
    )
    assert re.search(r"2 samples, lowest 40, highest 41 \d{4}-\d\d-\d\d [\d:]{8} \d{4}-\d\d-\d\d [\d:]{8} UTC", page)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("day", "The last day 3 hours · day · week · month · year 1 average of 5m, lowest 40.5"),
        ("year", "The last year 3 hours · day · week · month · year 1 average of 1d6h, lowest 40.5"),
        ("never", "The last three hours 3 hours · day · week · month · year 2 samples, lowest 40"),
    ],
)
def test_a_long_time_is_drawn_from_averages(
    as_role: SignIn, time_machine: TimeMachineFixture, last: str, told: str
) -> None:
    time_machine.move_to(datetime(2026, 1, 19, 12, 1, tzinfo=UTC), tick=False)
    for value in (40, 41):
        scene.send("cpu_percent", value, "web-01")
    address = reverse("admin:metrics_series_change", args=[Series.objects.get().pk])
    assert told in text_of(as_role("viewer").get(address, {"last": last}).content)


def test_the_console_is_found_without_the_last_stroke(as_role: SignIn) -> None:
    assert as_role("viewer").get("/admin").headers["Location"] == "/admin/"


def test_a_page_that_fails_says_so_without_a_traceback() -> None:
    answer = server_error(RequestFactory().get("/admin/"))
    assert answer.status_code == 500
    assert "This page failed." in text_of(answer.content)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("audit_entry", "Audit"),
        ("metrics_series", "Metrics"),
        ("auth_user", "People"),
        ("django_celery_beat_periodictask", "Schedule"),
        ("policies_incident", "Incidents"),
    ],
)
def test_a_list_is_called_what_the_navigation_calls_it(as_role: SignIn, name: str, called: str) -> None:
    page = as_role("superuser").get(reverse(f"admin:{name}_changelist")).content.decode()
    assert re.search(rf"<title>\s*{called} \| Vigil\s*</title>", page)
    assert re.search(rf'tracking-tight">\s*{called}</', page)


def test_an_empty_list_says_whether_anything_is_hidden(as_role: SignIn) -> None:
    browser, address = as_role("operator"), reverse("admin:policies_silence_changelist")
    empty, sought = (text_of(browser.get(address, query).content) for query in ({}, {"q": "deploy"}))
    assert "There is nothing here yet. New silence" in empty
    assert "Nothing matches. Show all" in sought


def test_incidents_that_last_come_before_those_that_are_over(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", mode="observe")
    for target, value in (("web-01", 97), ("web-02", 97), ("web-02", 3)):
        scene.send("cpu_percent", value, target)
    page = text_of(as_role("viewer").get(reverse("admin:policies_incident_changelist")).content)
    assert page.index("web-01 open") < page.index("web-02 healed")


def test_an_incident_leads_to_a_silence_and_to_an_order_about_its_target(as_role: SignIn) -> None:
    scene.policy("web-cpu-high", "cpu_percent > 90", mode="observe")
    scene.send("cpu_percent", 97, "web 01&x=*")
    browser = as_role("operator")
    page = browser.get(reverse("admin:policies_incident_change", args=[Incident.objects.get().pk])).content.decode()
    silence, order = re.findall(r'href="([^"]+/add/\?[^"]+)"', page)
    assert ">\ntarget = web 01&amp;x=*</textarea>" in browser.get(html.unescape(silence)).content.decode()
    assert 'value="web 01&amp;x=*"' in browser.get(html.unescape(order)).content.decode()


@pytest.mark.parametrize("path", ["password_change/", "policies/", "actions/", "search/?s=pol", "jsi18n/"])
def test_the_pages_that_came_with_django_work_too(as_role: SignIn, path: str) -> None:
    assert as_role("operator").get(f"/admin/{path}").status_code == 200


def test_the_search_box_and_filters_survive_nonsense(as_role: SignIn) -> None:
    browser = as_role("superuser")
    for name in ("policies_incident", "actions_action", "policies_policy", "audit_entry", "metrics_series"):
        for query in ("q=%00", "q=%27%22%3C", "status=bogus&is=bogus&about=bogus&by=bogus", "p=x&o=99.-99"):
            assert browser.get(reverse(f"admin:{name}_changelist") + "?" + query).status_code in (200, 302), (
                name,
                query,
            )
    assert browser.get(reverse("admin:policies_inhibitionrule_changelist") + "?target__contains=x").status_code == 302
    for key in ("\u00b2", "9" * 40):
        assert browser.get(reverse("admin:actions_action_change", args=[key])).status_code == 404


def test_no_column_is_hidden_by_a_field_of_its_name() -> None:
    """The framework shows the field, and the method that says it in words is never called."""
    hidden = [
        f"{model.__name__}.{name}"
        for model, page in admin.site._registry.items()
        for name in page.list_display
        if name in {field.name for field in model._meta.fields} and name in vars(type(page))
    ]
    assert hidden == []


def test_the_list_of_actions_shows_what_fresh_data_said(as_role: SignIn) -> None:
    failed, helped = make.by_hand(target="web-01"), make.by_hand(target="web-02")
    Action.objects.filter(pk=failed.id).update(state="failed", finished_at=clock.now())
    Action.objects.filter(pk=helped.id).update(state="succeeded", finished_at=clock.now(), verification="effective")
    page = as_role("operator").get(reverse("admin:actions_action_changelist")).content.decode()
    columns = re.findall(r"field-shown_verification.*?</t[dh]>", page, re.DOTALL)
    assert ["effective" in column for column in columns] == [True, False]
