from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="PeriodicRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("job", models.CharField(max_length=100)),
                ("slot", models.BigIntegerField()),
                ("holder", models.CharField(blank=True, max_length=150)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "indexes": [models.Index(fields=["started_at"], name="periodic_by_start")],
                "constraints": [models.UniqueConstraint(fields=("job", "slot"), name="periodic_one_run_per_slot")],
            },
        ),
        migrations.CreateModel(
            name="WorkerBeat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=150, unique=True)),
                ("role", models.CharField(max_length=20)),
                ("hostname", models.CharField(max_length=150)),
                ("pid", models.PositiveIntegerField()),
                ("beat_at", models.DateTimeField()),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["role", "beat_at"], name="periodic_by_role")],
            },
        ),
    ]
