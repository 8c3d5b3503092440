"""The history: gapless, chained, and written only inside the change it tells of."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from vigil.audit import entries, guard
from vigil.audit.models import Entry, Unchangeable
from vigil.kernel import context

pytestmark = pytest.mark.django_db


def _three_steps() -> None:
    for state in ("ready", "leased", "executing"):
        entries.write(kind=f"action.{state}", subject="action:1", actor="vigil", reason="because", to_state=state)


def _behind_our_back(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


CHANGES: dict[str, Callable[[], object]] = {
    "update": lambda: Entry.objects.filter(seq=2).update(reason="nothing happened"),
    "delete": lambda: Entry.objects.all().delete(),
    "delete one": lambda: Entry.objects.get(seq=2).delete(),
    "save": lambda: Entry.objects.get(seq=2).save(),
    "save forced": lambda: Entry.objects.get(seq=2).save(force_update=True, update_fields=["reason"]),
    "bulk update": lambda: Entry.objects.bulk_update(Entry.objects.all(), ["reason"]),
    "update or create": lambda: Entry.objects.update_or_create(seq=2, defaults={"reason": "nothing happened"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_no_code_changes_or_removes_an_entry(change: Callable[[], object]) -> None:
    _three_steps()
    with pytest.raises(Unchangeable), transaction.atomic():
        change()
    assert entries.broken_links("action:1") == []


def test_entries_count_from_one_without_gaps() -> None:
    _three_steps()
    assert list(entries.of("action:1").values_list("seq", flat=True)) == [1, 2, 3]


def test_subjects_count_apart() -> None:
    _three_steps()
    assert entries.write(kind="control.paused", subject="control", actor="user:ana", reason="deploy").seq == 1


def test_a_whole_chain_verifies() -> None:
    _three_steps()
    assert entries.broken_links("action:1") == []


def test_an_edited_entry_is_found() -> None:
    _three_steps()
    _behind_our_back("UPDATE audit_entry SET reason = 'nothing happened' WHERE subject = 'action:1' AND seq = 2")
    assert entries.broken_links("action:1") == ["action:1: entry 2 was changed after it was written."]


def test_a_removed_entry_is_found() -> None:
    _three_steps()
    _behind_our_back("DELETE FROM audit_entry WHERE subject = 'action:1' AND seq = 2")
    assert "entry 2 is missing" in entries.broken_links("action:1")[0]


STATEMENTS = {
    "update": "UPDATE audit_entry SET reason = 'nothing happened' WHERE seq = 2",
    "delete": "DELETE FROM audit_entry WHERE seq = 2",
    "delete all": "DELETE FROM audit_entry",
}
if connection.vendor == "postgresql":
    STATEMENTS["truncate"] = "TRUNCATE audit_entry"


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_the_database_itself_refuses_to_change_an_entry(statement: str) -> None:
    _three_steps()
    guard.install(connection)
    with pytest.raises(DatabaseError, match="never changed or removed"), transaction.atomic():
        _behind_our_back(statement)
    assert entries.broken_links("action:1") == []
    assert entries.of("action:1").count() == 3


def test_the_guard_lets_new_entries_in_and_may_be_put_there_twice() -> None:
    guard.install(connection)
    guard.after_migrate()
    _three_steps()
    assert entries.of("action:1").count() == 3


def test_numbers_survive_the_round_trip() -> None:
    entries.write(kind="k", subject="s:1", actor="a", reason="", numbers={"value": 87.5, "limit": 80, "who": None})
    assert entries.broken_links("s:1") == []


def test_two_writers_of_one_step_cannot_both_win() -> None:
    entries.write(kind="k", subject="s:1", actor="a", reason="", seq=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        entries.write(kind="k", subject="s:1", actor="b", reason="", seq=1)


def test_an_entry_carries_the_request_id() -> None:
    with context.bind(request_id="req-1"):
        assert entries.write(kind="k", subject="s:1", actor="a", reason="").request_id == "req-1"


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_written() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        entries.write(kind="k", subject="s:1", actor="a", reason="")
