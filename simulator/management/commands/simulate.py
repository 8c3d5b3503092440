"""`manage.py simulate SCENARIO`: rehearse against a running Vigil, and report."""

import argparse
import json
import os
import threading

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from simulator import demo, options, runner, scenarios
from simulator.client import Vigil
from simulator.runner import Report
from simulator.runs import SimulatorDisabled, check_enabled

NAMES = {
    "events_generated": "readings generated",
    "events_resent": "sent again",
    "events_succeeded": "stored",
    "events_failed": "failed",
    "events_rate_limited": "rate limited",
    "events_timeout": "timed out",
    "events_malformed": "malformed, refused",
    "events_malformed_accepted": "malformed, accepted",
    "incidents_opened": "incidents opened",
    "healed": "healed",
    "mean_time_to_heal_seconds": "mean seconds to heal",
    "uptime_seconds": "seconds",
}


class Command(BaseCommand):
    help = "Simulates a fleet in which things break, posts its readings to Vigil, and reports what healed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scenario", help=f"one of {', '.join(scenarios.SCENARIOS)}")
        parser.add_argument("--url", default="http://127.0.0.1:8000", help="where Vigil listens")
        parser.add_argument("--key", default=os.environ.get("VIGIL_KEY", ""), help="an API key, or VIGIL_KEY")
        parser.add_argument("--seconds", type=float, default=60.0, help="how long; Ctrl-C ends it sooner")
        parser.add_argument("--policies", action="store_true", help="post the demo's policies first")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")
        options.add(parser)

    def handle(self, *args: object, **given: object) -> None:
        wanted = argparse.Namespace(**given)
        try:
            check_enabled()
            scenarios.find(wanted.scenario)
        except (SimulatorDisabled, scenarios.UnknownScenario) as error:
            raise CommandError(str(error)) from error
        vigil = Vigil(url=wanted.url, key=wanted.key)
        if not vigil.answers():
            raise CommandError(f"Nothing answers at {wanted.url}; start Vigil with `manage.py up`, or say --url.")
        if wanted.policies:
            self._install(vigil)
        report = _run(wanted)
        if wanted.json:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            _print(report)

    def _install(self, vigil: Vigil) -> None:
        for name, why in demo.install(vigil=vigil).refused.items():
            self.stderr.write(f"Vigil refused the policy {name}: {why}")


def _run(wanted: argparse.Namespace) -> Report:
    simulation = runner.beside(
        configuration=options.configuration(wanted),
        url=wanted.url,
        key=wanted.key,
        remediator_url=settings.REMEDIATOR_URL,
        remediator_secret=settings.REMEDIATOR_SECRET,
    )
    simulation.start()
    try:
        threading.Event().wait(wanted.seconds)
    except KeyboardInterrupt:
        return simulation.stop()
    return simulation.stop()


def _print(report: Report) -> None:
    values = report.as_json()
    table = Table("what", "how many", title=f"{values['scenario']}, {values['mode']}")
    table.columns[1].justify = "right"
    for name, label in NAMES.items():
        value = values[name]
        table.add_row(label, "-" if value is None else f"{value:,}")
    answers = ", ".join(f"{status} x {number}" for status, number in sorted(report.count.answers.items()))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Answers: {answers or 'none'}")
    broken = ", ".join(f"{target} ({fault})" for target, fault in report.broken_now.items())
    console.print(f"Still broken: {broken or 'nothing'}")
