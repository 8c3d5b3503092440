"""Vigil's HTTP API as anyone outside sees it: an address and a key."""

import http.client
import uuid
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import requests

type Kind = Literal["ok", "refused", "rate_limited", "timeout", "failed"]

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; `status` is 0 when nothing did."""

    kind: Kind
    status: int = 0
    body: dict[str, object] = field(default_factory=dict)
    retry_after: float | None = None
    error: str = ""


class Vigil:
    """One caller of Vigil. Not thread safe: each thread makes its own."""

    def __init__(self, *, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # Proxies and .netrc of the environment are not ours to use, and .netrc would replace the key.
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "vigil-simulator"
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def ingest(self, body: bytes, *, idempotency_key: str, read_seconds: float = READ_SECONDS) -> Answer:
        """Post a body of readings. Never raises: what the network does is an answer too."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return self._call("POST", "/api/v1/ingest", data=body, headers=headers, read_seconds=read_seconds)

    def break_off(self, body: bytes) -> None:
        """Begin to post a body and hang up in the middle of it, as an agent that dies does."""
        address = urlsplit(self.url)
        make = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = make(address.hostname or "", address.port, timeout=CONNECT_SECONDS)
        try:
            connection.putrequest("POST", f"{address.path}/api/v1/ingest")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
            if "Authorization" in self._session.headers:
                connection.putheader("Authorization", str(self._session.headers["Authorization"]))
            connection.endheaders()
            connection.send(body[: len(body) // 2])
        except OSError:
            pass  # the connection was to break anyway
        finally:
            connection.close()

    def incidents(self, *, limit: int = 200, offset: int = 0) -> list[dict[str, object]]:
        """Incidents as the API lists them, newest first; empty while Vigil does not answer."""
        return self._rows("/api/v1/incidents", "incidents", limit, offset)

    def actions(self, *, limit: int = 200, offset: int = 0) -> list[dict[str, object]]:
        """Actions as the API lists them, newest first; empty while Vigil does not answer."""
        return self._rows("/api/v1/actions", "actions", limit, offset)

    def newest_decision(self, incident_id: int) -> dict[str, object]:
        """What was decided last about an incident; empty when nothing was, or while Vigil does not answer."""
        rows = self._call("GET", f"/api/v1/incidents/{incident_id}").body.get("decisions")
        told = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return max(told, key=lambda row: str(row.get("at")), default={})

    def create_policy(self, policy: dict[str, object]) -> Answer:
        """Create a policy; a 409 says one of that name exists."""
        return self._call("POST", "/api/v1/policies", json=policy)

    def ready(self) -> bool:
        """Whether /ready is green."""
        return self._call("GET", "/ready", read_seconds=3.0).status == 200

    def answers(self) -> bool:
        """Whether anything answers at this address at all."""
        return self._call("GET", "/health", read_seconds=3.0).kind != "failed"

    def close(self) -> None:
        self._session.close()

    def _rows(self, path: str, name: str, limit: int, offset: int) -> list[dict[str, object]]:
        rows = self._call("GET", path, params={"limit": limit, "offset": offset}).body.get(name)
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _call(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        json: object = None,
        params: dict[str, int] | None = None,
        headers: dict[str, str] | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> Answer:
        try:
            response = self._session.request(
                method,
                self.url + path,
                data=data,
                json=json,
                params=params,
                headers=(headers or {}) | {"X-Request-ID": uuid.uuid4().hex},
                timeout=(CONNECT_SECONDS, read_seconds),
            )
        except requests.Timeout as error:
            return Answer(kind="timeout", error=str(error))
        except requests.RequestException as error:
            return Answer(kind="failed", error=str(error))
        return _read(response)


def _read(response: requests.Response) -> Answer:
    return Answer(
        kind=_kind(response.status_code),
        status=response.status_code,
        body=_json(response),
        retry_after=_seconds(response.headers.get("Retry-After")),
    )


def _kind(status: int) -> Kind:
    if 200 <= status < 300:
        return "ok"
    if status == 429:
        return "rate_limited"
    return "refused" if 400 <= status < 500 else "failed"


def _json(response: requests.Response) -> dict[str, object]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
