import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0002_actions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "action",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tries", to="actions.action"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                ("token", models.PositiveBigIntegerField()),
                ("worker", models.CharField(max_length=200)),
                ("code_version", models.CharField(blank=True, max_length=50)),
                ("intent_at", models.DateTimeField()),
                ("first_byte_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("outcome", models.CharField(blank=True, max_length=20)),
                ("retryable", models.BooleanField(default=False)),
                ("late", models.BooleanField(default=False)),
                ("http_status", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("error_class", models.CharField(blank=True, max_length=50)),
                ("message", models.TextField(blank=True)),
                ("excerpt", models.TextField(blank=True)),
                ("details", models.JSONField(blank=True, default=dict)),
                ("run_id", models.CharField(blank=True, max_length=250)),
            ],
            options={
                "ordering": ["action_id", "number"],
                "indexes": [models.Index(fields=["intent_at"], name="actions_attempts_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("action", "number"), name="actions_attempts_are_numbered"),
                    models.CheckConstraint(
                        condition=models.Q(("outcome", ""), ("finished_at__isnull", False), _connector="OR"),
                        name="actions_attempt_outcome_has_a_time",
                    ),
                ],
            },
        ),
    ]
