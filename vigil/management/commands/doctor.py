"""What is right and wrong with this installation."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import BaseCommand, CommandParser

from vigil.kernel import clock
from vigil.runner import diagnosis
from vigil.runner.diagnosis import Finding


class Command(BaseCommand):
    help = "Say what is right and wrong with this installation, with a hint for each. Exit code 1 when something fails."
    # It runs the checks itself, and goes on where they find something.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="for machines")

    def handle(self, *_: object, as_json: bool, **__: object) -> None:
        with _quiet():
            findings = diagnosis.examine(at=clock.now())
        if as_json:
            shown = [_shown(finding) for finding in findings]
            self.stdout.write(json.dumps({"verdict": diagnosis.worst(findings), "findings": shown}, indent=2))
        else:
            for finding in findings:
                self._print(finding)
        if diagnosis.worst(findings) == "fail":
            sys.exit(1)

    def _print(self, finding: Finding) -> None:
        styles = {"ok": self.style.SUCCESS, "warn": self.style.WARNING, "fail": self.style.ERROR}
        self.stdout.write(f"{styles[finding.verdict](f'{finding.verdict:<5}')} {finding.name}: {finding.detail}")
        if finding.verdict != "ok" and finding.hint:
            self.stdout.write(f"      {finding.hint}")


def _shown(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "verdict": finding.verdict, "detail": finding.detail, "hint": finding.hint}


@contextmanager
def _quiet() -> Iterator[None]:
    """Findings say it all: lines of the log between them would be for somebody else."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
