"""While migrations run nobody loses patience with the database, and afterwards everybody does again."""

import pytest
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection

from vigil.kernel import migrating

pytestmark = [pytest.mark.django_db, pytest.mark.postgres_only]


def _limits() -> tuple[str, float]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0], connection.connection.patience_seconds


def test_migrations_may_take_as_long_as_they_need() -> None:
    before = _limits()
    emit_pre_migrate_signal(verbosity=0, interactive=False, db="default")
    assert _limits() == ("0", migrating.PATIENCE_SECONDS)
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    assert _limits() == before == ("5s", 6.0)


def test_the_end_of_what_was_no_migration_changes_nothing() -> None:
    before = _limits()
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    assert _limits() == before
