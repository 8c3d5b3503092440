"""When an action ends, whoever waited for its target or its place hears of it at once rather than at the next pass."""

from actions import hints, line


def hint_the_next(*, target: str, **_: object) -> None:
    """Hint at those that a worker had to leave and that may go now; of all others a hint is on its way."""
    hints.give(line.next_turned_away(target=target))
