"""A whole simulation in one process: the world, its agents, its remediator, and a watcher of what Vigil made of it."""

import json
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

import requests
from standardwebhooks import Webhook

from simulator import agent, scenarios
from simulator.agent import Agent, Orders
from simulator.client import Vigil
from simulator.configuration import Configuration
from simulator.counters import Count, Counters
from simulator.desk import Desk
from simulator.remediator import Server
from simulator.watcher import Healing, Watcher
from simulator.world import World
from vigil.kernel import clock

TICK_SECONDS = 0.2
LOOK_EVERY_TICKS = 5
JOIN_SECONDS = 15.0
LOOPBACK = frozenset({"localhost", "127.0.0.1"})
"""Where the simulated remediator listens; it speaks IPv4 only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where Vigil is, and where this simulation's remediator is to listen."""

    url: str
    key: str = ""
    remediator_port: int | None = None
    """None runs no remediator; 0 takes a free port."""
    remediator_secret: str = ""
    share_with: str = ""
    """The address of another simulation's remediator that Vigil calls: ours registers there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a simulation stands, or how it went."""

    configuration: dict[str, object]
    started_at: datetime
    uptime_seconds: float
    count: Count
    healing: Healing
    broken_now: dict[str, str]

    def as_json(self) -> dict[str, object]:
        """The report under the API's names."""
        count = self.count
        return {
            "rate": self.configuration["rate"],
            "mode": self.configuration["mode"],
            "scenario": self.configuration["scenario"],
            "events_generated": count.generated,
            "events_resent": count.resent,
            "events_succeeded": count.succeeded,
            "events_failed": count.failed,
            "events_rate_limited": count.rate_limited,
            "events_timeout": count.timeout,
            "events_malformed": count.malformed,
            "events_malformed_accepted": count.malformed_accepted,
            "answers": count.answers,
            "incidents_opened": self.healing.incidents_opened,
            "healed": self.healing.healed,
            "mean_time_to_heal_seconds": self.healing.mean_seconds_to_heal,
            "broken_now": self.broken_now,
            "started_at": self.started_at.isoformat(),
            "last_event_at": count.last_event_at.isoformat() if count.last_event_at else None,
            "uptime_seconds": round(self.uptime_seconds, 1),
            "configuration": self.configuration,
        }


class Simulation:
    """Start it, look at its report as often as you like, stop it."""

    def __init__(self, *, configuration: Configuration, place: Place) -> None:
        self.configuration, self.place = configuration, place
        self.started_at = clock.now()
        self.counters = Counters()
        self.world = self._make_world()
        self.watcher = Watcher(
            vigil=Vigil(url=place.url, key=place.key), targets=frozenset(self.world.names()), since=self.started_at
        )
        self.server = self._make_server()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to serve, post and watch."""
        if self.server is not None:
            self.server.start()
            self._register(self.world.names())
        self._threads = [*self._make_agents(), threading.Thread(target=self._tend, name="simulator-tend", daemon=True)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Report:
        """Stop everything, look a last time, and report."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        if self.server is not None:
            self._register(())
            self.server.stop()
        self.watcher.look()
        report = self.report()
        self.watcher.vigil.close()
        return report

    def report(self) -> Report:
        """How it stands now."""
        return Report(
            configuration=self.configuration.as_json(),
            started_at=self.started_at,
            uptime_seconds=(clock.now() - self.started_at).total_seconds(),
            count=self.counters.read(),
            healing=self.watcher.healing(),
            broken_now={target: fault.value for target, fault in self.world.faults().items()},
        )

    def _make_world(self) -> World:
        wanted = self.configuration
        return World(
            scenario=scenarios.find(wanted.scenario),
            targets=wanted.targets,
            seed=wanted.seed,
            first=wanted.first,
            at=self.started_at,
        )

    def _make_server(self) -> Server | None:
        if self.place.remediator_port is None:
            return None
        desk = Desk(
            world=self.world,
            secret=self.place.remediator_secret,
            chaos=self.configuration.chaos(),
            seed=self.configuration.seed,
        )
        return Server(desk=desk, port=self.place.remediator_port, now=clock.now)

    def _make_agents(self) -> list[Agent]:
        wanted = self.configuration
        shares = agent.share_out(targets=self.world.names(), rate=wanted.rate)
        return [
            Agent(
                orders=Orders(
                    targets=targets, rate=rate, mode=wanted.mode, chaos=wanted.chaos(), seed=wanted.seed + index
                ),
                world=self.world,
                vigil=Vigil(url=self.place.url, key=self.place.key),
                counters=self.counters,
                stop=self._stop,
                now=clock.now,
            )
            for index, (targets, rate) in enumerate(shares)
        ]

    def _tend(self) -> None:
        """Finish background runs when they are due, and look at Vigil once a second."""
        ticks = 0
        while not self._stop.wait(TICK_SECONDS):
            if self.server is not None:
                self.server.desk.settle(at=clock.now())
            ticks += 1
            if ticks % LOOK_EVERY_TICKS == 0:
                self.watcher.look()

    def _register(self, targets: tuple[str, ...]) -> None:
        """Tell the remediator that Vigil calls which targets are ours; an empty list takes us off."""
        if not self.place.share_with or self.server is None:
            return
        body = json.dumps({"url": self.server.url, "targets": list(targets)})
        headers = {"Content-Type": "application/json"} | _signature(self.place.remediator_secret, body)
        try:
            requests.post(f"{self.place.share_with.rstrip('/')}/peers", data=body, headers=headers, timeout=3)
        except requests.RequestException:
            return  # whoever listens there has gone: nothing we break will be healed, and the report will say so


def beside(
    *, configuration: Configuration, url: str, key: str, remediator_url: str, remediator_secret: str
) -> Simulation:
    """A simulation whose remediator is the one that Vigil calls, when that is an address of this machine.

    When another simulation listens there already it takes a free port and shares that one's address; when Vigil's
    remediator is elsewhere it has none, and what it breaks stays broken.
    """
    place = Place(url=url, key=key, remediator_secret=remediator_secret)
    if not is_loopback(remediator_url):
        return Simulation(configuration=configuration, place=place)
    try:
        own = replace(place, remediator_port=urlsplit(remediator_url).port or 80)
        return Simulation(configuration=configuration, place=own)
    except OSError:
        shared = replace(place, remediator_port=0, share_with=remediator_url)
        return Simulation(configuration=configuration, place=shared)


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine, where a simulated remediator can answer."""
    address = urlsplit(url)
    return address.scheme == "http" and address.hostname in LOOPBACK


def _signature(secret: str, body: str) -> dict[str, str]:
    first = secret.partition(" ")[0]
    if not first:
        return {}
    webhook = Webhook(first if first.startswith("whsec_") else first.encode())
    message_id, at = uuid.uuid4().hex, clock.now()
    mark = webhook.sign(msg_id=message_id, timestamp=at, data=body)
    return {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": mark}
