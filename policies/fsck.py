"""Looks at every incident's story and says which are not whole. Changes nothing; safe on a live database."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import batched

from policies.models import Incident
from vigil.audit import entries

BATCH = 500


def broken() -> Iterator[tuple[str, str]]:
    """Each incident whose audit entries do not tell its whole story, with what is wrong."""
    numbers = Incident.objects.order_by("id").values_list("id", flat=True).iterator(chunk_size=BATCH)
    for ids in batched(numbers, BATCH):
        found = dict(_of(ids))
        again = dict(_of(found)) if found else {}  # incidents move while they are read
        yield from ((f"incident:{number}", again[number]) for number in found.keys() & again.keys())


def _of(ids: Collection[int]) -> Iterator[tuple[int, str]]:
    told: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for subject, step in entries.steps([f"incident:{number}" for number in ids]):
        told[subject].append(step)
    for incident in Incident.objects.filter(pk__in=list(ids)).order_by("id"):
        steps = told[incident.subject]
        if [number for number, _, _ in steps] != list(range(1, incident.state_seq + 1)):
            yield incident.pk, f"it took {incident.state_seq} steps, and the audit tells of {len(steps)}"
        elif steps[-1][2] != incident.status:
            yield incident.pk, f"its story ends in {steps[-1][2]}, and it is {incident.status}"
