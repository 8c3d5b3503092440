"""Who is silent is given up; who is busy, asleep or cut off is not."""

import pytest

from vigil.kernel import watchdog
from vigil.kernel.watchdog import Look

PATIENCE = 60.0
LONGEST_TASK = 24.0

type Told = tuple[float, int, str]
"""A look: when, how far it has come, and what there is to say for it."""

STORIES: dict[str, tuple[list[Told], bool]] = {
    "it moves": ([(5.0 * n, n, "") for n in range(40)], False),
    "it stands still": ([(5.0 * n, 0, "") for n in range(14)], True),
    "not for long yet": ([(5.0 * n, 0, "") for n in range(13)], False),
    "it moved at last": ([*((5.0 * n, 0, "") for n in range(12)), (60.0, 1, "")], False),
    "the broker is away for an hour": ([(5.0 * n, 0, "excused") for n in range(720)], False),
    "the broker just came back": (
        [*((5.0 * n, 0, "excused") for n in range(20)), *((100 + 5.0 * n, 0, "") for n in range(11))],
        False,
    ),
    "it never came back with the broker": (
        [*((5.0 * n, 0, "excused") for n in range(20)), *((100 + 5.0 * n, 0, "") for n in range(13))],
        True,
    ),
    "the broker comes and goes": ([(5.0 * n, 0, "excused" if n % 8 == 0 else "") for n in range(100)], False),
    "busy with a task of twenty seconds": ([(5.0 * n, n // 4, "full") for n in range(100)], False),
    "busy, and one task after another ends": ([(5.0 * n, n // 5, "full" if n % 2 else "") for n in range(100)], False),
    "full hands, a task as long as any may be": ([(5.0 * n, 0, "full") for n in range(5)], False),
    "full hands that no task can explain": ([(5.0 * n, 0, "full") for n in range(18)], True),
    "the machine slept": ([(0.0, 0, ""), (5.0, 0, ""), (3_600.0, 0, ""), (3_605.0, 0, "")], False),
    "it stood still when the machine woke up": (
        [(0.0, 0, ""), *((3_600 + 5.0 * n, 0, "") for n in range(14))],
        True,
    ),
}


@pytest.mark.parametrize(("looks", "over"), STORIES.values(), ids=STORIES)
def test_a_story_ends_as_it_should(looks: list[Told], over: bool) -> None:
    watch = watchdog.begin(at=0.0, moved=0, patience_seconds=PATIENCE, task_seconds=LONGEST_TASK)
    for at, moved, what in looks:
        watch = watch.after(Look(at=at, moved=moved, excused=what == "excused", full=what == "full"))
    assert watch.is_over is over


def test_full_hands_are_borne_for_the_longest_task_and_then_the_patience() -> None:
    watch = watchdog.begin(at=0.0, moved=0, patience_seconds=PATIENCE, task_seconds=LONGEST_TASK)
    seconds = 0.0
    while not watch.is_over:
        seconds += 1.0
        watch = watch.after(Look(at=seconds, moved=0, full=True))
    assert seconds == LONGEST_TASK + PATIENCE + 1
    assert watch.silent_seconds == PATIENCE + 1
