"""`manage.py resume`: let Vigil act again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import control
from vigil.kernel import clock


class Command(BaseCommand):
    help = "Let Vigil act again. What waits and is still in time and wanted goes on; what expired stays expired."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", default="", help="Why; kept in the audit.")

    def handle(self, *args: Any, reason: str, **options: Any) -> None:
        now = control.set_mode(mode="active", reason=reason, actor="command", at=clock.now())
        if now.mode != "active":
            raise CommandError(f"The switch is set, but Vigil stays {now.mode}: {now.reason} ({now.by}).")
        self.stdout.write("Vigil is active.")
