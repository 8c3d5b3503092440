"""A remediator that is called over HTTP, as docs/writing-a-remediator.md describes it."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote, urlsplit

import msgspec

from actions.remediators import addresses, answers, base, payload, signing, transport
from vigil.kernel import clock

HOST = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
HEADER_SAFE = "!\"#$&'()*+,/:<=>?@[]^`{|} "
"""With letters, digits and `-._~`, what may stand in a header as it is; anything else is percent-encoded."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator writes."""

    url: str
    contract: Literal["basic", "strict"] = "basic"
    durable_keys: bool = False
    """The basic contract only: the remediator remembers keys across its own restarts."""
    ca_file: str = ""
    """Certificates to trust instead of the public ones: a PEM file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRemediator:
    """Posts each call as JSON, once, and reads the answer as carefully as a stranger's."""

    kind: ClassVar[str] = "http"

    url: str
    strict: bool
    durable_keys: bool
    ca_file: str = ""
    secret: str = field(default="", repr=False)

    def call(self, call: base.Call, *, deadline_monotonic: float) -> base.Outcome:
        """One POST."""
        body = json.dumps(payload.of(call)).encode()
        exchange = transport.exchange(
            method="POST",
            url=self.url,
            headers=call_headers(call, body=body, secret=self.secret),
            body=body,
            deadline_monotonic=deadline_monotonic,
            begin_by_monotonic=call.begin_by_monotonic,
            ca_file=self.ca_file,
        )
        return answers.outcome(exchange, call=call, strict=self.strict)

    def ask(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """One GET of `{url}/runs/{uid}`."""
        exchange = transport.exchange(
            method="GET",
            url=ask_url(self.url, uid=uid),
            headers=ask_headers(uid, at=clock.now(), secret=self.secret),
            body=b"",
            deadline_monotonic=deadline_monotonic,
            ca_file=self.ca_file,
        )
        return answers.answer(exchange, uid=uid, run_id=run_id, strict=self.strict)

    def cancel(self, uid: str, run_id: str, *, deadline_monotonic: float) -> base.Answer:
        """One POST to `{url}/runs/{uid}/cancel`."""
        exchange = transport.exchange(
            method="POST",
            url=cancel_url(self.url, uid=uid),
            headers=ask_headers(uid, at=clock.now(), secret=self.secret, what="cancel"),
            body=b"",
            deadline_monotonic=deadline_monotonic,
            ca_file=self.ca_file,
        )
        return answers.answer(exchange, uid=uid, run_id=run_id, strict=self.strict)


def call_headers(call: base.Call, *, body: bytes, secret: str) -> dict[str, str]:
    """The headers that go with `body`; signed when there is a secret."""
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": quote(call.uid, safe=HEADER_SAFE),
        "Vigil-Attempt": str(call.attempt),
        "Vigil-Fence": f"{quote(call.target, safe=HEADER_SAFE)};{call.fence}",
        "Vigil-Deadline": payload.moment(call.deadline),
        "X-Request-ID": quote(call.request_id, safe=HEADER_SAFE),
        **signing.headers(secret=secret, message_id=f"{call.uid}-{call.attempt}", at=call.at, body=body),
    }


def ask_headers(uid: str, *, at: datetime, secret: str, what: Literal["ask", "cancel"] = "ask") -> dict[str, str]:
    """The signature of a question or a cancellation. It has no body, so the message id carries the key it is about."""
    return signing.headers(secret=secret, message_id=f"{uid}-{what}-{uuid.uuid4().hex}", at=at, body=b"")


def ask_url(url: str, *, uid: str) -> str:
    """Where a remediator tells what became of a key."""
    return f"{url.rstrip('/')}/runs/{quote(uid, safe='')}"


def cancel_url(url: str, *, uid: str) -> str:
    """Where a remediator is asked to stop a run."""
    return f"{ask_url(url, uid=uid)}/cancel"


def make(*, config: Mapping[str, object], secret: str, commands: base.Commands) -> base.Remediator:
    """The remediator at `config["url"]`."""
    read = base.read_config(config, Config)
    _check_url(read.url)
    signing.keys(secret)
    if read.ca_file and not Path(read.ca_file).is_file():
        raise base.wrong(path="ca_file", message="There is no such file. Give the absolute path of a PEM file.")
    strict = read.contract == "strict"
    return HttpRemediator(
        url=read.url, strict=strict, durable_keys=strict or read.durable_keys, ca_file=read.ca_file, secret=secret
    )


def _check_url(url: str) -> None:
    flaw = _flaw_of(url)
    if flaw:
        raise base.wrong(path="url", message=f"{flaw} Write it like https://host:port/path.")


def _flaw_of(url: str) -> str:
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return "The URL has spaces, backslashes or characters beyond ASCII."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"The URL cannot be read ({error})."
    if parts.scheme not in {"http", "https"}:
        return "The URL must begin with http:// or https://."
    if "@" in parts.netloc:
        return "The URL must not hold a user or password; use the signing secret."
    if "?" in url or "#" in url:
        return "The URL must not hold ? or #, because /runs/<key> is put behind it."
    if not HOST.fullmatch(parts.netloc if port is None else parts.netloc.rpartition(":")[0]) or port == 0:
        return "The URL has no usable host or port."
    return _flaw_of_address(parts.hostname or "")


def _flaw_of_address(host: str) -> str:
    """Refuse at once what can never be called; names are checked when they are resolved."""
    try:
        reason = addresses.refusal(addresses.spelled_out(host))
    except ValueError:
        return ""
    return f"{reason}." if reason else ""
