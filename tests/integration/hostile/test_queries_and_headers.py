"""Odd credentials, queries, verbs, paths and headers: a refusal in JSON, never a page and never more than was asked."""

import json

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.integration.hostile import door as doors
from tests.integration.hostile.door import JSON, Door, refused

INGEST = "/api/v1/ingest"
READING = b'{"name":"cpu","value":1}'

CREDENTIALS = {
    "H01 none": {},
    "H03 an empty one": {"Authorization": ""},
    "H03 no key": {"Authorization": "Bearer "},
    "H03 8 KB": {"Authorization": "Bearer " + "a" * 8_192},
    "H03 NUL": {"Authorization": "Bearer vgl_\x00_x"},
    "H03 a newline": {"Authorization": "Bearer vgl_a\n_x"},
    "H03 no ASCII": {"Authorization": "Bearer vgl_ü_ß"},
    "H03 no UTF-8": {"Authorization": "Bearer \udcff\udcfe"},
    "H03 two": {"Authorization": "Bearer vgl_a_b, Bearer vgl_c_d"},
    "H03 basic": {"Authorization": "Basic YWRtaW46YWRtaW4="},
    "H03 a token": {"Authorization": "Token vgl_a_b"},
    "H03 an unknown key": {"Authorization": "Bearer vgl_00000000_" + "A" * 43 + "_00000000"},
    "H03 SQL": {"Authorization": "Bearer vgl_' OR 1=1 --_x"},
    "a made-up session": {"Cookie": "sessionid=" + "a" * 32},
    "a user in a header": {"Remote-User": "root", "X-Forwarded-User": "root"},
    "a made-up loopback": {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
}


@pytest.mark.parametrize("headers", CREDENTIALS.values(), ids=CREDENTIALS.keys())
@pytest.mark.parametrize(("verb", "path"), [("POST", INGEST), ("GET", "/api/v1/policies"), ("GET", "/api/schema")])
def test_without_a_good_credential_nobody_comes_in(door: Door, verb: str, path: str, headers: dict[str, str]) -> None:
    refused(door.send(verb, path, READING if verb == "POST" else b"", headers=headers), 401)


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "authorization"])
def test_a_key_counts_in_its_header_alone(door: Door, name: str) -> None:
    """H02, S4"""
    refused(door.send("POST", f"{INGEST}?{name}={door.plain}", READING, headers={}), 401)
    refused(door.send("POST", INGEST, READING, headers={"Cookie": f"{name}={door.plain}"}), 401)
    refused(door.send("POST", INGEST, READING, headers={"X-Api-Key": door.plain}), 401)
    refused(door.send("POST", INGEST, READING, headers={"Authorization": f"Basic {door.plain}"}), 401)


