"""A Celery worker lets go of a database connection that has broken.

Celery keeps a connection for `CELERY_DB_REUSE_MAX` tasks, and Django looks at one only when a request begins. Without
this a worker whose database was restarted would fail a thousand tasks before it asked for another connection.
"""

from typing import Any

from celery.signals import task_prerun
from django.db import connections


def connect() -> None:
    """Look before each task."""
    task_prerun.connect(let_go_of_broken, weak=False)


def let_go_of_broken(**_: Any) -> None:
    """Close what failed since it was last committed on and does not answer; whole ones cost nothing here."""
    for line in connections.all(initialized_only=True):
        if line.errors_occurred and not line.in_atomic_block:
            line.close_if_unusable_or_obsolete()
