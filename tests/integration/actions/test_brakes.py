"""What holds until a person or time lets go: circuits, storms, quarantines, and shares of a fleet."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import Client

from actions import brakes, dispatch, foresight, quarantines, storms, verifications
from actions.claims import Dropped, Intent, NotClaimed, claim, intend
from actions.foresight import Wish
from actions.guards import Fleet, Limits
from actions.models import Action, Attempt, Budget, Circuit, Proposal, Remediator, TargetGuard
from tests.integration.actions import fakes, make
from vigil.access import keys
from vigil.audit import entries
from vigil.kernel import clock

TEN = frozenset(f"web-{number:02}" for number in range(10))


def fleet(*, unhealthy: int = 0) -> Fleet:
    return Fleet(name="web-*", members=TEN, unhealthy=frozenset(sorted(TEN)[:unhealthy]))


def order(number: int, **fields: object) -> dispatch.OrderAnswer:
    """A policy's order for one of many targets."""
    return make.answer(target=f"web-{number:02}", key=f"policy:high-cpu:incident:{number}:step:0", **fields)  # type: ignore[arg-type]


def ordered(number: int, **fields: object) -> int:
    got = order(number, **fields)
    assert isinstance(got, dispatch.Ordered), got
    return got.action.id


def guard(answer: dispatch.OrderAnswer) -> str:
    assert isinstance(answer, dispatch.Held), answer
    return answer.guard


def not_claimed(action_id: int) -> str:
    got = claim(action_id=action_id, worker="w1")
    assert isinstance(got, NotClaimed), got
    return got.reason


def told(subject: str) -> list[str]:
    return [entry.kind for entry in entries.of(subject)]


@pytest.fixture
def down(remote: fakes.Fake) -> fakes.Fake:
    """A remediator that refused five calls in a row."""
    remote.outcomes[:] = [fakes.REFUSED]
    for number in range(5):
        make.run(ordered(number))
    assert len(remote.calls) == 5
    return remote


def test_five_refused_calls_open_the_circuit_and_nothing_is_lost(down: fakes.Fake) -> None:
    waiting = ordered(5)
    assert "circuit of its remediator is open (5 failures in a row)" in not_claimed(waiting)
    for action_id in Action.objects.values_list("pk", flat=True):
        make.due_now(action_id)
        make.run(action_id)
    assert len(down.calls) == 5
    assert set(Action.objects.values_list("state", flat=True)) == {"ready", "retry_wait"}
    assert told("remediator:fake") == ["circuit.opened"]


def test_when_it_has_rested_one_call_is_the_probe(down: fakes.Fake) -> None:
    first, second = ordered(5), ordered(6)
    Circuit.objects.update(opened_at=F("opened_at") - timedelta(seconds=31))
    claims = [make.leased(first), make.leased(second, worker="w2")]
    answers = [intend(one) for one in claims]
    assert [type(one) for one in answers] == [Intent, Dropped]
    assert make.state(second) == "ready"
    assert Circuit.objects.get().position == "half_open"


@pytest.mark.parametrize(("outcome", "position"), [(fakes.DONE, "closed"), (fakes.REFUSED, "open")])
def test_what_comes_of_the_probe_decides(down: fakes.Fake, outcome: Any, position: str) -> None:
    Circuit.objects.update(opened_at=F("opened_at") - timedelta(seconds=31))
    down.outcomes[:] = [outcome]
    make.run(ordered(5))
    assert Circuit.objects.get().position == position
    make.run(ordered(6))
    assert len(down.calls) == (7 if position == "closed" else 6)


def test_a_remediator_that_reports_failures_works(remote: fakes.Fake) -> None:
    remote.outcomes[:] = [fakes.SAID_NO]
    for number in range(6):
        make.run(ordered(number, policy_name=f"policy-{number}"))
    assert len(remote.calls) == 6
    assert not Circuit.objects.exclude(position="closed").exists()


