"""manage.py export_policies: policies as a YAML file that import_policies takes back."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies import transfer
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Write policies as YAML, to standard output or to a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="policies to export; all without any")
        parser.add_argument("--output", "-o", default="", help="a file to write to")

    def handle(self, *, names: list[str], output: str, **_: Any) -> None:
        try:
            text = transfer.dump(names=names)
        except VigilError as error:
            raise CommandError(error.detail) from error
        if not output:
            self.stdout.write(text, ending="")
            return
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Wrote {output}.")
