"""Does a remediator keep the contract? Tells of each of twenty rules what was seen, and what to do about it."""

import json
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from actions.remediators import conformance
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Check a remediator against the contract. It carries an action out on a target made up for the purpose."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        conformance.add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="the results as JSON")

    def handle(self, *_: object, **options: object) -> None:
        try:
            subject = conformance.of_options(options)
        except VigilError as error:
            raise CommandError(error.detail, returncode=2) from error
        results = conformance.check(subject, at=clock.now())
        spoilt = [one.name for one in results if one.spoils]
        if options["json"]:
            self.stdout.write(json.dumps(_shown(subject, results), indent=2))
        else:
            for one in results:
                self.stdout.write(conformance.line(one))
            contract = "strict" if subject.strict else "basic"
            kept = sum(one.passed for one in results)
            self.stdout.write(f"{kept} of {len(results)} kept; the {contract} contract is {_verdict(spoilt)}.")
        if spoilt:
            raise SystemExit(1)


def _verdict(spoilt: list[str]) -> str:
    return f"BROKEN: {', '.join(spoilt)}" if spoilt else "kept"


def _shown(subject: conformance.Subject, results: list[conformance.Check]) -> dict[str, object]:
    return {
        "url": subject.url,
        "contract": "strict" if subject.strict else "basic",
        "ok": not any(one.spoils for one in results),
        "kept": sum(one.passed for one in results),
        "checks": [
            {"name": one.name, "kept": one.passed, "must": one.must, "seen": one.sentence, "rule": one.rule}
            for one in results
        ],
    }
