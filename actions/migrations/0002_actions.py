import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0001_remediators_and_types"),
    ]

    operations = [
        migrations.CreateModel(
            name="Action",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("dedup_key", models.CharField(max_length=250)),
                ("request_key", models.CharField(blank=True, max_length=400, null=True, unique=True)),
                (
                    "action_type",
                    models.ForeignKey(
                        db_column="kind",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="actions",
                        to="actions.actiontype",
                        to_field="name",
                    ),
                ),
                ("target", models.CharField(max_length=250)),
                ("params", models.JSONField(blank=True, default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("awaiting_approval", "awaiting approval"),
                            ("ready", "ready"),
                            ("leased", "leased"),
                            ("executing", "executing"),
                            ("accepted", "accepted"),
                            ("unknown", "unknown"),
                            ("retry_wait", "retry wait"),
                            ("needs_human", "needs human"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                            ("expired", "expired"),
                            ("cancelled", "cancelled"),
                            ("rejected", "rejected"),
                        ],
                        max_length=20,
                    ),
                ),
                ("state_seq", models.PositiveBigIntegerField(default=1)),
                ("incident_id", models.BigIntegerField(blank=True, null=True)),
                ("policy_name", models.CharField(blank=True, max_length=200)),
                ("policy_version", models.PositiveIntegerField(blank=True, null=True)),
                ("severity", models.CharField(blank=True, max_length=20)),
                ("reason", models.TextField(blank=True)),
                ("ordered_by", models.CharField(max_length=150)),
                ("by_hand", models.BooleanField(default=False)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                (
                    "retry_of",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="retries",
                        to="actions.action",
                    ),
                ),
                ("concurrency_group", models.CharField(blank=True, max_length=200)),
                ("attempt_no", models.PositiveSmallIntegerField(default=0)),
                ("max_attempts", models.PositiveSmallIntegerField(default=3)),
                ("run_after", models.DateTimeField()),
                ("deadline", models.DateTimeField()),
                ("lease_owner", models.CharField(blank=True, max_length=200, null=True)),
                ("lease_token", models.PositiveBigIntegerField(blank=True, null=True)),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("lease_losses", models.PositiveSmallIntegerField(default=0)),
                ("asked", models.PositiveSmallIntegerField(default=0)),
                ("run_id", models.CharField(blank=True, max_length=250)),
                ("hinted_at", models.DateTimeField(blank=True, null=True)),
                ("hint_count", models.PositiveIntegerField(default=0)),
                ("cancel_requested_at", models.DateTimeField(blank=True, null=True)),
                ("settle", models.DurationField(blank=True, null=True)),
                ("verify_after", models.DateTimeField(blank=True, null=True)),
                ("verification", models.CharField(blank=True, max_length=20)),
                ("details", models.TextField(blank=True)),
                ("notes", models.TextField(blank=True)),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["ready", "retry_wait"])),
                        fields=["run_after", "id"],
                        name="actions_due",
                    ),
                    models.Index(
                        condition=models.Q(("state__in", ["unknown", "accepted"])),
                        fields=["run_after"],
                        name="actions_to_ask_about",
                    ),
                    models.Index(
                        condition=models.Q(("state__in", ["leased", "executing"])),
                        fields=["lease_expires_at"],
                        name="actions_leases",
                    ),
                    models.Index(fields=["target", "id"], name="actions_line_of_target"),
                    models.Index(fields=["state", "id"], name="actions_by_state"),
                    models.Index(fields=["incident_id"], name="actions_by_incident"),
                    models.Index(fields=["policy_name", "id"], name="actions_by_policy"),
                    models.Index(fields=["created_at"], name="actions_by_creation"),
                    models.Index(fields=["finished_at"], name="actions_by_end"),
                    models.Index(
                        condition=models.Q(("state", "succeeded"), ("verification", "")),
                        fields=["verify_after"],
                        name="actions_to_verify",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("state__in", ["cancelled", "expired", "failed", "rejected", "succeeded"]), _negated=True
                        ),
                        fields=("dedup_key",),
                        name="actions_one_live_per_key",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("state__in", ["accepted", "executing", "leased", "needs_human", "unknown"])
                        ),
                        fields=("target",),
                        name="actions_one_effect_per_target",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lease_owner__isnull", False), ("state__in", ["executing", "leased"])),
                            models.Q(
                                models.Q(("state__in", ["executing", "leased"]), _negated=True),
                                ("lease_owner__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="actions_lease_has_an_owner",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("deadline__gt", models.F("created_at"))),
                        name="actions_deadline_after_order",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("finished_at__isnull", False),
                                ("state__in", ["cancelled", "expired", "failed", "rejected", "succeeded"]),
                            ),
                            models.Q(
                                models.Q(
                                    ("state__in", ["cancelled", "expired", "failed", "rejected", "succeeded"]),
                                    _negated=True,
                                ),
                                ("finished_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="actions_finished_has_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "accepted",
                                    "awaiting_approval",
                                    "cancelled",
                                    "executing",
                                    "expired",
                                    "failed",
                                    "leased",
                                    "needs_human",
                                    "ready",
                                    "rejected",
                                    "retry_wait",
                                    "succeeded",
                                    "unknown",
                                ],
                            )
                        ),
                        name="actions_known_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("verification__in", ["", "effective", "ineffective", "unverifiable", "relapsed"])
                        ),
                        name="actions_known_verification",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target", ""), _negated=True), name="actions_target_is_named"
                    ),
                    models.CheckConstraint(condition=models.Q(("state_seq__gte", 1)), name="actions_steps_from_one"),
                    models.CheckConstraint(
                        condition=models.Q(("attempt_no__lte", models.F("max_attempts"))),
                        name="actions_attempts_bounded",
                    ),
                ],
            },
        ),
    ]
