"""Everything on one machine: web, workers, beat, dispatcher and broker, in the foreground."""

import os
import signal
import sys

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from vigil.runner import demo, preflight, up
from vigil.runner.errors import UnableToStart


class Command(BaseCommand):
    help = "Start Vigil on this machine and keep it running until Ctrl-C."
    # It runs them itself, and says what is wrong in one sentence.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="the port to listen on (default: 8000; 0: any)")
        parser.add_argument("--demo", action="store_true", help="with a simulated fleet that breaks and heals")

    def handle(self, *_: object, host: str, port: int, demo: bool, **__: object) -> None:
        options = up.Options(host=host, port=port, demo=demo or settings.VIGIL_DEMO)
        try:
            if options.demo:
                _become_demo(host)
            up.run(options, say=self._say)
        except UnableToStart as error:
            sys.exit(f"vigil: {error}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _become_demo(host: str) -> None:
    """Start over with the demo's environment: the settings are read once, when a process starts."""
    preflight.demo_stays_here(host)
    if os.environ.get("VIGIL_DEMO_PREPARED") == str(os.getpid()):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # manage.py lets it through again
    changes = demo.environment() | {"VIGIL_DEMO_PREPARED": str(os.getpid())}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **changes})  # noqa: S606  ourselves again
