"""What the doors answer to strangers, and how errors look."""

import pytest
from django.conf import LazySettings
from django.test import Client

from actions import control
from vigil.access import keys
from vigil.kernel import clock
from vigil.telemetry import collectors

pytestmark = pytest.mark.django_db

PLAIN = ["/nothing", "/api/v1/nothing", "/api/v1/audit", "//api/v1", "/api/v1/%2e%2e/admin"]


def test_health_is_open(client: Client) -> None:
    assert client.get("/health").json() == {"status": "healthy", "service": "vigil"}


def test_ready_tells_each_part_and_no_secrets(client: Client) -> None:
    answer = client.get("/ready")
    assert answer.json()["checks"]["database"]["state"] == "ok"
    assert all(set(part) == {"state", "detail"} for part in answer.json()["checks"].values())


def test_ready_tells_strangers_no_more_than_states(client: Client, settings: LazySettings) -> None:
    control.set_mode(mode="paused", reason="a secret plan", actor="user:ana", at=clock.now())
    settings.VIGIL_METRICS_ALLOW = ["10.0.0.0/8"]
    answer = client.get("/ready")
    assert answer.json()["checks"]["control_switch"] == {"state": "degraded"}
    assert b"ana" not in answer.content
    assert b"plan" not in answer.content


def test_ready_tells_everything_to_a_key_that_may_read(client: Client, settings: LazySettings) -> None:
    settings.VIGIL_METRICS_ALLOW = ["10.0.0.0/8"]
    _, plain = keys.create(name="watcher", scopes=["read"], actor="user:ana")
    answer = client.get("/ready", headers={"Authorization": f"Bearer {plain}"})
    assert answer.json()["checks"]["database"]["detail"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_proxy_on_this_machine_does_not_open_the_metrics(client: Client, settings: LazySettings, header: str) -> None:
    assert client.get("/metrics", headers={header: "203.0.113.9"}).status_code == 401
    assert "detail" not in client.get("/ready", headers={header: "203.0.113.9"}).json()["checks"]["database"]
    settings.VIGIL_PROXIES = 1
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 401
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize("path", PLAIN)
def test_errors_for_machines_are_json_with_a_request_id(client: Client, path: str) -> None:
    answer = client.get(path)
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == {"detail", "code", "errors", "request_id"}
    assert answer.json()["request_id"] == answer["X-Request-ID"]


def test_a_foreign_host_is_refused_in_json(client: Client) -> None:
    answer = client.get("/health", headers={"Host": "evil.example"})
    assert answer.status_code in {200, 400}
    answer = client.get("/api/v1/audit", headers={"Host": "evil.example"})
    assert answer.status_code in {400, 401}
    assert answer["Content-Type"].startswith("application/json")


def test_a_decent_request_id_of_the_caller_is_kept(client: Client) -> None:
    assert client.get("/health", headers={"X-Request-ID": "trace-7"})["X-Request-ID"] == "trace-7"


@pytest.mark.parametrize("odd", ["a b", "x" * 65, "<script>", ""])
def test_an_odd_one_is_replaced(client: Client, odd: str) -> None:
    assert client.get("/health", headers={"X-Request-ID": odd})["X-Request-ID"] != odd


def test_metrics_are_open_to_this_machine(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"vigil_worker_up" in answer.content


def test_metrics_are_closed_to_strangers(client: Client, settings: LazySettings) -> None:
    settings.VIGIL_METRICS_ALLOW = ["10.0.0.0/8"]
    assert client.get("/metrics").status_code == 401


@pytest.mark.parametrize("path", ["/health", "/metrics", "/admin/login/", "/api/docs", "/api/v1/policies", *PLAIN])
def test_every_answer_comes_with_what_guards_it_in_a_browser(client: Client, path: str) -> None:
    answer = client.get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_wrong_verb_is_told_the_right_ones(client: Client) -> None:
    answer = client.post("/health")
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"
    assert answer.get("Content-Length", "") in {"", str(len(answer.content))}
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("verb", ["get", "options"])
def test_only_named_origins_may_call_the_api_from_a_page(client: Client, settings: LazySettings, verb: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://board.example"]
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for origin, path, allowed in (
        ("https://board.example", "/api/v1/incidents", True),
        ("https://evil.example", "/api/v1/incidents", False),
        ("https://board.example.evil.example", "/api/v1/incidents", False),
        ("null", "/api/v1/incidents", False),
        ("https://board.example", "/admin/", False),
        ("https://board.example", "/metrics", False),
    ):
        answer = getattr(client, verb)(path, headers={"Origin": origin, **asked})
        assert answer.get("Access-Control-Allow-Origin", "") == (origin if allowed else ""), (origin, path)
        assert "Access-Control-Allow-Credentials" not in answer


def test_over_https_cookies_and_pages_stay_there(settings: LazySettings, client: Client, admin_user: object) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True  # what VIGIL_HTTPS sets
    answer = client.post("/admin/login/", {"username": "admin", "password": "password"}, secure=True)
    cookie = answer.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)
    assert answer.cookies["csrftoken"]["secure"] is True


def test_the_console_asks_to_sign_in(client: Client) -> None:
    answer = client.get("/admin/")
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


def test_unknown_query_parameters_are_refused(admin_client: Client) -> None:
    answer = admin_client.get("/api/v1/audit", {"subjekt": "action:1"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "subjekt"


WRONG = [
    {"limit": "-1"},
    {"limit": "10000000000"},
    {"offset": "x"},
    {"since": "yesterday"},
    {"since": "0001-01-01T00:00:00+14:00"},
    {"until": "2026-01-19T12:00:00"},
]


@pytest.mark.parametrize("query", WRONG)
def test_wrong_query_values_are_refused(admin_client: Client, query: dict[str, str]) -> None:
    assert admin_client.get("/api/v1/audit", query).status_code == 422


def test_a_session_cannot_post_without_its_csrf_token(admin_user: object) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)  # type: ignore[arg-type]
    answer = client.put("/api/v1/control", "{}", content_type="application/json")
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "trace"])
def test_other_verbs_are_refused(admin_client: Client, method: str) -> None:
    assert getattr(admin_client, method)("/api/v1/audit").status_code == 405


def test_one_failing_collector_hides_no_other(client: Client) -> None:
    collectors.register("broken", lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    try:
        answer = client.get("/metrics")
    finally:
        del collectors._reads["broken"]
    assert b'vigil_collector_failed{collector="broken"} 1.0' in answer.content
    assert b"vigil_worker_up" in answer.content
