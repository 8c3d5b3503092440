"""What was stored under an idempotency key."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_event")]

    operations = [
        migrations.CreateModel(
            name="IngestReceipt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.CharField(max_length=200)),
                ("key", models.CharField(max_length=200)),
                ("digest", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField()),
                ("stored", models.PositiveIntegerField(default=0)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("content", models.BinaryField(default=b"")),
            ],
            options={
                "indexes": [models.Index(fields=["created_at"], name="receipt_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("actor", "key"), name="receipt_actor_and_key_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("key", ""), _negated=True), models.Q(("digest", ""), _negated=True)
                        ),
                        name="receipt_not_blank",
                    ),
                ],
            },
        ),
    ]
