"""Incidents keep the tags that silences and inhibitions match on; the book's row tells of changes to what mutes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("policies", "0002_rows")]

    operations = [
        migrations.AddField(
            model_name="bookversion",
            name="mutes",
            field=models.PositiveBigIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="incident",
            name="tags",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
