"""Sweeps in a process of their own, on DATABASE_URL: `python -m benchmarks.sweeping SHAPE HOSTS COUNT...`.

Prints one JSON line for each count of policies.
"""

import json
import sys
import time
from datetime import datetime, timedelta

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from benchmarks import rules  # noqa: E402
from metrics import ingest  # noqa: E402
from metrics.formats.reading import Reading  # noqa: E402
from policies import authoring, sweep  # noqa: E402
from policies.models import Incident  # noqa: E402
from vigil.kernel import clock  # noqa: E402

TURNS = 5
BATCH = 5_000


def main() -> None:
    """Fill the database, then sweep with more and more policies."""
    shape, (hosts, *counts) = sys.argv[1], map(int, sys.argv[2:])
    call_command("migrate", verbosity=0)
    at = clock.now()
    _fill(hosts, at)
    written = 0
    for count in counts:
        for rule in rules.rules(shape, count)[written:]:
            _write(rule)
        written = count
        print(json.dumps(_measure(count)), flush=True)


def _fill(hosts: int, at: datetime) -> None:
    """Five minutes of samples, oldest first, the newest now."""
    names = list(rules.hosts(hosts))
    samples = rules.WINDOW_SECONDS // rules.EVERY_SECONDS
    for place in range(samples):
        moment = at - timedelta(seconds=rules.EVERY_SECONDS * (samples - 1 - place))
        readings = [
            Reading(rules.METRIC, rules.value(number, place), {"host": name}, moment)
            for number, name in enumerate(names)
        ]
        for first in range(0, hosts, BATCH):
            ingest.store(readings=readings[first : first + BATCH], at=at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _write(rule: rules.Rule) -> None:
    raw = {
        "name": rule.name,
        "severity": "info",
        "target": "web-*",
        "auto_remediate": False,
        "condition": rule.sentence,
        "action": "scale-up",
        "params": {"replicas": 2},
    }
    authoring.create(raw=raw, actor="user:bench", at=clock.now())


def _measure(policies: int) -> dict[str, object]:
    """The first sweep opens incidents; those after it are the usual ones."""
    first, usual = _sweep(), [_sweep() for _ in range(TURNS)]
    with CaptureQueriesContext(connection) as seen:
        _sweep()
    return {
        "policies": policies,
        "first_seconds": first,
        "seconds": usual,
        "incidents": Incident.objects.count(),
        "queries": len(seen),
        "database_seconds": sum(float(query["time"]) for query in seen),
    }


def _sweep() -> float:
    started = time.monotonic()
    report = sweep.run(at=clock.now())
    if not report.ran or report.errors:
        raise SystemExit(f"This sweep was no sweep: {report}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
