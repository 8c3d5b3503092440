"""Several workers, orders and verbs at once, each on a connection of its own."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import Q

from actions import budgets, claims, execution, reaper, steering
from actions.claims import Claimed, claim
from actions.dispatch import Ordered
from actions.guards import Fleet, Limits
from actions.models import Action, Attempt
from actions.queries import ActionView
from tests.integration.actions import fakes, make
from vigil.kernel import clock


def at_once[T](*jobs: Callable[[], T]) -> list[T | Exception]:
    """What each job came to, all of them begun at the same moment in threads of their own."""
    gate = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def do(index: int, job: Callable[[], T]) -> None:
        gate.wait()
        try:
            results[index] = job()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=(index, job)) for index, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def errors(results: Sequence[object]) -> list[Exception]:
    return [result for result in results if isinstance(result, Exception)]


def test_of_many_workers_one_gets_the_action(committed_remote: fakes.Fake) -> None:
    for round_no in range(5):
        action = make.by_hand(target=f"web-{round_no}")
        results = at_once(*(partial(claim, action_id=action.id, worker=f"w{number}") for number in range(6)))
        assert errors(results) == []
        assert sum(isinstance(result, Claimed) for result in results) == 1
        assert make.story(action.id) == ["ready", "leased"]


def test_a_double_hint_calls_once(committed_remote: fakes.Fake) -> None:
    for round_no in range(5):
        action = make.by_hand(target=f"web-{round_no}", kind="restart")
        assert errors(at_once(*[partial(make.run, action.id)] * 4)) == []
        assert [call.action_id for call in committed_remote.calls].count(action.id) == 1
        assert make.story(action.id)[-1] == "succeeded"


def test_actions_of_one_target_never_overlap(committed_remote: fakes.Fake) -> None:
    inside: list[int] = []
    overlaps: list[tuple[int, ...]] = []

    def watch(call: Any) -> None:
        inside.append(call.action_id)
        if len(inside) > 1:
            overlaps.append(tuple(inside))
        inside.remove(call.action_id)

    committed_remote.meanwhile = watch
    actions = [make.by_hand() for _ in range(4)]
    while Action.objects.filter(state__in=["ready", "retry_wait"]).exists():
        jobs = [lambda i=action.id: make.run(i) for action in actions]
        assert errors(at_once(*jobs)) == []
    assert overlaps == []
    assert [call.action_id for call in committed_remote.calls] == [action.id for action in actions]
    fences = [call.fence for call in committed_remote.calls]
    assert fences == sorted(set(fences))


def test_the_global_cap_holds_among_racing_workers(committed_remote: fakes.Fake, settings: Any) -> None:
    settings.VIGIL_GLOBAL_CONCURRENCY = 2
    actions = [make.by_hand(target=f"web-{number}") for number in range(6)]
    results = at_once(*(lambda i=action.id: claim(action_id=i, worker=f"w{i}") for action in actions))
    assert errors(results) == []
    assert sum(isinstance(result, Claimed) for result in results) == 2
    assert Action.objects.filter(state="leased").count() == 2


def test_the_rate_of_a_policy_holds_among_racing_orders(committed_remote: fakes.Fake) -> None:
    limits = Limits(rate_count=2)
    results = at_once(*(lambda n=n: make.answer(key=f"k{n}", target=f"web-{n}", limits=limits) for n in range(6)))
    assert errors(results) == []
    assert sum(isinstance(result, Ordered) for result in results) == 2


def test_of_racing_orders_with_one_key_one_is_stored(committed_remote: fakes.Fake) -> None:
    results = at_once(*(lambda: make.answer() for _ in range(6)))
    assert errors(results) == []
    assert sum(isinstance(result, Ordered) and result.created for result in results) == 1
    assert Action.objects.count() == 1


def test_of_racing_requests_with_one_idempotency_key_one_is_stored(committed_remote: fakes.Fake) -> None:
    results = at_once(*(lambda: make.by_hand(key="once") for _ in range(6)))
    assert errors(results) == []
    assert len({result.id for result in results}) == 1  # type: ignore[union-attr]
    assert Action.objects.count() == 1


def test_cancel_and_run_agree_on_what_happened(committed_remote: fakes.Fake) -> None:
    for round_no in range(8):
        action = make.by_hand(target=f"web-{round_no}", kind="restart")

        cancel = partial(steering.cancel, action_id=action.id, actor="user:ana", reason="", at=clock.now())
        jobs: list[Callable[[], object]] = [cancel, partial(make.run, action.id)]
        results = at_once(*jobs)
        assert all(isinstance(error, steering.UnableToCancel) for error in errors(results))
        called = any(call.action_id == action.id for call in committed_remote.calls)
        assert (make.state(action.id) == "succeeded") == called
        assert make.state(action.id) in ("cancelled", "succeeded")
        make.story(action.id)


def test_reapers_and_late_workers_keep_the_story_gapless(committed_remote: fakes.Fake) -> None:
    for round_no in range(5):
        action = make.by_hand(target=f"web-{round_no}")
        make.leased(action.id)
        make.lease_over(action.id)
        at_once(*(lambda: reaper.run(at=clock.now()) for _ in range(3)))
        assert make.story(action.id) == ["ready", "leased", "ready"]
        assert Action.objects.get(pk=action.id).lease_losses == 1


def test_fallback_and_workers_together_run_everything_once(committed_remote: fakes.Fake) -> None:
    actions = [make.by_hand(target=f"web-{number % 4}", kind="restart") for number in range(12)]
    while Action.objects.filter(state="ready").exists():
        at_once(
            lambda: execution.run_due(limit=10, worker="dispatcher"),
            *(lambda i=action.id: make.run(i) for action in actions[:3]),
        )
    assert sorted(call.action_id for call in committed_remote.calls) == [action.id for action in actions]
    assert Attempt.objects.count() == 12
    for action in actions:
        make.story(action.id)


def test_the_rate_of_a_policy_holds_among_racing_claims(committed_remote: fakes.Fake) -> None:
    actions = [make.ordered(key=f"k{number}", target=f"web-{number}") for number in range(4)]
    make.answer(key="k9", target="web-9", limits=Limits(cooldown=timedelta(0), rate_count=2))
    results = at_once(*(partial(make.run, action.id) for action in actions))
    assert errors(results) == []
    assert len(committed_remote.calls) <= 2


def test_an_attempt_that_begins_while_a_rate_is_counted_is_counted(committed_remote: fakes.Fake) -> None:
    action = make.ordered()
    claimed = make.leased(action.id)
    reads: list[str] = []

    def begin_after_the_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        reads.append(sql)
        if len(reads) == 1:
            assert errors(at_once(partial(claims.intend, claimed))) == []
        return answer

    with connection.execute_wrapper(begin_after_the_first):
        used = budgets._begun(Q(policy_name="high-cpu"), since=clock.now() - timedelta(minutes=10), besides=0)
    assert (used, make.state(action.id)) == (1, "executing")


@pytest.mark.postgres_only
def test_a_claim_waits_for_the_order_before_it(committed_remote: fakes.Fake) -> None:
    """Numbers are given before commits: an older order still under way keeps a younger one from overtaking it."""
    younger: list[ActionView] = []

    def order_meanwhile() -> None:
        younger.append(make.by_hand())
        connections.close_all()

    thread = threading.Thread(target=order_meanwhile)
    with transaction.atomic():
        older = make.ordered()
        thread.start()
        thread.join(0.5)
        assert younger == []
    thread.join()
    assert younger[0].id > older.id


def test_the_cap_of_a_fleet_holds_among_racing_orders_and_claims(committed_remote: fakes.Fake) -> None:
    members = frozenset(f"web-{number}" for number in range(20))
    fleet = Fleet(name="web-*", members=members, unhealthy=frozenset())
    assert fleet.at_once == 2
    for _ in range(2):  # the second time round the rows to lock are there
        orders = [partial(make.answer, key=f"k{name}", target=name, fleet=fleet) for name in sorted(members)[:6]]
        results = at_once(*orders)
        assert errors(results) == []
        ordered = [one.action.id for one in results if isinstance(one, Ordered)]
        assert len(ordered) == 2
        claimed = at_once(*[partial(claim, action_id=one, worker=f"w{n}") for n, one in enumerate(ordered * 2)])
        assert errors(claimed) == []
        assert sum(isinstance(one, Claimed) for one in claimed) == 2
        Action.objects.all().delete()
