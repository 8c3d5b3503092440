"""Which names, tag keys and texts Vigil takes. Every check answers with what is wrong, or "" for nothing."""

import re
import unicodedata
from functools import lru_cache

NAME_MOST = 200
_NAME = re.compile(rf"[a-zA-Z_][a-zA-Z0-9_.:-]{{0,{NAME_MOST - 1}}}")
_TAG_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.:-]")
_NOT_IN_TAG_KEYS = re.compile(r"[^a-zA-Z0-9_.-]")
TAG_VALUE_MOST = 256
TAGS_MOST = 32

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that hide in a log or turn its lines around: controls, formats, bidi, surrogates, separators."""

# The same few names, keys and values come with every reading: remembering the answer makes checking them nearly free.


@lru_cache(maxsize=16_384)
def name_flaw(name: str) -> str:
    """What keeps `name` from naming a metric or an event."""
    if _NAME.fullmatch(name):
        return ""
    if name.strip() == "":
        return "must not be blank"
    return "must begin with a letter or _ and hold only a-z A-Z 0-9 _ . : - (at most 200, ASCII)"


@lru_cache(maxsize=16_384)
def tag_key_flaw(key: str) -> str:
    """What keeps `key` from being a tag's key."""
    if key.startswith("__"):
        return "tag keys that begin with __ are reserved; use another key"
    if _TAG_KEY.fullmatch(key):
        return ""
    return "a tag key must begin with a letter or _ and hold only a-z A-Z 0-9 _ . - (at most 64, ASCII)"


@lru_cache(maxsize=16_384)
def tag_value_flaw(value: str) -> str:
    """What keeps `value` from being a tag's value."""
    if len(value) > TAG_VALUE_MOST:
        return too_long(value)
    if value == "" or value.isspace():
        return "must not be blank; leave the tag out instead"
    if value.isascii():
        return "" if value.isprintable() else "must not hold control characters"
    return _unicode_flaw(value)


def fitting_name(name: str) -> str:
    """A foreign name with `_` for each character that Vigil does not take; what is too long or empty stays so."""
    return _led(_NOT_IN_NAMES.sub("_", name))


def fitting_key(key: str) -> str:
    """A foreign tag key with `_` for each character that Vigil does not take; what is too long or empty stays so."""
    return _led(_NOT_IN_TAG_KEYS.sub("_", key))


def _led(name: str) -> str:
    return f"_{name}" if name and not (name[0].isalpha() or name[0] == "_") else name


def too_long(value: str) -> str:
    """What is wrong with a tag value of more than TAG_VALUE_MOST characters."""
    return f"has {len(value)} characters; a tag value holds at most {TAG_VALUE_MOST}"


def prose_flaw(value: str) -> str:
    """What keeps `value` from being stored in an event's payload, where lines and tabs are welcome."""
    if value.isprintable() and value.isascii():
        return ""
    return "" if _invisible(value, allowed="\n\r\t") == "" else "must not hold NUL, control or bidi characters"


def shown(name: str) -> str:
    """An unknown name as it may stand in an answer or a log: short, and nothing in it can act."""
    safe = "".join(char if char.isprintable() and char.isascii() else "?" for char in name[:64])
    return safe + ("..." if len(name) > 64 else "")


def _unicode_flaw(value: str) -> str:
    if _invisible(value) != "":
        return "must not hold control, bidi or invisible characters"
    if not unicodedata.is_normalized("NFC", value):
        return "must be in Unicode's composed form (NFC), or two spellings would be two series"
    return ""


def _invisible(value: str, *, allowed: str = "") -> str:
    return next((char for char in value if char not in allowed and unicodedata.category(char) in _INVISIBLE), "")
