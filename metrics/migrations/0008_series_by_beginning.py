"""An index that finds the series of targets which begin with something, whatever order the database's language has.

PostgreSQL's alone, made while others write; one whose making was interrupted is made anew. SQLite compares by code
points anyway.
"""

from django.db import migrations, models

NAME = "series_by_name_and_beginning"


def _make(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        [allowed] = cursor.fetchone()
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET lock_timeout = 0")  # it waits for those who write, and holds up none
        try:
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
            cursor.execute(f"CREATE INDEX CONCURRENTLY {NAME} ON metrics_series (name, target varchar_pattern_ops)")
        finally:
            cursor.execute("RESET lock_timeout")
            cursor.execute(f"SET statement_timeout = '{allowed}'")


def _drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("metrics", "0007_new_series_by_key")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(_make, _drop)],
            state_operations=[
                migrations.AddIndex(
                    model_name="series",
                    index=models.Index(
                        fields=["name", "target"],
                        name=NAME,
                        opclasses=["varchar_ops", "varchar_pattern_ops"],
                    ),
                ),
            ],
        ),
    ]
