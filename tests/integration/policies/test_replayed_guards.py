"""A replay says of storms and circuits what the live guards say, whatever happened."""

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db import transaction

from actions import budgets, circuits, storms
from actions.guards import Limits
from actions.models import Action
from policies import replayed_guards
from policies.engine.planning import Effect
from policies.engine.rehearsal.stage import Deed, Stop
from tests.integration.actions import make
from tests.unit.rehearsal import test_replayed_guards as replays

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
NAMES = ["p", "q", "r"]
EFFECTS = [*[Effect.FAILED] * 4, *[Effect.INEFFECTIVE] * 3, *Effect]
"""Mostly bad ones."""


def _storms_as_they_go(chance: random.Random) -> Iterator[tuple[float, str, int, list[Deed], list[Stop]]]:
    """Second, policy, incident, and what was done and held before."""
    deeds: list[Deed] = []
    stops: list[Stop] = []
    second = 0.0
    for number in range(70):
        second += chance.choice([0.5, 1, 3, 8, 25])
        policy = chance.choice("ppqr")
        incident = chance.choice([*(deed.incident for deed in deeds if deed.policy == policy), 100 + number])
        yield second, policy, incident, deeds, stops
        if chance.random() < 0.6:
            deeds.append(replays.deed(number, second, policy=policy, incident=incident))
        else:
            stops.append(replays.stop(incident, second, "rate", policy=policy))


@pytest.mark.parametrize("seed", range(3))
def test_of_storms(seed: int, settings: LazySettings) -> None:
    settings.VIGIL_STORM_PROPOSALS = 5
    for name in NAMES:
        with transaction.atomic():
            budgets.declare(policy_name=name, limits=Limits(), fleet=None)
    seen = set()
    for second, policy, incident, deeds, stops in _storms_as_they_go(random.Random(seed)):
        before = sum(deed.incident == incident for deed in deeds)
        with transaction.atomic():
            storms.note(key=f"{incident}:{before}", policy_name=policy, now=replays.NOON + second * SECOND)
        live = {(one.scope, one.since, one.reason) for one in budgets.storms()}
        scene = replays.scene(second, deeds, stops=stops, policy=policy, incident=incident)
        replayed = {(one.scope, one.since, one.reason) for one in replayed_guards.storms(replays.rule(policy), scene)}
        assert replayed == {one for one in live if one[0] in ("global", f"policy:{policy}")}
        seen |= {scope for scope, _, _ in live}
    assert seen, "there was no storm, so nothing was compared"


def _row(like: Action, deed: Deed, created_at: datetime) -> None:
    """The action that the deed would have been."""
    like.pk, like.uid, like.dedup_key = None, uuid.uuid4(), f"k{deed.number}"
    like.target, like.created_at, like.deadline = deed.target, created_at, created_at + timedelta(hours=1)
    like.finished_at = None if deed.runs else deed.ended_at
    like.attempt_no = int(deed.acted_at is not None)
    like.state = {Effect.RUNNING: "ready", Effect.FAILED: "failed", Effect.CANCELLED: "cancelled"}.get(
        deed.effect, "succeeded"
    )
    proofs = {Effect.EFFECTIVE, Effect.INEFFECTIVE, Effect.UNVERIFIABLE, Effect.RELAPSED}
    like.verification = deed.effect.value if deed.effect in proofs else ""
    like.save(force_insert=True)


@pytest.mark.parametrize("seed", range(3))
def test_of_circuits(seed: int) -> None:
    chance = random.Random(seed)
    like = Action.objects.get(pk=make.ordered(policy_name="p").id)
    Action.objects.all().delete()
    deeds: list[Deed] = []
    seen = set()
    for number in range(40):
        deed = replays.deed(number, 10 * number, effect=chance.choice(EFFECTS))
        deeds.append(deed)
        _row(like, deed, deed.ordered_at)
        live = circuits.of_policy("p")
        assert replayed_guards.circuit(replays.rule(), deeds, replays.NOON + (10 * number + 5) * SECOND) == live
        seen.add(live.position)
    assert len(seen) > 1, "nothing ever opened, so nothing was compared"
