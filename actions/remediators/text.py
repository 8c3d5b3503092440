"""Foreign text made safe to store, log and show: bounded, valid UTF-8, nothing that steers a terminal."""

import json
from collections.abc import Mapping

from actions.remediators import base


def excerpt(data: bytes | str, *, limit_bytes: int = base.EXCERPT_LIMIT_BYTES) -> str:
    """At most `limit_bytes` of `data` with everything unprintable written as an escape."""
    text = data[:limit_bytes].decode(errors="backslashreplace") if isinstance(data, bytes) else data[:limit_bytes]
    shown = "".join(_printable(character) for character in text)
    return shown.encode()[:limit_bytes].decode(errors="ignore")


def sentence(value: object) -> str:
    """`value` as a short message if it is a string, else ""."""
    return excerpt(value, limit_bytes=base.MESSAGE_LIMIT_BYTES) if isinstance(value, str) else ""


def details(value: object) -> Mapping[str, object]:
    """`value` if it is an object of at most 4 KiB as JSON; what is too long is replaced by a note that says so."""
    if not isinstance(value, dict):
        return {}
    size = len(json.dumps(value))
    if size > base.DETAILS_LIMIT_BYTES:
        return {"note": f"details of {size} bytes were left out; at most {base.DETAILS_LIMIT_BYTES} are kept"}
    return value


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
