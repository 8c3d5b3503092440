"""A metric name with one set of tags."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Series",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("tags", models.JSONField(default=dict)),
                ("tags_hash", models.CharField(max_length=32)),
                ("target", models.CharField(max_length=256)),
                ("created_at", models.DateTimeField()),
                ("last_value", models.FloatField(null=True)),
                ("last_at", models.DateTimeField(null=True)),
                ("last_sample_id", models.BigIntegerField(null=True)),
            ],
            options={
                "verbose_name_plural": "series",
                "indexes": [models.Index(fields=["name", "target"], name="series_by_name_and_target")],
                "constraints": [
                    models.UniqueConstraint(fields=("name", "tags_hash"), name="series_name_and_tags_once"),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="series_name_not_blank"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target", ""), _negated=True), name="series_target_not_blank"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("last_at__isnull", True),
                                ("last_sample_id__isnull", True),
                                ("last_value__isnull", True),
                            ),
                            models.Q(
                                ("last_at__isnull", False),
                                ("last_sample_id__isnull", False),
                                ("last_value__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="series_last_all_or_nothing",
                    ),
                ],
            },
        ),
    ]
