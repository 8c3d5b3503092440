import threading
from datetime import timedelta

import msgspec
import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from metrics import ingest, retention
from metrics.formats.reading import EventReading, Reading
from metrics.models import Event, Sample
from tests.integration.metrics.cast import NOON
from vigil.kernel.errors import Invalid

pytestmark = pytest.mark.django_db

BODY = b'{"name":"a","value":1}'
READINGS = [Reading("a", 1.0)]


def a_receipt(*, key: str = "batch-1", body: bytes = BODY, actor: str = "key:agent-1") -> ingest.Receipt:
    return ingest.receipt(key=key, body=body, actor=actor)


def replay(receipt: ingest.Receipt, *, after: float = 0) -> ingest.Replay | None:
    at = NOON + timedelta(seconds=after)
    return ingest.replayed(key=receipt.key, digest=receipt.digest, actor=receipt.actor, at=at)


def answer(receipt: ingest.Receipt, content: bytes = b'{"ok":true}') -> None:
    ingest.remember(key=receipt.key, digest=receipt.digest, actor=receipt.actor, status=201, content=content, at=NOON)


def test_a_new_batch_has_no_answer_yet() -> None:
    assert replay(a_receipt()) is None


def test_the_same_batch_gets_the_same_bytes_again() -> None:
    receipt = a_receipt()
    ingest.store(readings=READINGS, at=NOON, receipt=receipt)
    answer(receipt, b'{"metric_id":7}')
    assert replay(receipt) == ingest.Replay(status=201, content=b'{"metric_id":7}')


def test_another_body_under_the_same_key_is_a_422() -> None:
    ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
    with pytest.raises(Invalid) as refused:
        replay(a_receipt(body=b"{}"))
    assert (refused.value.status, refused.value.code) == (422, "key_reused")


def test_another_actor_may_use_the_same_key() -> None:
    ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
    assert replay(a_receipt(actor="key:agent-2")) is None


def test_a_twin_is_refused_while_the_first_is_being_answered() -> None:
    ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
    with pytest.raises(ingest.IdempotencyConflict) as refused:
        replay(a_receipt(), after=5)
    assert (refused.value.status, refused.value.retry_after) == (409, 1)


def test_a_claimed_key_stores_nothing_more() -> None:
    ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
    with pytest.raises(ingest.IdempotencyConflict):
        ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
    assert Sample.objects.count() == 1


def test_when_the_answer_was_lost_the_batch_still_counts_once() -> None:
    ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
    found = replay(a_receipt(), after=31)
    assert found is not None
    answer = msgspec.json.decode(found.content)
    assert (answer["ok"], answer["stored"], answer["policies_evaluated"]) == (True, 1, False)


def test_a_batch_that_failed_leaves_its_key_free(settings: Settings) -> None:
    settings.VIGIL_CARDINALITY_MAX = 1
    two = [Reading("a", 1.0), Reading("b", 1.0)]
    with pytest.raises(ingest.CardinalityExceeded):
        ingest.store(readings=two, at=NOON, receipt=a_receipt())
    assert replay(a_receipt()) is None


@pytest.mark.parametrize("key", ["", "k" * 201, "a b", "a\n", "schlüssel", "\x00"])
def test_a_key_is_visible_and_short(key: str) -> None:
    with pytest.raises(Invalid):
        a_receipt(key=key)


def test_a_key_may_have_200_characters() -> None:
    assert replay(a_receipt(key="k" * 200)) is None


@pytest.mark.django_db(transaction=True)
def test_fifty_copies_at_once_are_stored_once() -> None:
    outcomes: list[str] = []

    def send() -> None:
        try:
            ingest.store(readings=READINGS, at=NOON, receipt=a_receipt())
            outcomes.append("stored")
        except ingest.IdempotencyConflict:
            outcomes.append("conflict")
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("stored"), outcomes.count("conflict")) == (1, 19)
    assert Sample.objects.count() == 1


def happen(*marks: str, hours: float = 0, actor: str = "key:agent-1") -> int:
    """Events that say what tells them apart; how many of them are new."""
    at = NOON + timedelta(hours=hours)
    happened = [EventReading("deploy", "info", {"host": "a"}, {}, None, mark) for mark in marks]
    return len(ingest.store(readings=happened, at=at, actor=actor).events)


def test_an_event_with_a_mark_of_its_own_is_stored_once() -> None:
    assert [happen("a", "b", "a"), happen("b", "c"), happen("a", "b", "c")] == [2, 1, 0]
    assert Event.objects.count() == 3


def test_events_without_a_mark_are_all_stored() -> None:
    assert [happen("", ""), happen("")] == [2, 1]


def test_a_mark_is_its_senders_own() -> None:
    assert [happen("a"), happen("a", actor="key:agent-2")] == [1, 1]


def test_a_mark_that_comes_again_within_a_day_is_kept_another_day() -> None:
    counts = []
    for hours in (0, 20, 40, 80):
        retention.prune(at=NOON + timedelta(hours=hours))
        counts.append(happen("a", hours=hours))
    assert counts == [1, 0, 0, 1]


def test_many_marks_are_claimed_in_parts() -> None:
    marks = [str(number) for number in range(1_200)]
    assert [happen(*marks), happen(*marks, "one more")] == [1_200, 1]


def test_a_batch_that_fails_claims_no_mark() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ingest.store(readings=[EventReading("", once="a")], at=NOON, actor="key:agent-1")
    assert happen("a") == 1
