"""Policies may also suggest, or ask for approval: two more modes between observing and acting."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("policies", "0006_flap_history")]

    operations = [
        migrations.RemoveConstraint(model_name="policy", name="policy_mode_known"),
        migrations.AlterField(
            model_name="policy",
            name="mode",
            field=models.CharField(
                choices=[
                    ("observe", "observe"),
                    ("suggest", "suggest: wait for a click"),
                    ("approve", "approve: wait for an approver"),
                    ("auto", "act"),
                ],
                default="observe",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.CheckConstraint(
                condition=Q(mode__in=["observe", "suggest", "approve", "auto"]), name="policy_mode_known"
            ),
        ),
    ]
