"""Looks at every stored action and says which invariants do not hold. Changes nothing; safe on a live database.

Rows move while they are read, so whatever looks broken is read once more before it is told.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import batched, groupby

import structlog

from actions import control, execution, invariants, settling
from actions.invariants import Broken, Call, Life, Pause
from actions.models import Action, Attempt
from actions.states import HOLDING, State
from vigil.audit import entries

log = structlog.get_logger(__name__)

BATCH = 500


def broken(*, at: datetime) -> Iterator[Broken]:
    """Every invariant that does not hold of the actions there are; reads all of them, some hundred at a time."""
    pauses = _pauses()
    numbers = Action.objects.order_by("id").values_list("id", flat=True).iterator(chunk_size=BATCH)
    for ids in batched(numbers, BATCH):
        found = _of(ids, at=at, pauses=pauses)
        if found:
            again = _of({_number(one) for one in found}, at=at, pauses=pauses)
            yield from (one for one in found if one in again)
    yield from _fences()
    yield from _held_twice()


def _of(ids: Collection[int], *, at: datetime, pauses: Sequence[Pause]) -> list[Broken]:
    lives = _lives(ids)
    return [one for life in lives for one in invariants.of_action(life, at=at, pauses=pauses)]


def _number(one: Broken) -> int:
    return int(one.subject.partition(":")[2])


def _lives(ids: Collection[int]) -> list[Life]:
    rows = Action.objects.filter(pk__in=list(ids)).select_related("action_type__remediator").order_by("id")
    calls = _calls(ids)
    steps = _steps(ids)
    once: dict[str, bool] = {}
    return [
        Life(
            action_id=row.pk,
            state=State(row.state),
            state_seq=row.state_seq,
            at_most_once=once.setdefault(row.action_type_id, _at_most_once(row)),
            deadline=row.deadline,
            longest=timedelta(seconds=row.action_type.max_seconds),
            cancel_requested_at=row.cancel_requested_at,
            steps=tuple(steps.get(row.subject, ())),
            calls=tuple(calls.get(row.pk, ())),
        )
        for row in rows
    ]


def _calls(ids: Collection[int]) -> Mapping[int, list[Call]]:
    calls: dict[int, list[Call]] = defaultdict(list)
    for row in Attempt.objects.filter(action_id__in=list(ids)).order_by("action_id", "number"):
        calls[row.action_id].append(_call(row))
    return calls


def _call(row: Attempt) -> Call:
    return Call(number=row.number, token=row.token, intent_at=row.intent_at, first_byte_at=row.first_byte_at)


def _steps(ids: Collection[int]) -> Mapping[str, list[tuple[int, str, str]]]:
    steps: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for subject, step in entries.steps([f"action:{number}" for number in ids]):
        steps[subject].append(step)
    return steps


def _at_most_once(row: Action) -> bool:
    try:
        durable = execution.build(row).durable_keys
    except Exception as error:  # whatever a remediator's own code does: then nothing softens what the type says
        log.warning("actions.fsck.remediator_unusable", action_id=row.pk, error=str(error))
        durable = False
    return settling.rules(row, durable_keys=durable).safety == "at_most_once"


def _pauses() -> list[Pause]:
    """Read before the calls: a pause that begins meanwhile is not held against them."""
    pauses: list[Pause] = []
    began: datetime | None = None
    for mode, moment in control.history():
        if mode == "active" and began is not None:
            pauses.append(Pause(began_at=began, ended_at=moment))
            began = None
        elif mode != "active" and began is None:
            began = moment
    return pauses if began is None else [*pauses, Pause(began_at=began, ended_at=None)]


def _fences() -> Iterator[Broken]:
    """The calls of each target in the order in which they were committed: their ids rise, clocks may be set back."""
    rows = Attempt.objects.select_related("action").order_by("action__target", "id").iterator(chunk_size=BATCH)
    for target, of_target in groupby(rows, key=lambda row: row.action.target):
        yield from invariants.of_target(target, [_call(row) for row in of_target])


def _held_twice() -> Iterator[Broken]:
    """I2. The database's index promises it; a restored or repaired database may lack the index."""
    holders: dict[str, list[int]] = defaultdict(list)
    for target, number in Action.objects.filter(state__in=HOLDING).order_by("id").values_list("target", "id"):
        holders[target].append(number)
    for target, numbers in holders.items():
        if len(numbers) > 1:
            says = f"actions {', '.join(map(str, numbers))} hold it at once"
            yield Broken(invariant="I2", subject=f"target:{target}", says=says)