def test_a_policy_whose_last_five_actions_failed_rests(remote: fakes.Fake) -> None:
    remote.outcomes[:] = [fakes.SAID_NO]
    for number in range(5):
        make.run(ordered(number))
    assert guard(order(5)) == "circuit"
    assert isinstance(order(6, policy_name="other"), dispatch.Ordered)
    ago = timedelta(minutes=11)
    Action.objects.update(finished_at=F("finished_at") - ago, created_at=F("created_at") - ago)
    ordered(7)
    assert guard(order(8)) == "circuit"


def test_too_many_proposals_hold_a_policy_until_a_person_resets_it(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_STORM_PROPOSALS = 3
    waiting = ordered(0)
    for number in (1, 2, 1, 2, 1, 2):
        order(number)
    assert guard(order(3)) == "storm"
    assert "policy high-cpu is held" in not_claimed(waiting)
    assert isinstance(make.answer(target="db-01", key="other", policy_name="other"), dispatch.Ordered)
    storms.reset(scope="policy:high-cpu", actor="user:ana", reason="it was a deploy")
    assert told("storm:policy:high-cpu") == ["storm.began", "storm.reset"]
    assert isinstance(order(4), dispatch.Ordered)
    make.leased(waiting)


def test_too_many_proposals_of_many_policies_hold_all_of_vigil(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_STORM_PROPOSALS = 3
    for number in range(3):
        ordered(number, policy_name=f"policy-{number}")
    assert guard(order(3, policy_name="policy-3")) == "storm"
    assert [storm.scope for storm in brakes.standing().storms] == ["global"]


def test_a_storm_holds_nobody_by_hand(remote: fakes.Fake) -> None:
    Budget.objects.filter(scope="global").update(storm_since=clock.now(), storm_reason="too much")
    make.leased(make.by_hand().id)


def test_what_is_not_held_cannot_be_reset(remote: fakes.Fake) -> None:
    ordered(0)
    with pytest.raises(storms.UnableToReset, match="is not held"):
        storms.reset(scope="policy:high-cpu", actor="user:ana", reason="")
    with pytest.raises(Exception, match="There is no scope"):
        storms.reset(scope="policy:nobody", actor="user:ana", reason="")


def test_old_proposals_are_forgotten(remote: fakes.Fake) -> None:
    ordered(0)
    ordered(1)
    Proposal.objects.filter(key__contains=":1:").update(at=clock.now() - timedelta(days=8))
    assert storms.forget_old() == 1


def test_the_third_repair_within_an_hour_puts_a_target_in_quarantine(remote: fakes.Fake) -> None:
    for step in range(3):
        make.run(ordered(0) if step == 0 else make.ordered(target="web-00", key=f"step:{step}").id)
    answer = make.answer(target="web-00", key="step:3")
    assert guard(answer) == "quarantine"
    assert isinstance(answer, dispatch.Held)
    assert "(3 repairs within 3600 s): a person must look" in answer.reason
    make.run(make.by_hand(target="web-00").id)
    quarantines.lift(target="web-00", actor="user:ana", reason="new disk")
    assert told("quarantine:web-00") == ["quarantine.began", "quarantine.lifted"]
    make.run(make.ordered(target="web-00", key="step:4").id)
    assert TargetGuard.objects.get(target="web-00").quarantined_until is None


def test_two_relapses_put_a_target_in_quarantine(remote: fakes.Fake) -> None:
    for step in range(2):
        action = make.ordered(target="web-00", key=f"step:{step}").id
        make.run(action)
        for verification in ("effective", "relapsed"):
            verifications.record(action_id=action, verification=verification, reason="", numbers={}, at=clock.now())
        assert bool(brakes.standing().quarantined) is (step == 1)
    assert "had helped" in TargetGuard.objects.get(target="web-00").quarantine_reason


def test_all_policies_together_have_a_rate(remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_GLOBAL_RATE_COUNT = 2
    first = ordered(0)
    second = ordered(1, policy_name="other")
    assert guard(order(2, policy_name="third")) == "global_rate"
    settings.VIGIL_GLOBAL_RATE_COUNT = 1
    make.run(first)
    assert "Vigil has used 1 of 1" in not_claimed(second)
    make.leased(make.by_hand(target="db-01").id)


def test_a_tenth_of_a_fleet_at_once_whatever_policy_asks(remote: fakes.Fake) -> None:
    first = ordered(0, fleet=fleet())
    assert guard(order(1, fleet=fleet(), policy_name="other")) == "concurrency"
    second = ordered(1, policy_name="other", fleet=fleet(), limits=Limits(concurrency_group="g", concurrency_max=5))
    Budget.objects.filter(scope="fleet:web-*").update(concurrency_max=1)
    make.leased(first)
    assert "1 of 1 actions at once for fleet:web-*" in not_claimed(second)


def test_only_so_much_of_a_fleet_is_repaired_in_ten_minutes(remote: fakes.Fake) -> None:
    for number in range(3):
        make.run(ordered(number, fleet=fleet()))
    answer = order(3, fleet=fleet())
    assert guard(answer) == "blast_radius"
    wish = Wish(kind="scale-up", target="web-03", policy_name="high-cpu", limits=make.FREE, fleet=fleet())
    assert foresight.holds([wish]) == {wish: answer}
    Attempt.objects.update(intent_at=F("intent_at") - timedelta(minutes=11))
    ordered(3, fleet=fleet())


def test_below_its_floor_a_fleet_is_left_alone(remote: fakes.Fake) -> None:
    answer = order(0, fleet=fleet(unhealthy=5))
    assert isinstance(answer, dispatch.Held)
    assert (answer.guard, answer.numbers["healthy"], answer.numbers["floor"]) == ("healthy_floor", 5, 6)
    ordered(0, fleet=fleet(unhealthy=4))


def _held(remote: fakes.Fake) -> None:
    Budget.objects.filter(scope="global").update(storm_since=clock.now(), storm_reason="too much")
    TargetGuard.objects.create(
        target="web-01", quarantined_until=clock.now() + timedelta(hours=1), quarantine_reason="3 repairs"
    )


def test_the_command_shows_and_lets_go(remote: fakes.Fake) -> None:
    def said(*words: str) -> str:
        out = StringIO()
        call_command("guards", *words, stdout=out)
        return out.getvalue()

    assert "No guard holds anything" in said()
    _held(remote)
    assert "storm       global" in said()
    assert "quarantine  web-01" in said()
    said("--reset", "global", "--lift", "web-01", "--reason", "looked")
    assert not brakes.standing().any
    with pytest.raises(CommandError, match="not held"):
        said("--reset", "global")


def test_the_api_shows_and_lets_go(remote: fakes.Fake) -> None:
    _held(remote)
    called = Remediator.objects.earliest("pk")
    Circuit.objects.create(remediator=called, position="open", failures=5, opened_at=clock.now())
    _, plain = keys.create(name="ana", scopes=["read", "control", "actions:write"], actor="user:ana")
    keys.forget_cache()
    client = Client(headers={"Authorization": f"Bearer {plain}"})
    shown = client.get("/api/v1/guards").json()
    assert [one["scope"] for one in shown["storms"]] == ["global"]
    assert [one["target"] for one in shown["quarantined"]] == ["web-01"]
    assert [(one["position"], one["failures"]) for one in shown["circuits"]] == [("open", 5)]
    after = client.post("/api/v1/guards/reset", {"scope": "global"}, content_type="application/json")
    assert (after.status_code, after.json()["storms"]) == (200, [])
    after = client.post("/api/v1/guards/lift", {"target": "web-01"}, content_type="application/json")
    assert (after.status_code, after.json()["quarantined"]) == (200, [])
    again = client.post("/api/v1/guards/lift", {"target": "web-01"}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "not_quarantined")
