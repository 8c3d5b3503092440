"""Which words a sentence reserves, and which names may stand in it without quotes."""

import string
from functools import lru_cache

RESERVED = frozenset({"and", "or", "not", "no", "for", "in", "on", "recover", "outside", "event", "events", "promql"})
NAME_START = frozenset(string.ascii_letters + "_")
NAME_REST = NAME_START | frozenset(string.digits + ":-.")


@lru_cache(maxsize=4096)
def is_plain_name(name: str) -> bool:
    """`cpu_percent` and `node.load-1` are plain; `5xx`, `or` and `disk /var` need quotes."""
    return word_at(name, 0) == name != "" and name.lower() not in RESERVED


def word_at(text: str, start: int) -> str:
    """The longest word that begins here, which may be empty; two dots in a row end it, as in `10..90`."""
    if start >= len(text) or text[start] not in NAME_START:
        return ""
    end = start + 1
    while end < len(text) and text[end] in NAME_REST and not text.startswith("..", end):
        end += 1
    return text[start:end]
