"""One value of a series at one time."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0001_series")]

    operations = [
        migrations.CreateModel(
            name="Sample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("value", models.FloatField()),
                ("at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                (
                    "series",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="samples",
                        to="metrics.series",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["series", "at"], name="sample_by_series_and_time"),
                    models.Index(fields=["at"], name="sample_by_time"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("value__gte", -1.7976931348623157e308), ("value__lte", 1.7976931348623157e308)
                        ),
                        name="sample_value_finite",
                    )
                ],
            },
        ),
    ]
