"""Room on each page of series: PostgreSQL then keeps the new version of a row beside the old one, off the indexes."""

from django.db import migrations


def _leave_room(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE metrics_series SET (fillfactor = 70)")


def _fill(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE metrics_series RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_ingest_receipt")]

    operations = [migrations.RunPython(_leave_room, _fill)]
