"""Foreign words made fit for the database: what it would refuse must never cost us a result. Pure."""

from collections.abc import Mapping

LONGEST_BYTES = 4 * 1024


def words(text: str, *, limit_bytes: int = LONGEST_BYTES) -> str:
    """At most so many bytes of the text, with NUL and halves of surrogate pairs replaced."""
    plain = text[:limit_bytes].replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    return plain[:limit_bytes].decode(errors="ignore")


def details(given: Mapping[str, object]) -> dict[str, object]:
    """The details, or nothing when a database would refuse a text in them."""
    kept = dict(given)
    return kept if _is_fit(kept) else {}


def _is_fit(value: object) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and ("\x00" in item or (not item.isascii() and _has_half_a_pair(item))):
            return False
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            waiting += item
    return True


def _has_half_a_pair(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
