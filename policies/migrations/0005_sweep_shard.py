"""Shards of a sweep over a large fleet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0004_mutes"),
    ]

    operations = [
        migrations.CreateModel(
            name="SweepShard",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(max_length=32)),
                ("number", models.PositiveIntegerField()),
                ("total", models.PositiveIntegerField()),
                ("after", models.CharField(blank=True, max_length=256)),
                ("until", models.CharField(blank=True, max_length=256)),
                ("at", models.DateTimeField()),
                ("found", models.JSONField(null=True)),
            ],
            options={
                "verbose_name": "sweep shard",
                "constraints": [models.UniqueConstraint(fields=("run_id", "number"), name="sweep_shard_once")],
            },
        ),
    ]
