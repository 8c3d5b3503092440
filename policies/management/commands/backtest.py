"""manage.py backtest POLICY: what it would have done over stored history."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies import backtest
from policies.api import backtests
from policies.backtest import Report
from policies.engine import sentences
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = (
        "Replay a policy, with its guards, over the samples that are stored: incidents, actions, and what each guard "
        "would have stopped. Nothing is stored or ordered. Try an edit without saving it: "
        '`backtest high-cpu --since 7d --change \'{"condition": "cpu_percent > 80 for 2m"}\'`.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("policy", help="a policy's name")
        parser.add_argument("--since", default="24h", help="a time with a zone, or how long ago (24h unless said)")
        parser.add_argument("--until", default="", help="a time with a zone; now if left out")
        parser.add_argument("--change", default="{}", help="fields of the policy as JSON, to be tried and not saved")
        parser.add_argument("--takes", default="", help="how long an action runs that was not ordered then; 0s")
        parser.add_argument("--json", action="store_true", help="everything as JSON")

    def handle(self, **options: Any) -> None:
        try:
            found = _run(options)
        except VigilError as error:
            lines = [error.detail, *(f"  {one.path}: {one.message}" for one in error.errors)]
            raise CommandError("\n".join(dict.fromkeys(lines))) from error
        if options["json"]:
            self.stdout.write(json.dumps(backtests.report(found), indent=2))
            return
        for line in _lines(found):
            self.stdout.write(line)


def _run(options: dict[str, Any]) -> Report:
    now = clock.now()
    since, until = backtest.stretch(since=options["since"], until=options["until"], now=now)
    return backtest.run(
        name=options["policy"],
        since=since,
        until=until,
        now=now,
        change=_change(options["change"]),
        takes=backtest.length("takes", options["takes"]),
    )


def _change(written: str) -> dict[str, object]:
    try:
        change = json.loads(written)
    except json.JSONDecodeError as error:
        raise CommandError(f"--change is no JSON: {error}.") from error
    if not isinstance(change, dict):
        raise CommandError('--change is an object with fields of the policy, such as {"condition": "cpu > 80"}.')
    return change


def _lines(found: Report) -> list[str]:
    """What happened, a line each, and all of it in one sentence at the end."""
    told = [
        (one.opened_at, f"{one.target} opened: {one.reason}{_until(one.ended_at, one.resolution)}")
        for one in found.episodes
        if one.opened_at is not None
    ]
    told += [(deed.ordered_at, f"{deed.target} {deed.action}, then {deed.effect}") for deed in found.journal.deeds]
    told += [
        (stop.at, f"{stop.target} held ({stop.stopped.guard}): {stop.stopped.reason}") for stop in found.journal.stops
    ]
    told.sort(key=lambda pair: pair[0])
    head = f"{found.rule.name}: {sentences.to_sentence(found.rule.condition)}"
    return [head, *(f"{at:%Y-%m-%d %H:%M:%S}  {text}" for at, text in told), found.sentence]


def _until(ended_at: datetime | None, resolution: str) -> str:
    return f"; {resolution} at {ended_at:%H:%M:%S}" if ended_at is not None else "; not over at the end"
