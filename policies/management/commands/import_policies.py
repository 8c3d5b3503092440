"""manage.py import_policies FILE.yaml: policies from a file, all or nothing."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies import conflicts, transfer
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Create or update policies from a YAML file: all of them, or none when anything is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the YAML file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
        parser.add_argument("--note", default="", help="why; kept with each new version")
        parser.add_argument("--actor", default="command:import_policies", help="who; kept with each new version")

    def handle(self, *, file: str, dry_run: bool, note: str, actor: str, **_: Any) -> None:
        content = _content(file)
        try:
            done = (
                transfer.plan(content=content)
                if dry_run
                else transfer.load(content=content, actor=actor, at=clock.now(), note=note)
            )
        except VigilError as error:
            lines = [error.detail, *(f"  {one.path}: {one.message}" for one in error.errors)]
            raise CommandError("\n".join(lines)) from error
        for one in done:
            self.stdout.write(f"{one.change:9}  {one.name}")
        for one in done:
            for warning in one.clashes if dry_run else conflicts.of(one.name):
                self.stdout.write(f"warning    {one.name}: {warning.message}")
        self.stdout.write(f"{len(done)} policies{' (dry run: nothing was written)' if dry_run else ''}.")


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(transfer.FILE_MAX_BYTES + 1)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(transfer.FILE_MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
