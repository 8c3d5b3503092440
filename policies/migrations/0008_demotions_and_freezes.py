"""What is taken from policies that did not do well: demotions, and freezes of two that fight on a target."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0007_modes"),
    ]

    operations = [
        migrations.AddField(
            model_name="policy",
            name="builtin",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.CreateModel(
            name="Demotion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField()),
                ("from_mode", models.CharField(max_length=10)),
                ("to_mode", models.CharField(max_length=10)),
                ("at", models.DateTimeField()),
                ("reason", models.TextField()),
                ("evidence", models.JSONField(default=list)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=150)),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="demotions",
                        to="policies.incident",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="demotions", to="policies.policy"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="policy",
            name="demotion",
            field=models.OneToOneField(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="policies.demotion",
            ),
        ),
        migrations.CreateModel(
            name="Freeze",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("target", models.CharField(max_length=256)),
                ("policies", models.JSONField(default=list)),
                ("reason", models.TextField()),
                ("evidence", models.JSONField(default=list)),
                ("newest_action_id", models.BigIntegerField()),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                ("lifted_by", models.CharField(blank=True, max_length=150)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["target", "-id"], name="freeze_target_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("target", "newest_action_id"), name="freeze_once_for_an_oscillation"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("until__gt", models.F("since"))), name="freeze_ends_after_it_begins"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target", ""), _negated=True), name="freeze_target_said"
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="demotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("from_mode", models.F("to_mode")), _negated=True), name="demotion_changes_the_mode"
            ),
        ),
    ]
