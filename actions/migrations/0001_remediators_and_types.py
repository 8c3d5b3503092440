import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Remediator",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("kind", models.CharField(max_length=50)),
                ("config", models.JSONField(blank=True, default=dict)),
                ("secret", models.TextField(blank=True, default="")),
                ("enabled", models.BooleanField(default=True)),
                ("from_environment", models.BooleanField(default=False, editable=False)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name", ""), _negated=True), models.Q(("kind", ""), _negated=True)
                        ),
                        name="actions_remediator_is_named",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ActionType",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("description", models.CharField(blank=True, max_length=250)),
                (
                    "remediator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="action_types",
                        to="actions.remediator",
                    ),
                ),
                ("schema", models.JSONField(blank=True, default=dict)),
                (
                    "retry_safety",
                    models.CharField(
                        choices=[
                            ("natural", "repeating it is harmless"),
                            ("idempotent_key", "the remediator de-duplicates by key"),
                            ("at_most_once", "never sent twice"),
                        ],
                        default="at_most_once",
                        max_length=20,
                    ),
                ),
                (
                    "risk",
                    models.CharField(
                        choices=[("low", "Low"), ("high", "High"), ("critical", "Critical")],
                        default="low",
                        max_length=10,
                    ),
                ),
                ("max_seconds", models.PositiveIntegerField(default=300)),
                ("cancel", models.BooleanField(default=False)),
                ("enabled", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="actions_type_is_named"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("retry_safety__in", ["natural", "idempotent_key", "at_most_once"])),
                        name="actions_type_known_safety",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("risk__in", ["low", "high", "critical"])), name="actions_type_known_risk"
                    ),
                    models.CheckConstraint(condition=models.Q(("max_seconds__gte", 1)), name="actions_type_takes_time"),
                ],
            },
        ),
    ]
