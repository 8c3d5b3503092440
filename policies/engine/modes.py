"""What a policy may do by itself, from least to most: the order in which it is demoted and promoted."""

OBSERVE, SUGGEST, APPROVE, AUTO = ORDER = ("observe", "suggest", "approve", "auto")
"""observe orders nothing; suggest waits for a click; approve waits for an approver; auto waits for nobody."""


def rank(mode: str) -> int:
    """Its place in the order; ValueError for what is no mode."""
    return ORDER.index(mode)


def below(mode: str) -> str:
    """The next smaller mode; what observes stays there."""
    return ORDER[max(rank(mode) - 1, 0)]


def orders(mode: str) -> bool:
    """Whether actions come of it at all."""
    return mode != OBSERVE


def asks(mode: str) -> bool:
    """Whether its actions wait for a person's word."""
    return mode in (SUGGEST, APPROVE)
