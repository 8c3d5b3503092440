"""Glob patterns: `*` is any run of characters, `?` is one. Matching takes at most pattern x text steps."""

MOST_CHARACTERS = 128
MOST_STARS = 4


def problem(pattern: str) -> str | None:
    """What makes this pattern unusable, as a sentence; None when it is fine."""
    if len(pattern) > MOST_CHARACTERS:
        return f"a pattern has at most {MOST_CHARACTERS} characters"
    if not pattern.isprintable():
        return "a pattern has printable characters only"
    if "**" in pattern:
        return "`**` means nothing here: one `*` already matches any run of characters"
    if pattern.count("*") > MOST_STARS:
        return f"a pattern has at most {MOST_STARS} stars"
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern, upper and lower case apart."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    first, *rest = pattern.split("*")
    if not rest:
        return len(first) == len(text) and _fits(first, text, 0)
    return _fits(first, text, 0) and _rest_fits(rest, text, len(first))


def _rest_fits(pieces: list[str], text: str, start: int) -> bool:
    """Each piece after a star may begin anywhere later; taking the leftmost place never loses a match."""
    *middle, last = pieces
    for piece in middle:
        found = next((at for at in range(start, len(text) - len(piece) + 1) if _fits(piece, text, at)), None)
        if found is None:
            return False
        start = found + len(piece)
    end = len(text) - len(last)
    return end >= start and _fits(last, text, end)


def _fits(piece: str, text: str, at: int) -> bool:
    if at + len(piece) > len(text):
        return False
    return all(wanted in ("?", text[at + offset]) for offset, wanted in enumerate(piece))


def meet(one: str, other: str) -> bool:
    """Whether some text fits both patterns. Walks the pairs of places in them: at most length x length steps."""
    seen: set[tuple[int, int]] = set()
    ahead = [(0, 0)]
    while ahead:
        place = ahead.pop()
        if place in seen:
            continue
        seen.add(place)
        if place == (len(one), len(other)):
            return True
        ahead += _onward(one, other, *place)
    return False


def _onward(one: str, other: str, here: int, there: int) -> list[tuple[int, int]]:
    """Where both patterns may stand after the next character of such a text, or after a star that ends."""
    mine = one[here] if here < len(one) else ""
    theirs = other[there] if there < len(other) else ""
    onward = []
    if mine == "*":
        onward.append((here + 1, there))
    if theirs == "*":
        onward.append((here, there + 1))
    if mine and theirs and (mine in "*?" or theirs in "*?" or mine == theirs):
        onward.append((here + (mine != "*"), there + (theirs != "*")))
    return onward
