"""Two processes at once: the swap lets one through, and the other gets an answer instead of an error."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from actions import control
from actions.models import Action
from policies import authoring, book, incidents, judging, remedies
from policies.engine import lifecycle
from policies.incidents import Lost, UnableToMove
from policies.judging import Judgement
from policies.models import Decision, FlapHistory, Incident
from tests.integration.policies import cast
from vigil.audit import entries
from vigil.audit.models import Entry
from vigil.kernel.database import tx

RUNS = 4
EVERY = timedelta(seconds=15)


def _judgement(at: datetime) -> Judgement:
    in_force = book.current(at)
    [policy_id] = in_force.rules
    [judgement] = judging.judge(book=in_force, pairs={(policy_id, "web-01")}, at=at).judgements
    return judgement


def _store(value: float, at: datetime) -> None:
    from metrics import ingest
    from metrics.formats.reading import Reading

    ingest.store(readings=[Reading("cpu_usage", value, {"host": "web-01"}, at)], at=at)


def _at_once(work: Callable[[], None]) -> list[BaseException]:
    """Run the work in several threads that start together; what they raised."""
    ready, raised = threading.Barrier(RUNS), []

    def run() -> None:
        try:
            ready.wait(timeout=10)
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(RUNS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return raised


@pytest.mark.django_db(transaction=True)
def test_many_open_the_same_incident_and_one_does(at: datetime) -> None:
    cast.policy()
    _store(92, at)
    judgement = _judgement(at)
    assert judgement.incident is None
    answers: list[int | None] = []

    def settle() -> None:
        [settled] = remedies.settle(judgements=[judgement], at=at)
        answers.append(settled.incident.pk if settled.incident is not None else None)

    assert _at_once(settle) == []
    incident = Incident.objects.get()
    assert answers == [incident.pk] * RUNS
    assert Action.objects.count() == 1
    assert Decision.objects.count() == 1
    assert [entry.seq for entry in entries.of(incident.subject)] == [1]


@pytest.mark.django_db(transaction=True)
def test_many_resolve_the_same_incident_and_one_does(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    _store(40, at)
    judgement = _judgement(at)
    assert _at_once(lambda: _settle(judgement, at)) == []
    incident = Incident.objects.get()
    assert (incident.status, incident.state_seq) == ("resolved", 2)
    assert [entry.seq for entry in entries.of(incident.subject)] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_many_post_the_same_violation_and_one_action_comes_of_it(at: datetime) -> None:
    cast.policy()
    assert _at_once(lambda: _post(at)) == []
    assert Incident.objects.count() == 1
    assert Action.objects.count() == 1


@pytest.mark.django_db
def test_a_move_of_a_stale_incident_is_lost(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    stale = cast.incident()
    incidents.acknowledge(incident_id=stale.pk, actor="user:ana", note="", at=at)
    with transaction.atomic():
        lost = incidents.exhaust(stale, reason="late", at=at)
    assert isinstance(lost, Lost)
    assert not cast.incident().exhausted
    assert Entry.objects.filter(kind="incident.exhausted").count() == 0


@pytest.mark.django_db
def test_a_person_cannot_move_what_is_over(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    incidents.resolve(incident_id=cast.incident().pk, actor="user:ana", note="", at=at)
    with pytest.raises(UnableToMove, match="already resolved"):
        incidents.acknowledge(incident_id=cast.incident().pk, actor="user:ana", note="", at=at)


@pytest.mark.django_db
def test_the_database_allows_one_live_incident_for_a_policy_and_target(at: datetime) -> None:
    cast.policy()
    cast.post(92, at=at)
    stale_judgement_of_nobody = _judgement(at)
    again = tx(
        lambda: incidents.apply(
            rule=stale_judgement_of_nobody.rule,
            target="web-01",
            incident=None,
            verdict=stale_judgement_of_nobody.verdict,
            step=_opening(stale_judgement_of_nobody, at),
            at=at,
        )
    )
    assert isinstance(again, Lost)
    assert again.incident == cast.incident()


@pytest.mark.django_db
def test_nothing_is_ordered_for_an_incident_that_was_closed_meanwhile(at: datetime) -> None:
    control.set_mode(mode="paused", reason="", actor="user:ana", at=at)
    cast.policy()
    cast.post(92, at=at)
    control.set_mode(mode="active", reason="", actor="user:ana", at=at)
    judgement = _judgement(at)
    assert judgement.acts
    authoring.disable(name="high-cpu-alert", actor="user:ana", at=at)
    [settled] = remedies.settle(judgements=[judgement], at=at)
    assert settled.decided is None
    assert Action.objects.count() == 0


@pytest.mark.django_db
def test_a_step_that_another_process_took_and_ended_is_not_taken_again(at: datetime) -> None:
    control.set_mode(mode="paused", reason="", actor="user:ana", at=at)
    cast.policy(cooldown="1s")
    cast.post(92, at=at)
    control.set_mode(mode="active", reason="", actor="user:ana", at=at)
    seen_before = _judgement(at)
    remedies.settle(judgements=[_judgement(at)], at=at)
    cast.end_action(Action.objects.get().pk, at=at - timedelta(minutes=1), state="failed")
    remedies.settle(judgements=[seen_before], at=at)
    assert Action.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_editors_at_once_one_is_told(at: datetime) -> None:
    cast.policy()
    raised = _at_once(lambda: _edit(at))
    assert {type(error).__name__ for error in raised} <= {"PolicyChanged"}
    assert authoring.current(authoring.get("high-cpu-alert")).number == 1 + RUNS - len(raised)


def _edit(at: datetime) -> None:
    note = threading.current_thread().name
    change = {"description": f"by {note}"}
    authoring.update(name="high-cpu-alert", change=change, actor="user:ana", at=at, expected_version=1)


def _opening(judgement: Judgement, at: datetime) -> lifecycle.Step:
    state = lifecycle.IncidentState()
    return lifecycle.advance(state, judgement.verdict, at, judgement.rule.timings)


def _settle(judgement: Judgement, at: datetime) -> None:
    assert len(remedies.settle(judgements=[judgement], at=at)) == 1


def _post(at: datetime) -> None:
    assert cast.post(92, at=at).evaluated


@pytest.mark.django_db(transaction=True)
def test_many_note_the_same_result_and_it_counts_once(at: datetime) -> None:
    """An ingest and several sweeps, of which one had been given up: each judged on what was known before."""
    cast.policy()
    cast.post(92, at=at)
    _store(92, at + EVERY)
    judgement = _judgement(at + EVERY)
    assert _at_once(lambda: _settle(judgement, at + EVERY)) == []
    assert FlapHistory.objects.get().results == "011"


@pytest.mark.django_db(transaction=True)
def test_flapping_that_many_notice_is_announced_once(at: datetime) -> None:
    cast.policy(flapping={"high": 5, "low": 4})
    _store(92, at)
    judgement = _judgement(at)
    assert _at_once(lambda: _settle(judgement, at)) == []
    assert [entry.kind for entry in entries.of(cast.incident().subject)] == [
        "incident.opened",
        "incident.flapping_began",
    ]
    judgement = _judgement(at + timedelta(minutes=30))
    assert _at_once(lambda: _settle(judgement, at + timedelta(minutes=30))) == []
    assert [entry.kind for entry in entries.of(cast.incident().subject)][2:] == ["incident.flapping_ended"]
