"""The console where somebody is asked for a word at night."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from actions.models import Action, ActionType
from policies import authoring
from tests.browser import scene
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]


def _waiting(mode: str = "approve") -> int:
    scene.policy("web-cpu-high", "cpu_percent > 90", target="web-*", action="scale-up", mode=mode)
    scene.send("cpu_percent", 97.0, "web-01")
    return Action.objects.get().pk


def _page(browser: Client, action_id: int, part: str = "") -> str:
    return browser.get(reverse("admin:actions_action_change", args=[action_id]), {"part": part}).content.decode()


def _say(browser: Client, verb: str, action_id: int) -> int:
    return browser.post(reverse(f"admin:actions_action_{verb}", args=[action_id]), {"reason": "seen it"}).status_code


def _state(action_id: int) -> str:
    return Action.objects.get(pk=action_id).state


def test_the_front_page_says_who_waits(as_role: SignIn) -> None:
    action_id = _waiting()
    page = as_role("approver").get(reverse("admin:index")).content.decode()
    assert "1 action waits for your word." in page
    assert reverse("admin:actions_action_change", args=[action_id]) in page


def test_the_page_shows_what_there_is_to_judge_and_two_buttons(as_role: SignIn) -> None:
    page = _page(as_role("approver"), _waiting())
    for said in (
        "Waits for an approver", "Still so: cpu_percent 97 &gt; 90", "policy web-cpu-high asks for approval",
        "Approve scale-up on web-01", ">Reject<",
    ):  # fmt: skip
        assert said in page


@pytest.mark.parametrize(
    ("mode", "role", "may"),
    [
        ("suggest", "operator", True),
        ("suggest", "approver", True),
        ("suggest", "viewer", False),
        ("suggest", "editor", False),
        ("approve", "operator", False),
        ("approve", "approver", True),
        ("approve", "viewer", False),
        ("approve", "admin", True),
    ],
)
def test_who_may_say_yes(as_role: SignIn, mode: str, role: str, may: bool) -> None:
    action_id, browser = _waiting(mode), as_role(role)
    assert ("Approve scale-up" in _page(browser, action_id)) is may
    assert _say(browser, "approve", action_id) == (302 if may else 403)
    assert _state(action_id) == ("ready" if may else "awaiting_approval")


def test_who_edited_the_policy_is_told_why_there_is_no_button(as_role: SignIn) -> None:
    action_id, browser = _waiting(), as_role("admin")
    change = {"severity": "critical"}
    authoring.update(name="web-cpu-high", change=change, actor="user:admin-ana", at=clock.now())
    page = _page(browser, action_id)
    assert "Approve scale-up" not in page
    assert "user:admin-ana saved policy web-cpu-high last (version 2)" in page
    assert ">Reject<" in page
    assert _say(browser, "approve", action_id) == 302
    assert _state(action_id) == "awaiting_approval"
    assert _say(browser, "reject", action_id) == 302
    assert _state(action_id) == "rejected"


def test_a_no_is_kept_with_its_reason(as_role: SignIn) -> None:
    action_id, browser = _waiting(), as_role("approver")
    assert _say(browser, "reject", action_id) == 302
    assert _state(action_id) == "rejected"
    page = _page(browser, action_id)
    assert "seen it" in page
    assert "What people said" in page


def test_one_of_two_is_told_that_another_is_needed(as_role: SignIn) -> None:
    ActionType.objects.filter(name="scale-up").update(risk="critical")
    action_id, browser = _waiting(), as_role("approver")
    page = reverse("admin:actions_action_approve", args=[action_id])
    assert "waits for somebody else&#x27;s as well" in browser.post(page, follow=True).content.decode()
    assert _state(action_id) == "awaiting_approval"


def test_what_is_no_longer_needed_is_said(as_role: SignIn) -> None:
    action_id, browser = _waiting(), as_role("approver")
    Action.objects.filter(pk=action_id).update(incident_id=9_999)
    page = browser.post(reverse("admin:actions_action_approve", args=[action_id]), follow=True).content.decode()
    assert "is cancelled, not approved. Its incident is gone." in page


def test_the_list_has_a_filter_for_what_waits(as_role: SignIn) -> None:
    action_id, browser = _waiting(), as_role("viewer")
    listed = browser.get(reverse("admin:actions_action_changelist"), {"status": "awaiting_approval"}).content.decode()
    assert reverse("admin:actions_action_change", args=[action_id]) in listed


@pytest.mark.parametrize("part", ["head", "rest", "body"])
def test_each_part_refreshes_by_itself_and_holds_no_form(as_role: SignIn, part: str) -> None:
    page = _page(as_role("approver"), _waiting(), part)
    assert "<form" not in page
    assert "<html" not in page
