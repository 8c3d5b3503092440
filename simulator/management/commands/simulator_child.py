"""The process of a simulation that was started through the API; not meant to be called by hand."""

import json
import signal
import sys
import threading

from django.core.management.base import BaseCommand, CommandParser

from simulator.child import Life
from simulator.launch import Instructions


class Command(BaseCommand):
    help = "Runs the simulation that the API started; it reads its instructions from standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", type=int)

    def handle(self, *args: object, **options: object) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        instructions = Instructions(**json.load(sys.stdin))
        Life(run_id=int(str(options["run_id"])), instructions=instructions, stop=stop).live()
