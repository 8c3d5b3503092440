"""What the console shows of an incident that opens and closes all the time."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from policies import authoring
from policies.models import Incident
from tests.browser import scene
from tests.integration.console.test_pages import front_page, text_of
from tests.integration.console.test_policy_form import FORM

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]


def _flap() -> Incident:
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up", cooldown="1s")
    for place in range(9):
        scene.send("cpu_percent", 40 if place % 2 else 97, "web-01")
    return Incident.objects.latest("id")


def test_the_incident_and_the_front_page_say_so(as_role: SignIn) -> None:
    incident, browser = _flap(), as_role("viewer")
    page = text_of(browser.get(reverse("admin:policies_incident_change", args=[incident.pk])).content)
    assert "flapping It flaps since" in page
    assert "Incident flapping began" in page
    assert "Held back (flapping)" in page
    assert "flapping" in front_page(browser)


def test_the_list_marks_the_newest_and_can_be_filtered_by_it(as_role: SignIn) -> None:
    incident, browser = _flap(), as_role("viewer")
    page = browser.get(reverse("admin:policies_incident_changelist"), {"is": "flapping"}).content.decode()
    assert reverse("admin:policies_incident_change", args=[incident.pk]) in page
    assert page.count('title="">flapping</span>') == 1
    assert reverse("admin:policies_incident_change", args=[incident.pk - 1]) not in page


def test_the_policy_form_keeps_the_limits(as_role: SignIn) -> None:
    editor = as_role("editor")
    editor.post("/admin/policies/policy/add/", FORM | {"flap_high": "70", "flap_low": "40"})
    policy = authoring.get("high-cpu")
    assert authoring.current(policy).document["flapping"] == {"high": 70, "low": 40}
    page = editor.get(reverse("admin:policies_policy_change", args=[policy.pk])).content.decode()
    assert 'name="flap_high" value="70"' in page


def test_half_of_the_limits_is_refused_beside_its_field(as_role: SignIn) -> None:
    answer = as_role("editor").post("/admin/policies/policy/add/", FORM | {"flap_high": "70"})
    assert answer.context["form"].errors == {"flap_low": ["is required"]}
