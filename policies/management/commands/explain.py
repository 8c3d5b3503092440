"""manage.py explain: what happened, when, and why it did or did not lead to an action; in plain text or as JSON."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from policies import explaining, story
from policies.api import explanations
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = (
        "Explain an incident (`explain 7`: every change, decision and action, each with its reason), an action "
        "(`explain --action 456`), or a policy on a target (`explain --policy high-cpu --target web-01 --at TIME`)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("incident", type=int, nargs="?", help="the incident's number")
        parser.add_argument("--action", type=int, help="the action's number")
        parser.add_argument("--policy", help="a policy's name, with --target")
        parser.add_argument("--target", help="a target the policy covers")
        parser.add_argument("--at", help="an earlier time, such as 2026-01-19T12:00:00Z; now if left out")
        parser.add_argument("--json", action="store_true", help="everything as JSON, with sample ids and every gate")

    def handle(self, **options: Any) -> None:
        try:
            text, document = _explained(options)
        except VigilError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(json.dumps(document, indent=2) if options["json"] else text)


def _explained(options: dict[str, Any]) -> tuple[str, object]:
    now = clock.now()
    match options:
        case {"incident": int(number), "action": None, "policy": None}:
            why = explaining.of_incident(number, now=now)
            return _story(number, now, why.text), explanations.explanation(why)
        case {"incident": None, "action": int(number), "policy": None}:
            found = explaining.of_action(number, now=now)
            return found.text, explanations.action(found)
        case {"incident": None, "action": None, "policy": str(policy), "target": str(target)}:
            at = _moment(options["at"])
            pair = explaining.of_pair(policy_name=policy, target=target, now=now, at=at)
            return pair.text, explanations.explanation(pair)
        case _:
            raise CommandError(
                "Say one of: an incident's number, --action NUMBER, or --policy NAME with --target NAME."
            )


def _story(number: int, now: datetime, why: str) -> str:
    return "\n".join([*story.lines(story.of(number, at=now)), "", why])


def _moment(said: str | None) -> datetime | None:
    if said is None:
        return None
    try:
        parsed = parse_datetime(said)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise CommandError(f"--at {said!r} is no time with a zone, such as 2026-01-19T12:00:00Z.")
    return parsed
