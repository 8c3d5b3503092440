from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=250)),
                ("seq", models.PositiveBigIntegerField()),
                ("kind", models.CharField(max_length=60)),
                ("from_state", models.CharField(blank=True, max_length=40)),
                ("to_state", models.CharField(blank=True, max_length=40)),
                ("actor", models.CharField(max_length=150)),
                ("reason", models.TextField(blank=True)),
                ("numbers", models.JSONField(blank=True, default=dict)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("at", models.DateTimeField()),
                ("previous_digest", models.CharField(blank=True, max_length=64)),
                ("digest", models.CharField(max_length=64)),
            ],
            options={
                "verbose_name_plural": "entries",
                "indexes": [
                    models.Index(fields=["-at"], name="audit_by_time"),
                    models.Index(fields=["actor", "-at"], name="audit_by_actor"),
                    models.Index(fields=["request_id"], name="audit_by_request"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("subject", "seq"), name="audit_one_entry_per_step"),
                    models.CheckConstraint(condition=models.Q(("seq__gte", 1)), name="audit_seq_from_one"),
                ],
            },
        ),
    ]
