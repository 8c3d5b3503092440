"""Silences, maintenance windows, inhibition rules and common causes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0003_incident_tags"),
    ]

    operations = [
        migrations.CreateModel(
            name="InhibitionRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("author", models.CharField(max_length=150)),
                ("comment", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=150)),
                ("name", models.CharField(max_length=100)),
                ("source", models.JSONField()),
                ("target", models.JSONField()),
                ("equal", models.JSONField(default=list)),
            ],
            options={
                "ordering": ["-id"],
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", False), _negated=True),
                        fields=("name",),
                        name="inhibition_name_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="inhibition_name_said"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("source", []), _negated=True), models.Q(("target", []), _negated=True)
                        ),
                        name="inhibition_means_something",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MaintenanceWindow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("author", models.CharField(max_length=150)),
                ("comment", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=150)),
                ("target", models.CharField(max_length=256)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("days", models.CharField(blank=True, max_length=40)),
                ("opens", models.TimeField(blank=True, null=True)),
                ("closes", models.TimeField(blank=True, null=True)),
                ("timezone", models.CharField(default="UTC", max_length=64)),
            ],
            options={
                "ordering": ["-id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at__isnull", False), _negated=True),
                        fields=["ends_at"],
                        name="maintenance_not_ended",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_at__isnull", True), ("ends_at__gt", models.F("starts_at")), _connector="OR"
                        ),
                        name="maintenance_ends_after_start",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("closes__isnull", True),
                                ("days", ""),
                                ("ends_at__isnull", False),
                                ("opens__isnull", True),
                            ),
                            models.Q(
                                models.Q(("days", ""), _negated=True),
                                ("closes__isnull", False),
                                ("opens__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="maintenance_once_or_weekly",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target", ""), _negated=True), name="maintenance_target_said"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CommonCause",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("group_by", models.CharField(blank=True, max_length=64)),
                ("group", models.CharField(blank=True, max_length=250)),
                ("bad", models.PositiveIntegerField()),
                ("known", models.PositiveIntegerField()),
                ("percent", models.PositiveIntegerField()),
                ("within_seconds", models.PositiveIntegerField()),
                ("reason", models.TextField()),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="common_causes", to="policies.policy"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", False), _negated=True),
                        fields=("policy", "group_by", "group"),
                        name="common_cause_one_standing",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("bad__lte", models.F("known"))), name="common_cause_bad_are_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at__isnull", True), ("ended_at__gte", models.F("began_at")), _connector="OR"
                        ),
                        name="common_cause_ends_after_start",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Silence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("author", models.CharField(max_length=150)),
                ("comment", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=150)),
                ("matchers", models.JSONField(default=list)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="silences",
                        to="policies.incident",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at__isnull", False), _negated=True),
                        fields=["ends_at"],
                        name="silence_not_ended",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ends_at__isnull", True), ("incident__isnull", False)),
                            models.Q(("ends_at__gt", models.F("starts_at")), ("ends_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="silence_ends_after_start",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("matchers", []), _negated=True), ("incident__isnull", False), _connector="OR"
                        ),
                        name="silence_means_something",
                    ),
                ],
            },
        ),
    ]
