"""`manage.py pause`: no new effects from now on. Needs the database and nothing else."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from actions import control
from vigil.kernel import clock


class Command(BaseCommand):
    help = "Stop Vigil from acting: no effect starts later than 5 s from now. It goes on judging and recording."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", default="", help="Why; shown to everyone who looks.")
        parser.add_argument(
            "--observe", action="store_true", help="Do not pause but observe: record what would be done."
        )

    def handle(self, *args: Any, reason: str, observe: bool, **options: Any) -> None:
        mode = "observe" if observe else "paused"
        now = control.set_mode(mode=mode, reason=reason, actor="command", at=clock.now())
        self.stdout.write(f"Vigil is {now.mode}. Let it act again with: manage.py resume")
