"""manage.py rollup: the rollups of a stretch of time made anew."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics import rollups
from vigil.kernel import clock


class Command(BaseCommand):
    help = (
        "Make the rollups of samples anew from a time on, as far as samples are kept. Vigil keeps them by itself, also "
        "of samples from before there were rollups; this is for those who changed rows by hand, or will not wait."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", required=True, help="a time with a zone, such as 2026-01-19T12:00:00Z")

    def handle(self, *args: Any, since: str, **options: Any) -> None:
        at = clock.now()
        rollups.advance(at=at)
        minutes = rollups.rebuild(since=_moment(since), at=at)
        self.stdout.write(f"Made the rollups of {minutes} minutes.")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--since {text} is no time: write one such as 2026-01-19T12:00:00Z.") from None
    if moment.tzinfo is None:
        raise CommandError(f"--since {text} has no zone: end it with Z or an offset such as +01:00.")
    return moment
