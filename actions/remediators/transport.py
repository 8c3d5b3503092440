"""One HTTP exchange with a peer that may be slow, huge, broken or hostile: it ends in time and costs little memory."""

import functools
import http.client
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3
from requests import adapters

from actions.remediators import base, text, wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What came back. Never more than 64 KiB of body; nothing was decompressed and no redirect was followed."""

    status: int | None = None
    """None: no complete set of headers came back."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    longer: bool = False
    """The body went on beyond the limit."""
    trouble: str = ""
    """An error class: "" when the answer is complete or longer, else why it is not."""
    explanation: str = ""
    first_byte_at: float | None = None
    """When the request began to leave, by time.monotonic(); None: nothing ever left."""


class _Adapter(adapters.HTTPAdapter):
    """Makes connections on one given wire: a fresh one for each call, never kept alive, never through a proxy."""

    def __init__(self, line: wire.Wire) -> None:
        self._line = line
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": self._plain, "https": self._tls}

    def _plain(self, *args: Any, **options: Any) -> urllib3.HTTPConnectionPool:
        pool = urllib3.HTTPConnectionPool(*args, **options)
        pool.ConnectionCls = functools.partial(wire.PlainConnection, wire=self._line)  # type: ignore[assignment]
        return pool

    def _tls(self, *args: Any, **options: Any) -> urllib3.HTTPSConnectionPool:
        pool = urllib3.HTTPSConnectionPool(*args, **options)
        pool.ConnectionCls = functools.partial(wire.TlsConnection, wire=self._line)  # type: ignore[assignment]
        return pool


def exchange(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    deadline_monotonic: float,
    begin_by_monotonic: float = math.inf,
    ca_file: str = "",
) -> Exchange:
    """Send one request and read its answer, all within CALL_SECONDS and before `deadline_monotonic`. Nothing is sent
    after `begin_by_monotonic`. Never raises for anything the network or the peer does.

    The adapter is used without a session: a session would read the environment's proxies and netrc, and it reads the
    whole body of a redirect even when told not to follow it.
    """
    now = time.monotonic()
    deadline = min(deadline_monotonic, now + base.CALL_SECONDS)
    fixed = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "Vigil"}
    reading = _Reading()
    connect_by = min(now + base.CONNECT_SECONDS, begin_by_monotonic)
    with wire.Wire(connect_by=connect_by, deadline_monotonic=deadline) as line:
        try:
            request = requests.Request(method, url, headers={**fixed, **headers}, data=body).prepare()
            reading.take(line=line, request=request, verify=ca_file or True, left=max(0.01, deadline - now))
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,  # unparsable status lines, chunk sizes and header bytes
        ) as error:
            return reading.broken(line=line, error=error)
    return reading.done(line=line)


class _Reading:
    """What has been read so far, kept when the rest never comes."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()

    def take(self, *, line: wire.Wire, request: requests.PreparedRequest, verify: bool | str, left: float) -> None:
        adapter = _Adapter(line)
        try:
            answer = adapter.send(request, stream=True, timeout=(left, left), verify=verify, proxies={})
            self._status = answer.status_code
            self._headers = {name.lower(): value for name, value in answer.headers.items()}
            self._read(answer.raw)
            answer.close()
        finally:
            adapter.close()

    def _read(self, raw: urllib3.HTTPResponse) -> None:
        while len(self._body) <= base.READ_LIMIT_BYTES:
            chunk = raw.read1(base.READ_LIMIT_BYTES + 1 - len(self._body), decode_content=False)
            if not chunk:
                return
            self._body += chunk

    def done(self, *, line: wire.Wire) -> Exchange:
        if line.expired:  # cutting the line looks like the end of a body that has no length
            return self.broken(line=line, error=TimeoutError("the answer was not complete in time"))
        return Exchange(
            status=self._status,
            headers=self._headers,
            body=bytes(self._body[: base.READ_LIMIT_BYTES]),
            longer=len(self._body) > base.READ_LIMIT_BYTES,
            first_byte_at=line.first_byte_at,
        )

    def broken(self, *, line: wire.Wire, error: Exception) -> Exchange:
        return Exchange(
            status=self._status,
            headers=self._headers,
            body=bytes(self._body[: base.READ_LIMIT_BYTES]),
            trouble=_error_class(line, error),
            explanation=_explanation(line, error),
            first_byte_at=line.first_byte_at,
        )


def _error_class(line: wire.Wire, error: Exception) -> str:
    if line.first_byte_at is None:
        return "connect_timeout" if line.expired else line.trouble or "request"
    if line.expired or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return "timeout"
    return "reset" if isinstance(_root(error), OSError | http.client.IncompleteRead) else "protocol"


def _explanation(line: wire.Wire, error: Exception) -> str:
    if line.expired:
        return "no time was left"
    root = _root(error)
    said = (root.strerror if isinstance(root, OSError) else None) or str(root) or type(root).__name__
    return text.excerpt(said, limit_bytes=200)


def _root(error: BaseException) -> BaseException:
    """The innermost cause: the wrappers of two libraries say little, and much of it twice."""
    inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return error if inner is None else _root(inner)
