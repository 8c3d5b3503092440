"""The life of a simulation that was started through the API, in its own process (`manage.py simulator_child`)."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from django.db import DatabaseError, close_old_connections

from simulator import runner, runs
from simulator.client import Vigil
from simulator.configuration import Configuration
from simulator.launch import Instructions
from simulator.models import SimulatorRun
from simulator.pace import Mode
from simulator.runner import Simulation
from vigil.kernel import clock

log = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
LAST_WORD_TRIES = 20


@dataclass(slots=True, kw_only=True)
class Life:
    """Runs one simulation, writes its signs of life into its row, and ends when the row, or fate, says so."""

    run_id: int
    instructions: Instructions
    stop: threading.Event = field(default_factory=threading.Event)

    def live(self) -> None:
        """Run until told to stop; the last report stays in the row."""
        run = SimulatorRun.objects.get(pk=self.run_id)
        simulation = self._simulation(run)
        simulation.start()
        reason = self._go_on(simulation)
        self._last_word(simulation.stop().as_json(), reason)

    def _go_on(self, simulation: Simulation) -> str:
        reason = ""
        while not reason:
            reason = self._beat(simulation) or self._orphaned()
            if not reason and self.stop.wait(BEAT_SECONDS):
                reason = "Its process was told to end."
        return reason

    def _simulation(self, run: SimulatorRun) -> Simulation:
        told = self.instructions
        return runner.beside(
            configuration=read_configuration(run.configuration),
            url=told.url,
            key=told.key,
            remediator_url=told.remediator_url,
            remediator_secret=told.remediator_secret,
        )

    def _beat(self, simulation: Simulation) -> str:
        try:
            return runs.beat(run_id=self.run_id, pid=os.getpid(), report=simulation.report().as_json(), at=clock.now())
        except DatabaseError as error:
            # A busy database is no reason to end; if it stays away the row says so by its silence.
            log.warning("simulator.beat.failed", run_id=self.run_id, error=str(error))
            close_old_connections()
            return ""

    def _orphaned(self) -> str:
        """Without its parent it goes on only while a web server still answers: another process of it may be left."""
        if os.getppid() == self.instructions.parent_pid:
            return ""
        vigil = Vigil(url=self.instructions.url, key=self.instructions.key)
        answers = vigil.answers()
        vigil.close()
        return "" if answers else "Vigil has gone."

    def _last_word(self, report: Mapping[str, object], reason: str) -> None:
        tries = 1 if reason == "Vigil has gone." else LAST_WORD_TRIES
        for _ in range(tries):
            try:
                runs.finish(run_id=self.run_id, report=report, reason=reason, at=clock.now())
            except DatabaseError as error:
                log.warning("simulator.finish.failed", run_id=self.run_id, error=str(error))
                close_old_connections()
                self.stop.wait(BEAT_SECONDS)
            else:
                return


def read_configuration(kept: Mapping[str, object]) -> Configuration:
    """A run's configuration as its row keeps it."""
    return Configuration(**{**kept, "mode": Mode(str(kept["mode"]))})  # type: ignore[arg-type]
