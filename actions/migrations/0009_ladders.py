"""Action types that undo others or only tell people, and the pager, who is told when a person is needed."""

from django.db import migrations, models

PAGE = {
    "title": "page",
    "type": "object",
    "properties": {
        "to": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
        "message": {"type": "string", "minLength": 1, "maxLength": 1000},
    },
    "additionalProperties": False,
}
UNDONE_BY = {"scale-up": "scale-down", "scale-down": "scale-up"}


def begin(apps, schema_editor):
    """What somebody made under these names stays as it is."""
    using = schema_editor.connection.alias
    kinds = apps.get_model("actions", "ActionType").objects.using(using)
    for name, other in UNDONE_BY.items():
        if kinds.filter(name=other).exists():
            kinds.filter(name=name).update(rollback=other)
    if kinds.filter(name="page").exists():
        return
    remediators = apps.get_model("actions", "Remediator").objects.using(using)
    pager, _ = remediators.get_or_create(name="pager", defaults={"kind": "log"})
    kinds.create(
        name="page",
        description="Call a person: the pager is told about the incident.",
        remediator=pager,
        schema=PAGE,
        retry_safety="natural",
        tells=True,
    )


class Migration(migrations.Migration):
    dependencies = [("actions", "0008_approvals")]

    operations = [
        migrations.AddField("action", "verified", models.BooleanField(db_default=True, default=True)),
        migrations.AddField(
            "actiontype", "rollback", models.CharField(blank=True, db_default="", default="", max_length=100)
        ),
        migrations.AddField("actiontype", "tells", models.BooleanField(db_default=False, default=False)),
        migrations.RunPython(begin, migrations.RunPython.noop),
    ]
