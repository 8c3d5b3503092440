"""Orders actions and waits until the workers of a running Vigil have ended them: `python -m benchmarks.acting COUNT`.

Runs with that Vigil's own settings. Prints one JSON line.
"""

import json
import sys
import time
from datetime import datetime
from functools import partial
from unittest import mock

import django

django.setup()

from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from actions import dispatch, execution, hints  # noqa: E402
from actions.dispatch import Ordered  # noqa: E402
from actions.models import Action  # noqa: E402
from vigil.kernel import clock  # noqa: E402

WAIT_SECONDS = 120.0
ALONE = 100
"""Actions that are run here to see what they cost."""


def main(count: int) -> None:
    """Order them without a word, then hint at all: what is timed is from the first hint to the last result."""
    _alone()
    cost = _of_one() | {"cpu_ms": _cpu_ms()}
    with mock.patch.object(hints, "give"):
        ids = [_order(f"bench-{number}") for number in range(count)]
    began = clock.now()
    hints.publish(ids)
    ended = _last_end(ids)
    seconds = (ended - began).total_seconds()
    print(json.dumps({"count": count, "seconds": seconds, **cost}))


def _alone() -> None:
    """Wait until nothing else is going on."""
    until = time.monotonic() + WAIT_SECONDS
    while Action.objects.filter(finished_at__isnull=True).exists() and time.monotonic() < until:
        time.sleep(0.1)


def _of_one() -> dict[str, float]:
    """Statements and commits of one action from hint to result, run here, the second time."""
    for number in range(2):
        with mock.patch.object(hints, "give"):
            action_id = _order(f"counted-{number}")
        with CaptureQueriesContext(connection) as seen:
            execution.run(action_id=action_id, worker="bench")
    words = [query["sql"].split()[0].upper() for query in seen.captured_queries]
    said = len([word for word in words if word not in {"BEGIN", "COMMIT"}])
    return {"queries": said, "commits": words.count("COMMIT")}


def _cpu_ms() -> float:
    """CPU time of this process for one action from hint to result, in ms: the database's and the remediator's is not in
    it. Beside other work it stays what it is, where wall-clock time does not."""
    with mock.patch.object(hints, "give"):
        ids = [_order(f"timed-{number}") for number in range(ALONE)]
    before = time.process_time()
    for action_id in ids:
        execution.run(action_id=action_id, worker="bench")
    return (time.process_time() - before) / ALONE * 1000


def _order(target: str) -> int:
    answer = dispatch.order_by_hand(
        kind="restart", target=target, params={}, reason="bench", actor="bench", at=clock.now()
    )
    if not isinstance(answer, Ordered):
        raise SystemExit(f"not ordered: {answer}")
    return answer.action.id


def _last_end(ids: list[int]) -> datetime:
    rows = partial(Action.objects.filter, pk__gte=ids[0], pk__lte=ids[-1])
    until = time.monotonic() + WAIT_SECONDS
    while rows(finished_at__isnull=True).exists():
        if time.monotonic() > until:
            raise SystemExit(f"{rows(finished_at__isnull=True).count()} actions did not end in {WAIT_SECONDS:.0f} s")
        time.sleep(0.1)
    if rows(state="succeeded").count() != len(ids):
        raise SystemExit("not every action succeeded")
    return max(at for at in rows().values_list("finished_at", flat=True) if at is not None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
