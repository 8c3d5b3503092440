"""The database itself refuses to change or remove an audit entry: security.md S30, where no code of ours is in between.

Whoever owns the tables can take the guard away; that is what the chain of digests and `manage.py fsck` are for.
"""

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from vigil.audit.models import Entry

_SAYS = "Audit entries are never changed or removed."
_TABLE = Entry._meta.db_table
_POSTGRES = f"""
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{_SAYS}' USING ERRCODE = 'restrict_violation'; END $$;
CREATE OR REPLACE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON {_TABLE}
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE OR REPLACE TRIGGER audit_no_truncate BEFORE TRUNCATE ON {_TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
"""
_SQLITE = tuple(
    f"CREATE TRIGGER IF NOT EXISTS audit_no_{verb.lower()} BEFORE {verb} ON {_TABLE} "
    f"BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END"
    for verb in ("UPDATE", "DELETE")
)


def install(connection: BaseDatabaseWrapper) -> None:
    """Put the triggers there; again and again does no harm."""
    with connection.cursor() as cursor:
        for statement in (_POSTGRES,) if connection.vendor == "postgresql" else _SQLITE:
            cursor.execute(statement)


def after_migrate(using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """A receiver, as no migration could do: SQLite makes a table anew to change it, and forgets its triggers."""
    connection = connections[using]
    if using == DEFAULT_DB_ALIAS and _TABLE in connection.introspection.table_names():
        install(connection)
