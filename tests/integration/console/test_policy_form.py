"""The form writes policies through the same doors as the API, and says what to correct where it is wrong."""

import json
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from policies import authoring
from policies.models import Incident, Policy, PolicyVersion
from tests.browser import scene
from vigil.audit.models import Entry

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]

FORM = {
    "name": "high-cpu",
    "target": "web-*",
    "severity": "warning",
    "enabled": "on",
    "mode": "auto",
    "written_as": "fields",
    "comparison": "metric_exceeds",
    "metric": "cpu_percent",
    "threshold": "90",
    "aggregate": "avg",
    "window": "5m",
    "hold_for": "2m",
    "recover": "80",
    "action": "scale-up",
    "params": '{"replicas": 2}',
    "on_no_data": "keep",
    "note": "CPU hurts",
}
SENTENCE = "avg(cpu_percent, 5m) > 90 recover at 80 for 2m"
AS_JSON = {
    "type": "metric_exceeds", "metric": "cpu_percent", "aggregate": "avg", "window": "5m",
    "threshold": 90, "recover": 80, "for": "2m",
}  # fmt: skip
ADD = "/admin/policies/policy/add/"


def change_page(policy: Policy) -> str:
    return reverse("admin:policies_policy_change", args=[policy.pk])


def stored() -> PolicyVersion:
    return authoring.current(authoring.get("high-cpu"))


@pytest.mark.parametrize(
    "way",
    [
        {"written_as": "fields"},
        {"written_as": "sentence", "sentence": SENTENCE},
        {"written_as": "json", "condition": json.dumps(AS_JSON)},
    ],
    ids=lambda way: way["written_as"],
)
def test_each_way_of_writing_keeps_the_same_policy(as_role: SignIn, way: dict[str, str]) -> None:
    answer = as_role("editor").post(ADD, FORM | way)
    assert answer.status_code == 302, answer.content.decode()
    version = stored()
    assert version.sentence == SENTENCE
    assert version.document["action"] == "scale-up"
    assert version.document["params"] == {"replicas": 2}
    assert (version.author, version.note) == ("user:editor-ana", "CPU hurts")
    assert Entry.objects.filter(kind="policy.created", actor="user:editor-ana").exists()


