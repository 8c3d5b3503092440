"""The two rows that exist exactly once."""

from django.db import migrations


def make(apps, schema_editor):
    apps.get_model("policies", "BookVersion").objects.get_or_create(pk=1)
    apps.get_model("policies", "SweepStatus").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
