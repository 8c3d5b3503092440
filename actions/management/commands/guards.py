"""`manage.py guards`: what guards hold now, and the verbs of a person who has looked."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import brakes, quarantines, storms
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Show storms, targets in quarantine and open circuits; reset a storm, or lift a quarantine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", metavar="SCOPE", help="Let a held scope act again: global, or policy:NAME.")
        parser.add_argument("--lift", metavar="TARGET", help="Take a target out of quarantine.")
        parser.add_argument("--reason", default="", help="Why; kept in the audit.")

    def handle(self, *args: Any, reset: str | None, lift: str | None, reason: str, **options: Any) -> None:
        try:
            if reset is not None:
                storms.reset(scope=reset, actor="command", reason=reason)
                self.stdout.write(f"{reset} may act again.")
            if lift is not None:
                quarantines.lift(target=lift, actor="command", reason=reason)
                self.stdout.write(f"{lift} is out of quarantine.")
        except VigilError as error:
            raise CommandError(error.detail) from error
        if reset is None and lift is None:
            self._show()

    def _show(self) -> None:
        found = brakes.standing()
        for storm in found.storms:
            self.stdout.write(f"storm       {storm.scope}  since {storm.since:%Y-%m-%d %H:%M:%S}: {storm.reason}")
        for row in found.quarantined:
            until = f"{row.quarantined_until:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(f"quarantine  {row.target}  until {until}: {row.quarantine_reason}")
        for name, circuit in found.circuits.items():
            self.stdout.write(f"circuit     {name}  {circuit.position}: {circuit.reason}")
        if not found.any:
            self.stdout.write("No guard holds anything but what cooldowns, rates and shares hold for a while.")
