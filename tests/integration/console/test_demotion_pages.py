"""What was taken from a policy is shown with its reasons, and given back by those who may."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from actions import queries
from policies import authoring
from policies.models import Freeze, Incident
from tests.integration.policies import cast
from vigil.kernel import clock
from vigil.kernel.database import database_now

pytestmark = pytest.mark.django_db

type SignIn = Callable[[str], Client]

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _anew() -> None:
    cast.forget()


def _demoted() -> int:
    """The id of a policy that was demoted for its one action."""
    at = clock.now()
    policy = cast.policy(settle="0s", demote={"bad": 1, "of": 1})
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=at + SECOND)
    cast.post(93, at=at + 2 * SECOND)
    return policy.pk


def test_the_page_shows_what_was_counted_and_an_editor_promotes(as_role: SignIn) -> None:
    number = _demoted()
    page = reverse("admin:policies_policy_change", args=[number])
    viewer = as_role("viewer")
    shown = viewer.get(page).content.decode()
    assert "1 of its last 1 verified actions did not help" in shown
    assert "scale-up on web-01" in shown
    assert "Promote" not in shown
    promote = reverse("admin:policies_policy_promote", args=[number])
    assert viewer.post(promote).status_code == 403
    assert authoring.get("high-cpu-alert").demotion is not None
    assert as_role("editor").post(promote, {"note": "Repaired."}).status_code == 302
    assert authoring.get("high-cpu-alert").demotion is None


def test_the_incident_about_it_leads_to_the_policy(as_role: SignIn) -> None:
    number = _demoted()
    about = Incident.objects.get(policy__builtin=True)
    shown = as_role("viewer").get(reverse("admin:policies_incident_change", args=[about.pk])).content.decode()
    assert reverse("admin:policies_policy_change", args=[number]) in shown


def test_an_operator_lifts_a_freeze_on_the_incident(as_role: SignIn) -> None:
    cast.policy()
    cast.post(92, at=clock.now())
    incident, now = cast.incident(), database_now()
    freeze = Freeze.objects.create(
        target="web-01", policies=["high-cpu-alert", "low-cpu"], reason="They took turns", evidence=[1, 2, 3, 4],
        newest_action_id=4, since=now, until=now + timedelta(hours=1),
    )  # fmt: skip
    page = reverse("admin:policies_incident_change", args=[incident.pk])
    operator = as_role("operator")
    assert "Lift the freeze" in operator.get(page).content.decode()
    lift = reverse("admin:policies_incident_lift", args=[incident.pk])
    assert as_role("viewer").post(lift, {"freeze": freeze.pk}).status_code == 403
    operator.post(lift, {"freeze": freeze.pk})
    freeze.refresh_from_db()
    assert freeze.lifted_by == "user:operator-ana"


def test_saving_a_policy_that_can_fight_says_so(as_role: SignIn) -> None:
    cast.policy()
    other = cast.policy(name="low-cpu", condition="cpu_usage < 10", action="scale-down")
    shown = as_role("viewer").get(reverse("admin:policies_policy_change", args=[other.pk])).content.decode()
    assert "high-cpu-alert covers some of the same targets (web-*) and orders scale-up" in shown
