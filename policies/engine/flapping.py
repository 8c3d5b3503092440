"""Is an incident opening and closing all the time? Nagios' way: the last 21 results, newer changes weighing more."""

REMEMBERED = 21
_LIGHTEST, _HEAVIEST = 0.75, 1.25
"""What the oldest and the newest change weigh; on average a change weighs one."""
_OPEN, _CALM = "1", "0"


def remember(recent: str, *, is_open: bool) -> str:
    """The last results with one more, oldest first, `1` for open; calm ones before the first `1` are left out."""
    return (recent + (_OPEN if is_open else _CALM))[-REMEMBERED:].lstrip(_CALM)


def percent(recent: str) -> float:
    """How much of the time the result changed, from 0 to 100, by weight."""
    results = recent.rjust(REMEMBERED, _CALM)
    changes = REMEMBERED - 1
    step = (_HEAVIEST - _LIGHTEST) / (changes - 1)
    weights = (_LIGHTEST + place * step for place in range(changes) if results[place] != results[place + 1])
    return sum(weights) * 100 / changes
