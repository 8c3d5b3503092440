from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0006_standard_rows"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="action",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)),
                fields=["target", "id"],
                name="actions_live_on_target",
            ),
        ),
    ]
