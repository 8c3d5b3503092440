"""`manage.py seed`: what an installation needs in its tables besides the schema. Safe to run again."""

from typing import Any

from django.core.management.base import BaseCommand

from actions import defaults
from vigil import schedule


class Command(BaseCommand):
    """Upserts the schedule and the default remediator."""

    help = "Put the periodic jobs and the default remediator (REMEDIATOR_URL) into the database. Safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        schedule.ensure()
        defaults.ensure()
        self.stdout.write("The schedule and the default remediator are in place.")
