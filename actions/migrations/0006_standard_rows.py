"""The rows a new installation begins with, as they were when this was written; later ones come by later migrations."""

from django.db import migrations
from django.db.models.functions import Now

STANDARD_TYPES = [
    (
        "scale-up",
        "Run more copies of the target.",
        "natural",
        {
            "title": "scale-up",
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "minimum": 0, "maximum": 10000},
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "scale-down",
        "Run fewer copies of the target.",
        "natural",
        {
            "title": "scale-down",
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "minimum": 0, "maximum": 10000},
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "restart",
        "Stop the target and start it again.",
        "at_most_once",
        {
            "title": "restart",
            "type": "object",
            "properties": {
                "grace_seconds": {"type": "integer", "minimum": 0, "maximum": 3600},
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "restart-service",
        "Restart the service on the target.",
        "at_most_once",
        {
            "title": "restart-service",
            "type": "object",
            "properties": {
                "grace_seconds": {"type": "integer", "minimum": 0, "maximum": 3600},
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "drain-pod",
        "Move the work off the pod, then remove it.",
        "at_most_once",
        {
            "title": "drain-pod",
            "type": "object",
            "properties": {
                "grace_seconds": {"type": "integer", "minimum": 0, "maximum": 3600},
                "pod": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "rebalance",
        "Spread load or data evenly again.",
        "at_most_once",
        {
            "title": "rebalance",
            "type": "object",
            "properties": {
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "snapshot",
        "Keep a copy of the target's present state.",
        "at_most_once",
        {
            "title": "snapshot",
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "namespace": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
                "service": {"type": "string", "minLength": 1, "maxLength": 250, "pattern": "^[A-Za-z0-9]"},
            },
            "additionalProperties": False,
        },
    ),
    (
        "custom",
        "Whatever the remediator makes of the parameters.",
        "at_most_once",
        {"title": "custom", "type": "object", "properties": {}, "additionalProperties": True},
    ),
]


def begin(apps, schema_editor):
    using = schema_editor.connection.alias
    remediator = (
        apps.get_model("actions", "Remediator")
        .objects.using(using)
        .create(name="default", kind="log", from_environment=True)
    )
    kinds = apps.get_model("actions", "ActionType").objects.using(using)
    for name, description, retry_safety, schema in STANDARD_TYPES:
        kinds.create(
            name=name, description=description, retry_safety=retry_safety, schema=schema, remediator=remediator
        )
    apps.get_model("actions", "Budget").objects.using(using).create(scope="global")
    apps.get_model("actions", "ControlSwitch").objects.using(using).create(
        pk=1, mode="active", by="installation", at=Now()
    )


class Migration(migrations.Migration):
    dependencies = [("actions", "0005_control_switch")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
