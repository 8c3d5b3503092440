"""Several processes freeze or demote the same policies at the same moment: it is done, told and counted once."""

from collections.abc import Callable
from functools import partial

import pytest

from actions.models import Action, ActionType
from policies import authoring, demotion, oscillation
from policies.models import Demotion, Freeze, Incident
from tests.integration.policies import cast
from tests.integration.policies.test_demotion import DOWN, NAME
from tests.integration.policies.test_fights import FREE, LOW, MINUTE, _turns
from tests.integration.policies.test_races import _at_once
from vigil.audit.models import Entry
from vigil.kernel import clock
from vigil.kernel.database import tx

pytestmark = pytest.mark.django_db(transaction=True)


def _ineffective(times: int) -> None:
    """So many actions of the policy that did not help, and whom nobody has told of it yet."""
    now, kind = clock.now(), ActionType.objects.get(name="scale-up")
    for number in range(times):
        Action.objects.create(
            dedup_key=f"policy:{NAME}:incident:0:step:{number}", action_type=kind, target=f"web-{number}",
            state="succeeded", policy_name=NAME, policy_version=1, ordered_by=f"policy:{NAME}", run_after=now,
            created_at=now, started_at=now, finished_at=now, deadline=now + MINUTE, attempt_no=1,
            verification="ineffective",
        )  # fmt: skip


def _told(kind: str) -> int:
    return Entry.objects.filter(kind=kind).count()


def test_a_policy_is_demoted_once_by_however_many() -> None:
    cast.policy()
    _ineffective(3)
    demoted: list[int] = []
    assert _at_once(lambda: demoted.append(demotion.review([NAME], at=clock.now()))) == []
    assert sum(demoted) == 1
    assert (Demotion.objects.count(), _told("policy.demoted")) == (1, 1)
    assert Incident.objects.filter(policy__name=demotion.BUILTIN).count() == 1
    assert authoring.get(NAME).mode == DOWN


def test_a_promotion_among_demotions_leaves_a_whole_story() -> None:
    cast.policy()
    _ineffective(3)
    demotion.review([NAME], at=clock.now())
    policy = authoring.get(NAME)
    jobs = iter([partial(demotion.promote, policy, actor="user:ana", note="", at=clock.now())] * 2)

    def review_or_promote() -> None:
        job: Callable[[], object] = next(jobs, partial(demotion.review, [NAME], at=clock.now()))
        job()

    raised = _at_once(review_or_promote)
    assert [type(error) for error in raised] == [demotion.UnableToPromote]
    assert (_told("policy.demoted"), _told("policy.promoted")) == (1, 1)
    assert (authoring.get(NAME).mode, authoring.get(NAME).demotion) == ("auto", None)


def test_two_policies_that_fight_are_frozen_once_by_however_many() -> None:
    cast.policy(**FREE)
    cast.policy(**LOW | FREE, description="It undoes the other.")
    _turns(NAME, "low-cpu", NAME, "low-cpu")
    names = iter([NAME, "low-cpu"] * 2)
    found: list[Freeze | None] = []

    def check() -> None:
        found.append(tx(partial(oscillation.check, policy=next(names), target="web-01", at=clock.now())))

    assert _at_once(check) == []
    assert len(found) == 4
    assert {freeze.pk for freeze in found if freeze is not None} == {Freeze.objects.get().pk}
    assert _told("freeze.began") == 1
