"""The process that goes on where messages, workers or beat fail."""

import signal
import threading
from types import FrameType

import structlog
from django.core.management.base import BaseCommand

from vigil.kernel import signs
from vigil.runner import rounds
from vigil.telemetry import exposition

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Reap, verify, hint, and run what nobody else runs; every 2 seconds, until SIGTERM. Any number may run."

    def handle(self, *_: object, **__: object) -> None:
        stop = threading.Event()

        def note(number: int, frame: FrameType | None) -> None:
            stop.set()

        for wanted in (signal.SIGINT, signal.SIGTERM):
            signal.signal(wanted, note)
        exposition.serve_if_asked()
        signs.keep_giving(stop=stop, every_seconds=rounds.EVERY_SECONDS)
        log.info("dispatcher.process.started")
        rounds.run(stop)
        log.info("dispatcher.process.stopped")
