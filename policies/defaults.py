"""The two rows that exist exactly once, put back wherever somebody emptied the tables."""

from django.db import DEFAULT_DB_ALIAS, connections

from policies.models import BookVersion, SweepStatus


def after_migrate(using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """A receiver of `post_migrate`; does nothing where the tables are not there (yet, or any more)."""
    tables = set(connections[using].introspection.table_names())
    if using == DEFAULT_DB_ALIAS and {BookVersion._meta.db_table, SweepStatus._meta.db_table} <= tables:
        BookVersion.objects.get_or_create(pk=1)
        SweepStatus.objects.get_or_create(pk=1)
