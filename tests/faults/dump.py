"""Prints what Vigil stored of every action as JSON: `python -m tests.faults.dump`, with the settings of that Vigil."""

import json
import sys
from collections import defaultdict
from typing import Any

import django


def _dump() -> list[dict[str, Any]]:
    from django.db import connection, transaction  # Django is ready only now

    with transaction.atomic():  # one snapshot: what still moves must not look as if its story had a gap
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return _actions(_stories())


def _stories() -> dict[str, list[dict[str, Any]]]:
    from vigil.audit.models import Entry

    steps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in Entry.objects.filter(subject__startswith="action:").order_by("subject", "seq").iterator():
        steps[entry.subject].append(
            {
                "seq": entry.seq,
                "origin": entry.from_state,
                "goal": entry.to_state,
                "at": entry.at.timestamp(),
                "numbers": entry.numbers,
            }
        )
    return steps


def _actions(steps: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    from django.db.models import Count

    from actions.models import Action

    rows = Action.objects.select_related("action_type").annotate(attempts=Count("tries")).order_by("id")
    return [
        {
            "action_id": row.pk,
            "key": str(row.uid),
            "kind": row.action_type_id,
            "target": row.target,
            "state": row.state,
            "state_seq": row.state_seq,
            "at_most_once": row.action_type.retry_safety == "at_most_once",
            "deadline": row.deadline.timestamp(),
            "attempts": row.attempts,
            "steps": steps.get(row.subject, []),
        }
        for row in rows
    ]


if __name__ == "__main__":
    django.setup()
    json.dump(_dump(), sys.stdout)
