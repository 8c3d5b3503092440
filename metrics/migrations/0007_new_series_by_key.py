from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0006_partitions_and_rollups"),
    ]

    operations = [
        migrations.CreateModel(
            name="NewSeries",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.CharField(max_length=150)),
                ("day", models.DateField()),
                ("count", models.PositiveIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "new series",
                "constraints": [models.UniqueConstraint(fields=("actor", "day"), name="new_series_once_a_day")],
            },
        ),
    ]
