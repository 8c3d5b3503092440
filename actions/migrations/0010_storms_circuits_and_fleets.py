import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0009_ladders"),
    ]

    operations = [
        migrations.CreateModel(
            name="Circuit",
            fields=[
                (
                    "remediator",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="circuit",
                        serialize=False,
                        to="actions.remediator",
                    ),
                ),
                (
                    "position",
                    models.CharField(
                        choices=[("closed", "closed"), ("open", "open"), ("half_open", "half_open")], max_length=10
                    ),
                ),
                ("failures", models.PositiveIntegerField(default=0)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("probe_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name="Proposal",
            fields=[
                ("key", models.CharField(max_length=250, primary_key=True, serialize=False)),
                ("policy_name", models.CharField(max_length=200)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="action",
            name="fleet",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="budget",
            name="storm_reason",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="budget",
            name="storm_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="targetguard",
            name="lifted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="targetguard",
            name="quarantine_reason",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddIndex(
            model_name="budget",
            index=models.Index(
                condition=models.Q(("storm_since__isnull", False)), fields=["storm_since"], name="actions_storms"
            ),
        ),
        migrations.AddIndex(
            model_name="targetguard",
            index=models.Index(
                condition=models.Q(("quarantined_until__isnull", False)),
                fields=["quarantined_until"],
                name="actions_in_quarantine",
            ),
        ),
        migrations.AddConstraint(
            model_name="circuit",
            constraint=models.CheckConstraint(
                condition=models.Q(("position__in", ["closed", "open", "half_open"])),
                name="actions_circuit_known_position",
            ),
        ),
        migrations.AddConstraint(
            model_name="circuit",
            constraint=models.CheckConstraint(
                condition=models.Q(("position", "closed"), ("opened_at__isnull", False), _connector="OR"),
                name="actions_circuit_open_since",
            ),
        ),
        migrations.AddIndex(
            model_name="proposal",
            index=models.Index(fields=["at"], name="actions_proposals_by_time"),
        ),
    ]
