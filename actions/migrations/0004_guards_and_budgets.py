from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0003_attempts"),
    ]

    operations = [
        migrations.CreateModel(
            name="TargetGuard",
            fields=[
                ("target", models.CharField(max_length=250, primary_key=True, serialize=False)),
                ("fence", models.PositiveBigIntegerField(default=0)),
                ("cooldown_until", models.DateTimeField(blank=True, null=True)),
                ("quarantined_until", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scope", models.CharField(max_length=250, unique=True)),
                ("concurrency_max", models.PositiveIntegerField(blank=True, null=True)),
                ("rate_count", models.PositiveIntegerField(blank=True, null=True)),
                ("rate_seconds", models.PositiveIntegerField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("rate_count__isnull", True), ("rate_seconds__isnull", True)),
                            models.Q(
                                ("rate_count__isnull", False), ("rate_seconds__gte", 1), ("rate_seconds__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="actions_budget_rate_is_whole",
                    )
                ],
            },
        ),
    ]
