"""`python -m simulator.serve`: a simulation in a process of its own, until SIGTERM or Ctrl-C."""

import argparse
import json
import os
import signal
import sys
import threading
import time

from simulator import demo, options, scenarios
from simulator.client import Vigil
from simulator.runner import Place, Simulation

READY_POLL_SECONDS = 0.3


def main(argv: list[str] | None = None) -> int:
    """Wait for Vigil, install the demo's policies when asked to, run, and print the report as JSON at the end."""
    given = parser().parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    vigil = Vigil(url=given.url, key=given.key)
    if not _wait_until_ready(vigil, seconds=given.wait, stop=stop):
        return 0 if stop.is_set() else _say(f"Vigil at {given.url} was not ready within {given.wait:.0f} s.")
    if given.policies and not _install(vigil):
        return 1
    return _run(given, stop)


def parser() -> argparse.ArgumentParser:
    """The command line; secrets are better given by the environment, where other users cannot read them."""
    made = argparse.ArgumentParser(prog="python -m simulator.serve", description=__doc__)
    made.add_argument("--url", required=True, help="where Vigil listens, such as http://127.0.0.1:8000")
    made.add_argument("--key", default=os.environ.get("VIGIL_SIMULATOR_KEY", ""), help="or VIGIL_SIMULATOR_KEY")
    made.add_argument("--port", type=int, default=0, help="where the simulated remediator listens (0: a free port)")
    made.add_argument("--secret", default=os.environ.get("REMEDIATOR_SECRET", ""), help="or REMEDIATOR_SECRET")
    made.add_argument("--wait", type=float, default=60.0, help="seconds to wait for Vigil to be ready")
    made.add_argument("--policies", action="store_true", help="post the demo's policies first")
    made.add_argument("--scenario", default="mixed", choices=list(scenarios.SCENARIOS))
    options.add(made)
    return made


def _run(given: argparse.Namespace, stop: threading.Event) -> int:
    place = Place(url=given.url, key=given.key, remediator_port=given.port, remediator_secret=given.secret)
    try:
        simulation = Simulation(configuration=options.configuration(given), place=place)
    except OSError as error:
        return _say(f"The simulated remediator cannot listen on port {given.port}: {error}.")
    simulation.start()
    stop.wait()
    sys.stdout.write(json.dumps(simulation.stop().as_json()) + "\n")
    return 0


def _wait_until_ready(vigil: Vigil, *, seconds: float, stop: threading.Event) -> bool:
    deadline = time.monotonic() + seconds
    while not vigil.ready():
        if time.monotonic() > deadline or stop.wait(READY_POLL_SECONDS):
            return False
    return True


def _install(vigil: Vigil) -> bool:
    """A demo with five of its six policies is better than none; what was refused is said."""
    installed = demo.install(vigil=vigil)
    for name, why in installed.refused.items():
        _say(f"Vigil refused the demo's policy {name}: {why}")
    return len(installed.refused) < len(demo.POLICIES)


def _say(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
