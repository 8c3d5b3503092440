"""manage.py explain INCIDENT: what happened, when, and why, in plain text."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policies import story
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class Command(BaseCommand):
    help = "Tell the story of an incident: every change, decision and action, each with its reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("incident", type=int, help="the incident's number")

    def handle(self, *, incident: int, **_: Any) -> None:
        try:
            told = story.lines(story.of(incident, at=clock.now()))
        except VigilError as error:
            raise CommandError(error.detail) from error
        for line in told:
            self.stdout.write(line)
