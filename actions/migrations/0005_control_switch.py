from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0004_guards_and_budgets"),
    ]

    operations = [
        migrations.CreateModel(
            name="ControlSwitch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "mode",
                    models.CharField(
                        choices=[("active", "Active"), ("observe", "Observe"), ("paused", "Paused")],
                        default="active",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("by", models.CharField(blank=True, max_length=150)),
                ("at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "control switch",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="actions_switch_is_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(("mode__in", ["active", "observe", "paused"])),
                        name="actions_switch_known_mode",
                    ),
                ],
            },
        ),
    ]