LISTS = ["/api/v1/actions", "/api/v1/incidents", "/api/v1/audit", "/api/v1/metrics"]
QUERIES = {
    "P15 a page": "page=-1",
    "P15 a page size": "page_size=1000000000",
    "P15 limit -1": "limit=-1",
    "P15 limit 0": "limit=0",
    "P15 limit 201": "limit=201",
    "P15 limit 10^9": "limit=1000000000",
    "P15 limit 10^5000": "limit=1" + "0" * 5_000,
    "P15 limit 1e2": "limit=1e2",
    "P15 limit fullwidth": "limit=%EF%BC%91",
    "P15 limit superscript": "limit=%C2%B2",
    "P15 limit x": "limit=x",
    "P15 limit NUL": "limit=%00",
    "P15 offset -1": "offset=-1",
    "P15 offset 2^63": "offset=9223372036854775808",
    "P15 offset --1": "offset=--1",
    "P15 ordering": "ordering=password",
    "P15 format": "format=../../etc/passwd",
    "P15 format json": "format=json",
    "P15 a way to passwords": "policy__owner__password__startswith=a",
    "P15 a way to secrets": "action_type__remediator__secret__startswith=a",
    "P15 a lookup": "target__regex=.*",
    "P15 a search": "search=x",
    "P15 NUL as a name": "%00=1",
    "P15 an escape as a name": "%1B[31m=1",
    "P15 a name of 8,000": "a" * 8_000 + "=1",
    "P15 target NUL": "target=%00",
    "P15 target with an escape": "target=%1B[31m",
    "P15 target with a newline": "target=a%0Ab",
    "P15 target no UTF-8": "target=%FF%FE%00",
    "P15 target of 251": "target=" + "a" * 251,
    "P15 2,000 parameters": "&".join(f"x{n}=1" for n in range(2_000)),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
@pytest.mark.parametrize("path", LISTS)
def test_an_odd_query_is_a_422(door: Door, path: str, query: str) -> None:
    answer = door.send("GET", f"{path}?{query}", content_type="")
    refused(answer, 400 if query.startswith("x0=") else 422)  # thousands of parameters are not even read


TIMES = ["yesterday", "2026-01-19T12:00:00", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "1e400", "NaN"]
TIMES += ["9" * 30, "%00", "2026-13-45T99:99:99Z", "-1", "%EF%BC%91"]


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("moment", TIMES)
@pytest.mark.parametrize("path", ["/api/v1/actions", "/api/v1/incidents", "/api/v1/audit", "/api/v1/metrics/query"])
def test_an_odd_time_is_a_422(door: Door, path: str, moment: str, name: str) -> None:
    """P15"""
    more = "metric=cpu&" if path.endswith("query") else ""
    refused(door.send("GET", f"{path}?{more}{name}={moment}", content_type=""), 422)


EXTREMES = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0", "9999999999", "1969-12-31T23:59:59Z"]


@pytest.mark.parametrize("moment", EXTREMES)
@pytest.mark.parametrize("path", ["/api/v1/actions", "/api/v1/incidents", "/api/v1/audit"])
def test_the_ends_of_time_are_times(door: Door, path: str, moment: str) -> None:
    for name in ("since", "until"):
        assert door.send("GET", f"{path}?{name}={moment}", content_type="").status == 200


RANGES = {
    "no metric": "",
    "a blank metric": "metric=%20",
    "an escape": "metric=%1B[31m",
    "step 0": "metric=cpu&step=0s",
    "step -1": "metric=cpu&step=-1s",
    "step 10^9 days": "metric=cpu&step=1000000000d",
    "step x": "metric=cpu&step=x",
    "step 1": "metric=cpu&step=1",
    "step in fullwidth": "metric=cpu&step=%EF%BC%91s",
    "too many steps": "metric=cpu&step=1s&since=0",
    "an unknown aggregate": "metric=cpu&aggregate=median_of_lies",
    "an SQL aggregate": "metric=cpu&aggregate=avg(value));--",
    "since after until": "metric=cpu&since=2000000000&until=1000000000",
    "until before time": "metric=cpu&until=0001-01-01T00:00:00Z",
    "since before time": "metric=cpu&since=0001-01-01T00:00:00Z&step=1s",
    "until at the end of time": "metric=cpu&since=0&until=9999-12-31T23:59:59Z&step=1s",
}


@pytest.mark.parametrize("query", RANGES.values(), ids=RANGES.keys())
def test_an_odd_range_is_a_422(door: Door, query: str) -> None:
    assert door.send("POST", INGEST, READING).status == 201
    refused(door.send("GET", f"/api/v1/metrics/query?{query}", content_type=""), 422)


@pytest.mark.parametrize("query", ["metric=cpu&since=0001-01-01T00:00:00Z", "metric=cpu&until=9999-12-31T23:59:59Z"])
def test_a_range_to_the_ends_of_time_is_empty_or_refused(door: Door, query: str) -> None:
    assert door.send("GET", f"/api/v1/metrics/query?{query}", content_type="").status in (200, 422)


VERBS = ["TRACE", "FOO", "CONNECT", "PROPFIND", "DELETE", "PUT", "PATCH"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", [INGEST, "/api/v1/audit", "/api/v1/actions"])
def test_another_verb_is_a_405(door: Door, path: str, verb: str) -> None:
    """P16"""
    assert verb in refused(door.send(verb, path), 405)["detail"]


def test_a_405_says_what_there_is(door: Door) -> None:
    answer = door.send("DELETE", "/api/v1/actions")
    assert refused(answer, 405)["detail"] == "This address does not take DELETE; it takes GET, POST."


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE"])
def test_whoever_watches_may_only_look(door: Door, path: str, verb: str) -> None:
    door.client.handler.enforce_csrf_checks = True
    refused(door.send(verb, path), 405)


def test_a_stranger_does_not_even_learn_which_verbs_there_are(door: Door) -> None:
    refused(door.send("DELETE", "/api/v1/actions", headers={}), 401)


def test_whoever_may_use_an_address_may_ask_what_it_takes(door: Door) -> None:
    answer = doors.of("ingest", name="agent").send("OPTIONS", INGEST, content_type="")
    assert answer.status == 200
    refused(doors.of("read", name="reader").send("OPTIONS", INGEST, content_type=""), 403)


@pytest.mark.parametrize("override", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_does_not_change_the_verb(door: Door, override: str) -> None:
    """P16"""
    assert door.send("POST", "/api/v1/policies", _policy()).status == 201
    answer = door.send("GET", "/api/v1/policies/mine", content_type="", headers=door.with_key() | {override: "DELETE"})
    assert (answer.status, answer.left) == (200, {})
    answer = door.send(
        "POST", "/api/v1/policies/mine?_method=DELETE", b"", headers=door.with_key() | {override: "DELETE"}
    )
    refused(answer, 405)


def _policy() -> dict[str, object]:
    return {"name": "mine", "target": "web-*", "condition": "cpu > 90", "action": "restart"}


PATHS = [
    "//api/v1",
    "/api/v1",
    "/api/v1/",
    "/api/v1/%2e%2e/admin",
    "/api/v1/../admin/",
    "/api/v1/ingest//",
    "/api//v1/ingest",
]
PATHS += [
    "/api/v1/" + "a" * 8_000,
    "/api/v1/%00",
    "/api/v1/%0d%0aSet-Cookie:%20a=b",
    "/api/v1/%FF",
    "/.env",
    "/.git/config",
]
PATHS += [
    "/API/V1/INGEST",
    "/api/v1/ingest/graphite",
    "/api/v1/ingest.json",
    "/var/logs/web.log",
    "/api/v1/policies/a/b/c",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_there_is_nothing_at_odd_paths(door: Door, verb: str, path: str) -> None:
    """P16"""
    refused(door.send(verb, path, b"{}" if verb == "POST" else b""), 404)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost@evil.example", "", "a" * 1_000, "[::"])
def test_a_foreign_host_is_a_400(door: Door, settings: LazySettings, host: str) -> None:
    """P16"""
    settings.ALLOWED_HOSTS = ["testserver"]
    refused(door.send("GET", "/api/v1/actions", content_type="", headers=door.with_key(Host=host)), 400)


def test_a_forwarded_host_goes_nowhere(door: Door) -> None:
    for _ in range(2):
        door.send("POST", "/api/v1/actions", {"action": "restart", "target": "a"})
    headers = door.with_key(X_Forwarded_Host="evil.example", X_Forwarded_Proto="https", X_Original_URL="/admin")
    answer = door.send("GET", "/api/v1/actions?limit=1", content_type="", headers=headers)
    assert answer.document["next"].startswith("http://testserver/api/v1/actions?")


IDS = ["a b", "x" * 65, "<script>", "\x1b[31m", "a\nb", "a\r\nSet-Cookie: a=b", "ü", "\udcff"]


@pytest.mark.parametrize("given", IDS)
def test_an_odd_request_id_is_not_repeated(door: Door, given: str) -> None:
    answer = door.send("GET", "/api/v1/nothing", content_type="", headers=door.with_key(X_Request_ID=given))
    assert refused(answer, 404)["request_id"] != given


ODD_HEADERS = {
    "200 headers": {f"X-Odd-{n}": "x" * 100 for n in range(200)},
    "a header of 64 KB": {"X-Odd": "x" * 65_536},
    "an odd length": {"Content-Length": "-5"},
    "no number as length": {"Content-Length": "five"},
    "a superscript as length": {"Content-Length": "²"},
    "a foreign language": {"Accept-Language": "../../etc/passwd"},
    "a foreign type": {"Accept": "text/html,application/xml;version=*/*"},
    "a broken accept": {"Accept": ";;;,,,"},
    "an odd range": {"Range": "bytes=0-" + "9" * 100},
    "an odd origin": {"Origin": "null"},
    "an odd cookie": {"Cookie": "\x00;=;;;sessionid=;csrftoken=\x1b"},
    "a forwarded address": {"X-Forwarded-For": "\x1b[31m, ::1, " + "1.2.3.4," * 1_000},
}


@pytest.mark.parametrize("headers", ODD_HEADERS.values(), ids=ODD_HEADERS.keys())
@pytest.mark.parametrize(("verb", "path", "body"), [("POST", INGEST, READING), ("GET", "/api/v1/actions", b"")])
def test_odd_headers_never_break_anything(
    door: Door, verb: str, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """P16"""
    answer = door.send(verb, path, body, headers=door.with_key() | headers)
    if answer.status >= 400:
        refused(answer, 400, 406, 411, 413, 422)
    assert b"Traceback" not in answer.body


def test_a_form_of_another_site_does_nothing(admin_user: object) -> None:
    """S8: with a session, every writing verb wants the token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)  # type: ignore[arg-type]
    session = Door(plain="", client=client)
    writing = [("POST", INGEST), ("POST", "/api/v1/policies"), ("POST", "/api/v1/actions"), ("PUT", "/api/v1/control")]
    for verb, path in [*writing, ("DELETE", "/api/v1/policies/mine"), ("POST", "/api/v1/actions/1/cancel")]:
        refused(session.send(verb, path, b"{}", headers={"Origin": "https://evil.example"}), 403)


def test_another_site_reads_nothing(door: Door) -> None:
    answer = door.client.get("/api/v1/actions", headers=door.with_key(Origin="https://evil.example"))
    assert "Access-Control-Allow-Origin" not in answer


def test_the_document_of_the_api_is_for_those_who_may_come_in(door: Door) -> None:
    answer = door.send("GET", "/api/schema", content_type="")
    assert answer.status == 200
    assert b"/api/v1/policies/{name}:" in answer.body


def test_a_throttled_caller_is_told_when_to_come_back(door: Door, settings: LazySettings) -> None:
    """S10: and no made-up address helps."""
    settings.VIGIL_REQUESTS_PER_MINUTE = 1
    tired = doors.of("read", name="tired")
    answers = [
        tired.send("GET", "/api/v1/actions", content_type="", headers=tired.with_key(X_Forwarded_For=f"10.0.0.{n}"))
        for n in range(30)
    ]
    assert {answer.status for answer in answers} == {200, 429}
    assert refused(answers[-1], 429)["code"] == "throttled"


def test_ingest_has_a_limit_of_its_own(door: Door, settings: LazySettings) -> None:
    settings.VIGIL_REQUESTS_PER_MINUTE, settings.VIGIL_INGEST_REQUESTS_PER_MINUTE = 1, 10**7
    agent = doors.of("ingest", name="busy")
    assert {agent.send("POST", INGEST, b"{").status for _ in range(12)} == {400}
    settings.VIGIL_REQUESTS_PER_MINUTE, settings.VIGIL_INGEST_REQUESTS_PER_MINUTE = 10**7, 1
    assert [agent.send("POST", INGEST, b"{").status for _ in range(12)][-1] == 429


@pytest.mark.parametrize("credential", ["", "Bearer vgl_00000000_x_00000000"])
def test_strangers_are_throttled_by_their_address(door: Door, settings: LazySettings, credential: str) -> None:
    """S10: guessing keys is limited too."""
    settings.VIGIL_REQUESTS_PER_MINUTE = 1
    stranger = Client(REMOTE_ADDR=f"198.51.100.{len(credential)}", headers={"Authorization": credential})
    statuses = [
        stranger.get("/api/v1/actions", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(30)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_a_key_without_the_scope_is_throttled_as_well(door: Door, settings: LazySettings) -> None:
    """S10"""
    settings.VIGIL_REQUESTS_PER_MINUTE = 1
    wrong = doors.of("ingest", name="wrong")
    statuses = [wrong.send("GET", "/api/v1/actions", content_type="").status for _ in range(30)]
    assert (statuses[0], statuses[-1]) == (403, 429)


def test_answers_are_json_that_others_read_too(door: Door) -> None:
    answer = door.send("POST", INGEST, b'{"name":"cpu","value":1e308}', content_type=JSON)
    assert answer.status == 201
    assert json.loads(answer.body)["ok"] is True
    for path in LISTS:
        text = door.send("GET", path, content_type="").body.decode()
        assert not {"NaN", "Infinity"} & set(text.replace(",", " ").replace(":", " ").split())
