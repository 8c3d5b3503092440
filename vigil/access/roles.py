"""The roles as Django groups, put back wherever somebody emptied the tables."""

from django.contrib.auth.models import Group
from django.db import DEFAULT_DB_ALIAS, connections

from vigil.access import scopes


def after_migrate(using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """A receiver of `post_migrate`; does nothing where the table is not there (yet, or any more)."""
    if using != DEFAULT_DB_ALIAS or Group._meta.db_table not in connections[using].introspection.table_names():
        return
    for name in scopes.OF_GROUP:
        Group.objects.get_or_create(name=name)
