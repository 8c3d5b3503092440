"""What flapping is told from: one row for each policy and target whose incidents came or went lately."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0005_sweep_shard"),
    ]

    operations = [
        migrations.CreateModel(
            name="FlapHistory",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("target", models.CharField(max_length=256)),
                ("results", models.CharField(max_length=21)),
                ("last_at", models.DateTimeField()),
                ("flapping_since", models.DateTimeField(blank=True, null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="policies.incident"
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="policies.policy"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "flap histories",
                "constraints": [
                    models.UniqueConstraint(fields=("policy", "target"), name="flap_history_one_per_policy_target"),
                    models.CheckConstraint(
                        condition=models.Q(("results", ""), _negated=True), name="flap_history_has_results"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target", ""), _negated=True), name="flap_history_target_said"
                    ),
                ],
            },
        ),
    ]
