"""Hints that need not wait for the dispatcher's next pass: at who waited for an ended action, and at who knows more."""

from actions import hints, line


def hint_the_next(*, target: str, **_: object) -> None:
    """Hint at those that a worker had to leave and that may go now; of all others a hint is on its way."""
    hints.give(line.next_turned_away(target=target))


def hint_at_another(*, action_id: int, passed_on: int, **_: object) -> None:
    """Hand the hint to whoever takes the next one: another worker may know the action's kind."""
    hints.pass_on(action_id, times=passed_on + 1)
