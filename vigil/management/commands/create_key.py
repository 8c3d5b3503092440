"""A new API key from the command line."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vigil.access import keys, scopes
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Make an API key and print it, alone, on standard output. It is shown this once and stored nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="who will use it, such as agent-1")
        parser.add_argument("--scopes", required=True, help=f"comma-separated: {', '.join(sorted(scopes.ALL))}")
        parser.add_argument("--expires-days", type=int, help="how long it is valid (at most 365 days; default: no end)")
        parser.add_argument("--targets", default="", help="comma-separated patterns, such as web-*; default: all")

    def handle(self, *_: object, name: str, scopes: str, expires_days: int | None, targets: str, **__: object) -> None:
        at = clock.now()
        try:
            _key, plain = keys.create(
                name=name,
                scopes=_parts(scopes),
                actor="command line",
                expires_at=None if expires_days is None else at + timedelta(days=expires_days),
                targets=_parts(targets),
                at=at,
            )
        except VigilError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(plain)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
