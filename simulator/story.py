"""Tells in the terminal what happens: what broke, what Vigil decided, what the remediator did, and that it healed.

Three witnesses: the fleet itself (what truly happened), Vigil's incidents and Vigil's actions. Each is asked over HTTP.
"""

import argparse
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import requests
from rich.console import Console
from rich.text import Text

from simulator import watcher
from simulator.client import Vigil
from simulator.watcher import Incident
from vigil.kernel import clock

ASKED = "awaiting_approval"
type Row = Mapping[str, object]
"""An action as the API lists it."""

ASK_EVERY_SECONDS = 0.5
LATEST = 50
ORDERED_WITHIN = timedelta(seconds=2)
"""An incident that has no action by then is asked what holds it."""
ASK_HELD_AGAIN_AFTER = timedelta(seconds=5)
HOLD_BACK = timedelta(seconds=1.5)
"""The witnesses are asked in turn; waiting this long lets their lines be told in the order of their times."""
STYLES: Mapping[str, str] = {
    "broke": "bold red",
    "decided": "bold yellow",
    "asked": "bold yellow",
    "acted": "bold cyan",
    "refused": "bold red",
    "healed": "bold green",
    "proven": "green",
    "no help": "bold magenta",
    "relapsed": "bold magenta",
    "held": "bold yellow",
    "closed": "dim",
    "gave up": "bold red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the story."""

    at: datetime
    word: str
    target: str
    text: str


class Fleet:
    """The fleet's own truth, asked of the simulated remediator."""

    def __init__(self, *, url: str) -> None:
        self._url = f"{url.rstrip('/')}/happenings"
        self._after = 0

    def news(self) -> list[Line]:
        """What happened since the last time."""
        try:
            rows = requests.get(self._url, params={"after": self._after}, timeout=3).json()["happenings"]
        except (requests.RequestException, ValueError, KeyError):
            return []
        self._after = max([self._after, *(row["number"] for row in rows)])
        words = {"broke": "broke", "remedied": "acted", "refused": "refused"}
        return [
            Line(at=datetime.fromisoformat(row["at"]), word=words[row["kind"]], target=row["target"], text=row["text"])
            for row in rows
        ]


class Decisions:
    """What Vigil decided and concluded, asked of its API."""

    def __init__(self, *, vigil: Vigil, since: datetime) -> None:
        self._vigil, self._since = vigil, since
        self._told: set[tuple[str, int]] = set()
        self._ask_after: dict[int, datetime] = {}

    def news(self, *, at: datetime) -> list[Line]:
        """What is new at `at`; each thing is told once."""
        rows = map(watcher.read_incident, self._vigil.incidents(limit=LATEST))
        incidents = [incident for incident in rows if incident is not None and incident.opened_at >= self._since]
        # Asked for second: what is told of an incident's end must not be judged by what its actions were before it.
        actions = {one: row for row in self._vigil.actions(limit=LATEST) if isinstance(one := row.get("id"), int)}
        return [line for incident in incidents for line in self._of(incident, actions, at)]

    def _of(self, incident: Incident, actions: Mapping[int, Row], at: datetime) -> Iterable[Line]:
        rows = [actions[one] for one in incident.actions if one in actions]
        yield from self._decided(incident, rows, at)
        if not incident.actions and incident.resolved_at is None and at - incident.opened_at >= ORDERED_WITHIN:
            yield from self._held(incident, at)
        for row in rows:
            yield from self._verified(incident, row, at)
        yield from self._ended(incident, rows, actions.values())

    def _decided(self, incident: Incident, rows: list[Row], at: datetime) -> Iterable[Line]:
        for row in rows:
            waits = row.get("state") == ASKED
            if self._first("asked" if waits else "action", row):
                why = row.get("reason") or incident.status_reason or incident.policy
                what = f"{row.get('action')} is proposed and waits for somebody's word" if waits else row.get("action")
                yield Line(
                    at=watcher.moment(row.get("created_at")) or at,
                    word="asked" if waits else "decided",
                    target=incident.target,
                    text=f"{incident.policy}: {why}, so {what} (incident {incident.id}, action {row.get('id')})",
                )

    def _held(self, incident: Incident, at: datetime) -> Iterable[Line]:
        """What was decided instead of an action; told again only when something else holds it."""
        if at < self._ask_after.get(incident.id, at):
            return
        self._ask_after[incident.id] = at + ASK_HELD_AGAIN_AFTER
        newest = self._vigil.newest_decision(incident.id)
        reason = str(newest.get("reason") or "")
        if not reason or not self._first(f"held by {newest.get('guard')}", {"id": incident.id}):
            return
        text = f"{incident.policy}: {incident.status_reason}; no action: {reason} (incident {incident.id})"
        yield Line(at=watcher.moment(newest.get("at")) or at, word="held", target=incident.target, text=text)

    def _verified(self, incident: Incident, row: Row, at: datetime) -> Iterable[Line]:
        action, number = row.get("action"), row.get("id")
        if row.get("verification") == "effective" and self._first("effective", row):
            text = f"{action} helped, by readings newer than it (action {number})"
            yield Line(at=at, word="proven", target=incident.target, text=text)
        if row.get("verification") == "ineffective" and self._first("ineffective", row):
            text = f"{action} was carried out and did not help (action {number})"
            yield Line(at=at, word="no help", target=incident.target, text=text)
        if row.get("verification") == "relapsed" and self._first("relapsed", row):
            text = f"{action} had helped, and it is bad again (action {number})"
            yield Line(at=at, word="relapsed", target=incident.target, text=text)
        if row.get("status") == "failed" and self._first("failed", row):
            text = f"{action} failed: {row.get('details')} (action {number})"
            yield Line(
                at=watcher.moment(row.get("finished_at")) or at, word="gave up", target=incident.target, text=text
            )

    def _ended(self, incident: Incident, rows: list[Row], others: Iterable[Row]) -> Iterable[Line]:
        if incident.resolved_at is None or not self._first("ended", {"id": incident.id}):
            return
        if incident.seconds_to_heal is None or incident.status != "resolved":
            text = f"{incident.policy}: {incident.status_reason or incident.status} (incident {incident.id})"
            yield Line(at=incident.resolved_at, word="closed", target=incident.target, text=text)
            return
        text = f"in {incident.seconds_to_heal:.1f} s {_by_what(incident, rows, others)} (incident {incident.id})"
        yield Line(at=incident.resolved_at, word="healed", target=incident.target, text=text)

    def _first(self, what: str, row: Row) -> bool:
        number = row.get("id")
        mark = (what, number if isinstance(number, int) else 0)
        if mark in self._told:
            return False
        self._told.add(mark)
        return True


def _by_what(incident: Incident, rows: Sequence[Row], others: Iterable[Row]) -> str:
    """Whose doing it was, as far as it is known: only an action that was found effective is credited outright."""
    proven = [row for row in rows if row.get("verification") in ("effective", "relapsed")]
    if proven:
        return f"by {proven[-1].get('action')}"
    unjudged = [row for row in rows if row.get("status") == "completed" and not row.get("verification")]
    if unjudged:
        return f"after {unjudged[-1].get('action')}"
    at_work = [row for row in rows if row.get("status") in ("pending", "running") and row.get("state") != ASKED]
    if at_work:
        return f"while {at_work[-1].get('action')} was under way"
    foreign = [row for row in others if row.get("id") not in incident.actions and _carried_out_during(incident, row)]
    if foreign:
        return f"after {foreign[0].get('action')} for {foreign[0].get('policy_name')} (action {foreign[0].get('id')})"
    if rows:
        return f"by itself: {rows[-1].get('action')} is not what helped"
    return "by itself"


def _carried_out_during(incident: Incident, row: Row) -> bool:
    ended, until = watcher.moment(row.get("finished_at")), incident.resolved_at
    return (
        row.get("target") == incident.target
        and row.get("status") == "completed"
        and ended is not None
        and until is not None
        and incident.opened_at <= ended <= until
    )


class Storyteller:
    """Collects the lines and prints them in the order in which things happened."""

    def __init__(self, *, fleet: Fleet, decisions: Decisions, console: Console) -> None:
        self._fleet, self._decisions, self._console = fleet, decisions, console
        self._waiting: list[Line] = []

    def tell(self, *, at: datetime) -> None:
        """Ask the witnesses, and print what is old enough to be in order."""
        self._waiting += [*self._fleet.news(), *self._decisions.news(at=at)]
        self._print(until=at - HOLD_BACK)

    def finish(self) -> None:
        """Print what was still held back."""
        self._print(until=None)

    def _print(self, *, until: datetime | None) -> None:
        ready = [line for line in self._waiting if until is None or line.at <= until]
        self._waiting = [line for line in self._waiting if until is not None and line.at > until]
        for line in sorted(ready, key=lambda line: line.at):
            self._console.print(rendered(line), soft_wrap=True)


def rendered(line: Line) -> Text:
    """The line with its colours, which a plain terminal leaves out."""
    text = Text()
    text.append(f"{line.at.astimezone():%H:%M:%S}  ", style="dim")
    text.append(f"{line.word:<8} ", style=STYLES[line.word])
    text.append(f"{line.target:<10} ", style="bold")
    text.append(line.text)
    return text


def main(argv: list[str] | None = None) -> int:
    """`python -m simulator.story`: tell the story until stopped."""
    parser = argparse.ArgumentParser(prog="python -m simulator.story", description=__doc__)
    parser.add_argument("--url", required=True, help="where Vigil listens, such as http://127.0.0.1:8000")
    parser.add_argument("--key", default="", help="an API key with the scope read")
    parser.add_argument("--fleet", required=True, help="where the simulated remediator listens")
    options = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    decisions = Decisions(vigil=Vigil(url=options.url, key=options.key), since=clock.now())
    teller = Storyteller(fleet=Fleet(url=options.fleet), decisions=decisions, console=Console(highlight=False))
    while not stop.wait(ASK_EVERY_SECONDS):
        teller.tell(at=clock.now())
    teller.finish()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
