"""Signatures in the Standard Webhooks format: HMAC-SHA256 over `id.timestamp.body`."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from actions.remediators import base

PREFIX = "whsec_"
SHORTEST_KEY_BYTES = 24
TOLERANCE = timedelta(minutes=5)
"""How far the two clocks may be apart."""


def new_secret() -> str:
    """A fresh secret of 256 bits, in the written form that other tools read too."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def keys(secret: str) -> tuple[bytes, ...]:
    """The keys in `secret`: none for "", two separated by a space while one replaces the other.

    A part that starts with whsec_ is base64, any other is taken as it is. Raises ConfigurationError for a weak one.
    """
    return tuple(_key(part) for part in secret.split())


def headers(*, secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that sign `body`, one signature for each key; nothing without a secret."""
    stamp = str(int(at.timestamp()))
    marks = [_signature(key=key, message_id=message_id, stamp=stamp, body=body) for key in keys(secret)]
    if not marks:
        return {}
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": " ".join(marks)}


def refusal(*, secret: str, headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """Why the signature does not count, or "". Header names in lower case; refusing replays is the caller's part."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not (message_id and stamp and given):
        return "the headers webhook-id, webhook-timestamp and webhook-signature are needed"
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return "webhook-timestamp is not a number of seconds"
    if abs(at.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        return f"webhook-timestamp is more than {int(TOLERANCE.total_seconds())} s away; compare the clocks"
    wanted = [_signature(key=key, message_id=message_id, stamp=stamp, body=body).encode() for key in keys(secret)]
    if any(hmac.compare_digest(one, mark.encode()) for one in wanted for mark in given):
        return ""
    return "no signature matches; compare the secrets"


def _signature(*, key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _key(part: str) -> bytes:
    key = part.encode()
    if part.startswith(PREFIX):
        try:
            key = base64.b64decode(part.removeprefix(PREFIX), validate=True)
        except ValueError as error:
            raise _unusable("What follows whsec_ must be base64.") from error
    if len(key) < SHORTEST_KEY_BYTES:
        raise _unusable(f"A signing secret needs at least {SHORTEST_KEY_BYTES} bytes; this one has {len(key)}.")
    return key


def _unusable(message: str) -> base.ConfigurationError:
    return base.wrong(path="secret", message=message)
