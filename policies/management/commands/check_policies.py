"""manage.py check_policies FILE...: do the policies do what their tests say?"""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies import rehearse
from policies.rehearse import Report
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Run policy tests: series and events in, incidents and actions expected at times. Fails when any test does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="a YAML file of policies and tests")
        parser.add_argument("--json", action="store_true", dest="as_json", help="write the report as JSON")

    def handle(self, *, files: list[str], as_json: bool, **_: Any) -> None:
        reports = {file: _report(file) for file in files}
        if as_json:
            document = {file: report.as_json() for file, report in reports.items()}
            self.stdout.write(json.dumps({"ok": all(one.ok for one in reports.values()), "files": document}, indent=2))
        else:
            for file, report in reports.items():
                if len(reports) > 1:
                    self.stdout.write(f"{file}:")
                for line in report.lines():
                    self.stdout.write(line)
        if not all(report.ok for report in reports.values()):
            raise SystemExit(1)


def _report(file: str) -> Report:
    try:
        return rehearse.check_file(Path(file))
    except VigilError as error:
        lines = [f"{file}: {error.detail}", *(f"  {one.path}: {one.message}" for one in error.errors)]
        raise CommandError("\n".join(lines)) from error
