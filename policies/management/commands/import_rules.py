"""manage.py import_rules FILE...: alerting rules of Prometheus as policies that only observe."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies import rulefiles, transfer
from policies.rulefiles import Harvest
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = (
        "Translate alerting rules of Prometheus or Mimir into policies that only observe, and say what became of each."
        " Without --write or --output nothing is kept."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="rule files, or PrometheusRule resources")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--write", action="store_true", help="create or update the policies here: all, or none")
        where.add_argument("--output", "-o", default="", help="write the policies to this file, for import_policies")
        parser.add_argument(
            "--report", choices=("text", "json"), default="text", help="how to tell what became of them"
        )
        parser.add_argument("--action", default=rulefiles.USUAL_ACTION, help="the action of rules that name none")
        parser.add_argument(
            "--join-per-target",
            action="store_true",
            help="take it that both sides of an `and` have one series for each target",
        )

    def handle(
        self, *, files: list[str], write: bool, output: str, report: str, action: str, join_per_target: bool, **_: Any
    ) -> None:
        try:
            contents = {file: _content(file) for file in files}
            harvest = rulefiles.bring(contents, action=action, join_per_target=join_per_target)
            if write and harvest.policies:
                content = rulefiles.as_yaml(harvest).encode()
                transfer.load(content=content, actor="command:import_rules", at=clock.now(), note="from rule files")
        except VigilError as error:
            lines = [error.detail, *(f"  {one.path}: {one.message}" for one in error.errors)]
            raise CommandError("\n".join(lines)) from error
        if output:
            _keep(output, harvest)
        self._tell(harvest, report)

    def _tell(self, harvest: Harvest, report: str) -> None:
        if report == "json":
            self.stdout.write(json.dumps(harvest.as_json(), indent=2))
            return
        for line in harvest.lines():
            self.stdout.write(line)


def _content(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(rulefiles.FILE_MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _keep(output: str, harvest: Harvest) -> None:
    try:
        Path(output).write_text(rulefiles.as_yaml(harvest), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}.") from error
