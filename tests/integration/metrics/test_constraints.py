"""What the database itself refuses, whoever writes."""

from datetime import datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from metrics.models import Event, IngestReceipt, Sample, Series
from tests.integration.metrics.cast import NOON

pytestmark = pytest.mark.django_db


def a_series(**fields: object) -> Series:
    values = {"name": "cpu", "tags": {"host": "a"}, "tags_hash": "h", "target": "a", "created_at": NOON} | fields
    return Series.objects.create(**values)


@pytest.mark.parametrize("fields", [{"name": ""}, {"target": ""}, {"last_value": 1.0}, {"last_at": NOON}])
def test_a_series_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        a_series(**fields)


def test_a_name_has_one_series_for_one_set_of_tags() -> None:
    a_series()
    with pytest.raises(IntegrityError), transaction.atomic():
        a_series(target="b")
    a_series(name="other")
    assert Series.objects.count() == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_sample_has_a_finite_value(value: float) -> None:
    series = a_series()
    with pytest.raises(DatabaseError), transaction.atomic():
        Sample.objects.create(series=series, value=value, at=NOON, received_at=NOON)


@pytest.mark.parametrize("value", [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 0.1])
def test_the_largest_and_the_smallest_double_come_back_as_they_were(value: float) -> None:
    pk = Sample.objects.create(series=a_series(), value=value, at=NOON, received_at=NOON).pk
    assert Sample.objects.get(pk=pk).value == value


@pytest.mark.parametrize("fields", [{"name": ""}, {"target": ""}, {"severity": "fatal"}])
def test_an_event_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    values = {"name": "deploy", "target": "a", "severity": "info", "at": NOON, "received_at": NOON} | fields
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.create(**values)


def test_an_actor_uses_a_key_once() -> None:
    def receipt(actor: str) -> IngestReceipt:
        return IngestReceipt.objects.create(actor=actor, key="k", digest="d", created_at=NOON)

    receipt("key:a")
    receipt("key:b")
    with pytest.raises(IntegrityError), transaction.atomic():
        receipt("key:a")


def test_nothing_refers_to_a_sample() -> None:
    relations = [field for field in Sample._meta.get_fields() if field.auto_created and not field.concrete]
    assert relations == []


def test_a_window_of_a_series_is_read_from_an_index() -> None:
    assert _plan_for_window(1, NOON)


def _plan_for_window(series_id: int, since: datetime) -> bool:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Sample.objects.filter(series_id=series_id, at__gt=since).order_by("at").explain()
    # On PostgreSQL the key of a part, which begins with series and time.
    return ("_pkey" if connection.vendor == "postgresql" else "sample_by_series_and_time") in plan
