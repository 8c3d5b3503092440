"""Whose word an action waits for, until when, and what was said."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


def give_those_that_wait_their_time(apps: Any, schema_editor: Any) -> None:
    """Until now an action that waited for approval did so until its deadline, and the deadline did not move."""
    for row in apps.get_model("actions", "Action").objects.filter(state="awaiting_approval"):
        row.asks, row.people = "approver", 2 if row.action_type.risk == "critical" else 1
        row.approval_reasons = [f"{row.action_type.name} has the risk {row.action_type.risk}"]
        row.approval_expires_at, row.deadline = row.deadline, row.deadline + (row.deadline - row.created_at)
        row.save()


class Migration(migrations.Migration):
    dependencies = [("actions", "0007_live_on_target")]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("by", models.CharField(max_length=150)),
                (
                    "verdict",
                    models.CharField(choices=[("approved", "Approved"), ("rejected", "Rejected")], max_length=10),
                ),
                ("reason", models.TextField(blank=True)),
                ("at", models.DateTimeField()),
                (
                    "action",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="approvals", to="actions.action"
                    ),
                ),
            ],
            options={
                "ordering": ["action_id", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=["action", "by"], name="actions_one_word_each"),
                    models.CheckConstraint(
                        condition=Q(verdict__in=["approved", "rejected"]), name="actions_known_verdict"
                    ),
                    models.CheckConstraint(condition=~Q(by=""), name="actions_approval_by_somebody"),
                ],
            },
        ),
        migrations.AddField(
            model_name="action",
            name="asks",
            field=models.CharField(
                blank=True,
                choices=[("", "nobody"), ("operator", "operator"), ("approver", "approver")],
                default="",
                max_length=10,
            ),
        ),
        migrations.AddField(model_name="action", name="people", field=models.PositiveSmallIntegerField(default=0)),
        migrations.AddField(
            model_name="action", name="approval_reasons", field=models.JSONField(blank=True, default=list)
        ),
        migrations.AddField(
            model_name="action", name="approval_expires_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField(model_name="action", name="approved_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.RunPython(give_those_that_wait_their_time, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="action",
            index=models.Index(
                condition=Q(state="awaiting_approval"), fields=["approval_expires_at"], name="actions_awaiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="action",
            constraint=models.CheckConstraint(
                condition=Q(asks="", people=0) | Q(asks__in=["operator", "approver"], people__gte=1),
                name="actions_asks_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="action",
            constraint=models.CheckConstraint(
                condition=~Q(state="awaiting_approval") | Q(people__gte=1, approval_expires_at__isnull=False),
                name="actions_waits_for_a_while",
            ),
        ),
    ]