def test_only_the_chosen_way_counts(as_role: SignIn) -> None:
    as_role("editor").post(ADD, FORM | {"sentence": "memory > 1", "condition": '{"type": "nonsense"}'})
    assert stored().sentence == SENTENCE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "High CPU"}, "lower-case letters"),
        ({"target": ""}, "name a target"),
        ({"metric": ""}, "Name a metric"),
        ({"threshold": ""}, "Say beyond which number"),
        ({"threshold": "many"}, "Write a number"),
        ({"threshold": "nan"}, "number"),
        ({"threshold": "1e999"}, "number"),
        ({"metric": "cpu\x00"}, "ull"),
        ({"written_as": "sentence", "sentence": "cpu\x1b > 1"}, "invisible character (U+001B)"),
        ({"window": "5 minutes"}, "whole number and a unit"),
        ({"action": ""}, "Choose a remedy"),
        ({"name": ""}, "Give it a name"),
        ({"params": "{replicas: 2}"}, "This is not JSON"),
        ({"params": '{"copies": 2}'}, "copies"),
        ({"params": '{"replicas": 2, "replicas": 3}'}, "This is not JSON"),
        ({"cooldown": "soon"}, "whole number and a unit"),
        ({"rate_count": "3"}, "per"),
        ({"written_as": "sentence", "sentence": "cpu_percent >"}, "number"),
        ({"written_as": "json", "condition": "[]"}, "JSON object"),
        ({"written_as": "json", "condition": '{"type": "metric_over"}'}, "type"),
        ({"then": '[{"action": "no-such"}]'}, "no-such"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_is_wrong_is_said_and_nothing_is_kept(as_role: SignIn, change: dict[str, str], said: str) -> None:
    answer = as_role("editor").post(ADD, FORM | change)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Not saved" in page
    assert said in page.split("vg-problem", 1)[1]
    assert not Policy.objects.exists()


def test_a_taken_name_is_refused_beside_the_form(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(ADD, FORM)
    assert "exists already" in browser.post(ADD, FORM).content.decode()
    assert Policy.objects.count() == 1


def test_the_form_shows_what_it_kept(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(
        ADD, FORM | {"cooldown": "5m", "rate_count": "3", "rate_per": "10m", "group_name": "web", "group_max": "1"}
    )
    shown = browser.get(change_page(Policy.objects.get())).context["form"].initial
    kept = {name: value for name, value in FORM.items() if name not in ("note", "enabled", "params")}
    assert {name: str(shown[name]) for name in kept} == kept
    assert (shown["cooldown"], shown["rate_count"], shown["rate_per"], shown["group_name"]) == ("5m", 3, "10m", "web")


def test_saving_again_makes_a_new_version_and_an_emptied_box_is_gone(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(ADD, FORM | {"cooldown": "5m"})
    policy = Policy.objects.get()
    answer = browser.post(
        change_page(policy), FORM | {"threshold": "95", "version": "1", "note": "too eager"}, follow=True
    )
    version = stored()
    assert (version.number, version.note) == (2, "too eager")
    assert "cooldown" not in version.document
    page = answer.content.decode()
    assert "<del>5m</del> <ins>not said</ins>" in page
    assert "&gt; 95" in page


def test_saving_the_same_again_makes_no_version(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(ADD, FORM)
    browser.post(change_page(Policy.objects.get()), FORM | {"version": "1"})
    assert stored().number == 1


def test_a_page_that_is_too_old_does_not_overwrite(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(ADD, FORM)
    policy = Policy.objects.get()
    browser.post(change_page(policy), FORM | {"threshold": "95", "version": "1"})
    answer = browser.post(change_page(policy), FORM | {"threshold": "85", "version": "1"})
    assert answer.status_code == 422
    assert "Somebody saved version 2" in answer.content.decode()
    assert stored().document["condition"]["threshold"] == 95


def test_one_returns_to_an_earlier_version(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(ADD, FORM)
    policy = Policy.objects.get()
    browser.post(change_page(policy), FORM | {"threshold": "95", "version": "1"})
    browser.post(reverse("admin:policies_policy_return", args=[policy.pk, 1]))
    version = stored()
    assert version.number == 3
    assert version.document == policy.versions.get(number=1).document


def test_removing_wants_the_name(as_role: SignIn) -> None:
    browser = as_role("editor")
    browser.post(ADD, FORM)
    address = reverse("admin:policies_policy_remove", args=[Policy.objects.get().pk])
    assert "Type the policy" in browser.post(address, {"name": "other"}, follow=True).content.decode()
    assert Policy.objects.exists()
    browser.post(address, {"name": "high-cpu"})
    assert not Policy.objects.exists()
    assert Policy.everything.count() == 1


def test_switching_off_withdraws_its_incidents(as_role: SignIn) -> None:
    scene.policy("high-cpu", "cpu_percent > 90", action="scale-up")
    scene.send("cpu_percent", 99, "web-01")
    as_role("editor").post(reverse("admin:policies_policy_switch", args=[Policy.objects.get().pk]), {"to": "off"})
    assert Incident.objects.get().resolution == "withdrawn"
    assert not Policy.objects.get().enabled


def test_the_sentence_follows_the_fields(as_role: SignIn) -> None:
    said = as_role("editor").post(reverse("admin:policies_policy_sentence"), FORM).json()
    assert said["sentence"] == SENTENCE
    assert json.loads(said["condition"]) == AS_JSON
    assert said["problems"] == []


def test_the_fields_follow_the_sentence_where_they_can(as_role: SignIn) -> None:
    browser, address = as_role("editor"), reverse("admin:policies_policy_sentence")
    simple = browser.post(address, {"written_as": "sentence", "sentence": "errors >= 3"}).json()
    assert simple["fields"]["metric"] == "errors"
    both = browser.post(address, {"written_as": "sentence", "sentence": "errors >= 3 and load > 2"}).json()
    assert both["fields"] is None
    wrong = browser.post(address, {"written_as": "sentence", "sentence": "errors >="}).json()
    (problem,) = wrong["problems"]
    assert problem.endswith("expected a number\nerrors >=\n         ^")


def test_a_draft_is_tried_on_stored_data_without_a_trace(as_role: SignIn) -> None:
    scene.send("cpu_percent", 97, "web-01")
    scene.send("cpu_percent", 12, "web-02")
    scene.send("cpu_percent", 99, "db-01")
    draft = FORM | {"name": "", "action": "", "aggregate": "", "window": "", "hold_for": "", "recover": ""}
    page = as_role("editor").post(reverse("admin:policies_policy_preview"), draft).content.decode()
    assert "1 of 2 targets" in page
    assert page.index("web-01") < page.index("web-02")
    assert "97 &gt; 90" in page
    assert "db-01" not in page
    assert not Policy.objects.exists()
    assert not Incident.objects.exists()


def test_trying_a_draft_shows_its_placeholders_filled_in(as_role: SignIn) -> None:
    scene.send("cpu_percent", 97, "web-01")
    draft = FORM | {"action": "custom", "params": '{"host": "{{ target }}"}'}
    draft |= {"aggregate": "", "window": "", "hold_for": "", "recover": ""}
    page = as_role("editor").post(reverse("admin:policies_policy_preview"), draft).content.decode()
    assert "custom with {&quot;host&quot;: &quot;web-01&quot;}" in page


def test_trying_a_wrong_draft_says_what_is_wrong(as_role: SignIn) -> None:
    page = (
        as_role("editor").post(reverse("admin:policies_policy_preview"), FORM | {"threshold": "high"}).content.decode()
    )
    assert "Write a number" in page


def test_trying_on_targets_nobody_has_heard_of_says_so(as_role: SignIn) -> None:
    page = as_role("editor").post(reverse("admin:policies_policy_preview"), FORM).content.decode()
    assert "No target that matches" in page


def test_a_viewer_reads_a_policy_without_a_form(as_role: SignIn) -> None:
    scene.policy("high-cpu", "cpu_percent > 90")
    page = as_role("viewer").get(change_page(Policy.objects.get())).content.decode()
    assert "cpu_percent &gt; 90" in page
    assert "policy-form" not in page
    assert "Switch off" not in page
    assert "&quot;" not in page.split("What it says", 1)[1]


def test_every_wrong_place_is_shown_at_once(as_role: SignIn) -> None:
    draft = FORM | {"name": "", "target": "", "action": "", "written_as": "sentence", "sentence": "cpu >> 3"}
    page = as_role("editor").post(ADD, draft).content.decode()
    assert "Not saved: 4 places to correct" in page
    assert "at character 6: expected a number" in page


def test_names_of_others_are_shown_as_text(as_role: SignIn) -> None:
    scene.policy("high-cpu", "cpu_percent > 90", description='<script>alert("x")</script>', action="scale-up")
    scene.send("cpu_percent", 99, "<b>bold</b>")
    browser = as_role("superuser")
    for address in (
        reverse("admin:index"),
        reverse("admin:policies_incident_changelist"),
        change_page(Policy.objects.get()),
    ):
        page = browser.get(address).content.decode()
        assert "<b>bold</b>" not in page
        assert '<script>alert("x")' not in page
