"""Something that happened to a target."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0002_sample")]

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                (
                    "severity",
                    models.CharField(
                        choices=[("info", "info"), ("warning", "warning"), ("critical", "critical")],
                        default="info",
                        max_length=10,
                    ),
                ),
                ("target", models.CharField(max_length=256)),
                ("tags", models.JSONField(default=dict)),
                ("payload", models.JSONField(default=dict)),
                ("at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["name", "at"], name="event_by_name_and_time"),
                    models.Index(fields=["at"], name="event_by_time"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="event_name_not_blank"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target", ""), _negated=True), name="event_target_not_blank"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["info", "warning", "critical"])),
                        name="event_severity_known",
                    ),
                ],
            },
        ),
    ]
