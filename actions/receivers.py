"""When an action ends, whoever waited for its target or its place hears of it at once rather than at the next pass."""

from actions import hints, line


def hint_the_next(*, target: str, **_: object) -> None:
    """Hint at the head of the freed target's line, and at the one that has waited longest for any room."""
    due = line.due()
    freed = due.filter(target=target).values_list("id", flat=True)[:1]
    oldest = due.values_list("id", flat=True)[:1]
    hints.give(sorted({*freed, *oldest}))
