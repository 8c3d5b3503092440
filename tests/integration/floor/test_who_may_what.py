"""Every address, verb and sort of caller: what each may do is written down here, and nothing beyond it is answered."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.integration.floor.test_nothing_is_open import API, VERBS
from vigil.access import keys
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

READ, WRITE, POLICIES, CONTROL, SIMULATOR, INGEST, REMEDIATOR = (
    *("read", "actions:write", "policies:write", "control", "simulator", "ingest", "remediator"),
)
EITHER = "actions:write|actions:approve"
"""Who may knock; which of the two counts depends on what the action waits for: see test_approvals."""
NEEDS = {
    "/api/v1/action-types": {"GET": READ},
    "/api/v1/actions": {"GET": READ, "POST": WRITE},
    "/api/v1/actions/1": {"GET": READ, "PATCH": WRITE},
    "/api/v1/actions/1/approve": {"POST": EITHER},
    "/api/v1/actions/1/cancel": {"POST": WRITE},
    "/api/v1/actions/1/explain": {"GET": READ},
    "/api/v1/actions/1/notes": {"POST": WRITE},
    "/api/v1/actions/1/reject": {"POST": EITHER},
    "/api/v1/actions/1/retry": {"POST": WRITE},
    "/api/v1/actions/status/pending": {"GET": READ},
    "/api/v1/audit": {"GET": READ},
    "/api/v1/common-causes": {"GET": READ},
    "/api/v1/control": {"GET": READ, "PUT": CONTROL},
    "/api/v1/explain": {"GET": READ},
    "/api/v1/freezes": {"GET": READ},
    "/api/v1/freezes/1/lift": {"POST": WRITE},
    "/api/v1/guards": {"GET": READ},
    "/api/v1/guards/lift": {"POST": WRITE},
    "/api/v1/guards/reset": {"POST": CONTROL},
    "/api/v1/incidents": {"GET": READ},
    "/api/v1/incidents/1": {"GET": READ},
    "/api/v1/incidents/1/acknowledge": {"POST": WRITE},
    "/api/v1/incidents/1/explain": {"GET": READ},
    "/api/v1/incidents/1/resolve": {"POST": WRITE},
    "/api/v1/ingest": {"POST": INGEST},
    "/api/v1/ingest/agent/metrics": {"POST": INGEST},
    "/api/v1/ingest/alertmanager": {"POST": INGEST},
    "/api/v1/ingest/checks": {"POST": INGEST},
    "/api/v1/ingest/cloudevents": {"POST": INGEST},
    "/api/v1/ingest/collectd": {"POST": INGEST},
    "/api/v1/ingest/exposition": {"POST": INGEST},
    "/api/v1/ingest/influx/api/v2/write": {"POST": INGEST},
    "/api/v1/ingest/influx/write": {"POST": INGEST},
    "/api/v1/ingest/otlp/v1/metrics": {"POST": INGEST},
    "/api/v1/ingest/prometheus": {"POST": INGEST},
    "/api/v1/ingest/telegraf": {"POST": INGEST},
    "/api/v1/inhibitions": {"GET": READ, "POST": WRITE},
    "/api/v1/inhibitions/1": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/api/v1/maintenance": {"GET": READ, "POST": WRITE},
    "/api/v1/maintenance/1": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/api/v1/maintenance/preview": {"POST": READ},
    "/api/v1/metrics": {"GET": READ},
    "/api/v1/metrics/query": {"GET": READ},
    "/api/v1/policies": {"GET": READ, "POST": POLICIES},
    "/api/v1/policies/check": {"POST": READ},
    "/api/v1/policies/evaluate": {"POST": READ},
    "/api/v1/policies/reload": {"POST": POLICIES},
    "/api/v1/policies/runner/status": {"GET": READ},
    "/api/v1/policies/severity/warning": {"GET": READ},
    "/api/v1/policies/some-name": {"GET": READ, "PUT": POLICIES, "PATCH": POLICIES, "DELETE": POLICIES},
    "/api/v1/policies/some-name/backtest": {"POST": READ},
    "/api/v1/policies/some-name/disable": {"PUT": POLICIES},
    "/api/v1/policies/some-name/enable": {"PUT": POLICIES},
    "/api/v1/policies/some-name/promote": {"POST": POLICIES},
    "/api/v1/queue/stats": {"GET": READ},
    "/api/v1/silences": {"GET": READ, "POST": WRITE},
    "/api/v1/silences/1": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/api/v1/silences/preview": {"POST": READ},
    "/api/v1/simulator/start": {"POST": SIMULATOR},
    "/api/v1/simulator/status": {"GET": READ},
    "/api/v1/simulator/stop": {"POST": SIMULATOR},
    "/api/v1/ui/queue/stats": {"GET": READ},
    "/api/v1/ui/simulator/start": {"POST": SIMULATOR},
    "/api/v1/ui/simulator/status": {"GET": READ},
    "/api/v1/ui/simulator/stop": {"POST": SIMULATOR},
    "/remediator/results": {"POST": REMEDIATOR},
    "/remediator/tasks": {"GET": REMEDIATOR},
}
"""What each verb of each address needs; a verb that is not here is nobody's."""
SIGNED = "/api/v1/actions/1/result"
"""Its credential is the signature of the action's own remediator, and no scope is enough: see test_reports."""
ALL = {READ, WRITE, "actions:approve", POLICIES, REMEDIATOR, CONTROL, SIMULATOR, INGEST}
ROLES = {
    "viewer": {READ},
    "operator": {READ, WRITE, CONTROL, SIMULATOR},
    "editor": {READ, POLICIES},
    "approver": {READ, "actions:approve"},
    "admin": ALL,
    "nobody": set[str](),
}
EVERY_VERB = (*VERBS, "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")

type Knock = Callable[[str, str], int]


@pytest.fixture(autouse=True)
def _no_cache(settings: LazySettings) -> Iterator[None]:
    settings.VIGIL_REQUESTS_PER_MINUTE = 1_000_000  # the walk is long, and every step is by the same caller
    keys.forget_cache()
    yield
    keys.forget_cache()


def _with_key(plain: str) -> Client:
    keys.forget_cache()
    return Client(headers={"Authorization": f"Bearer {plain}"})


def _signed_in(role: str) -> Client:
    user = User.objects.create_user(f"{role}-ana", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def _try(client: Client, verb: str, path: str) -> tuple[int, str]:
    answer = client.generic(verb, path, "{}", content_type="application/json")
    return answer.status_code, answer.json()["code"] if answer.status_code >= 400 and answer.content else ""


def _check(client: Client, allowed: set[str]) -> None:
    """Allowed: whatever the answer is, it is no refusal of this caller. Else it is one, or there is no such verb."""
    for path, needs in NEEDS.items():
        for verb in VERBS:
            status, code = _try(client, verb, path)
            if allowed & set(needs.get(verb, "").split("|")):
                assert status not in {401, 403, 405, 500} or code == "simulator_disabled", f"{verb} {path}: {status}"
            else:
                assert status in {403, 405}, f"{verb} {path}: {status}"


def test_every_address_is_in_the_table() -> None:
    assert set(API) - set(NEEDS) == {"/api/docs", "/api/schema", SIGNED}
    twice = {path.replace("/ui/", "/") for path in API if "/ui/" in path}
    assert set(NEEDS) <= set(API) | twice


@pytest.mark.parametrize("scope", sorted(ALL))
def test_a_key_may_do_what_its_scope_says_and_nothing_else(scope: str) -> None:
    _, plain = keys.create(name="stranger", scopes=[scope], actor="user:ana")
    _check(_with_key(plain), {scope})


@pytest.mark.parametrize("role", ROLES)
def test_a_person_may_do_what_the_role_says_and_nothing_else(role: str) -> None:
    _check(_signed_in(role), ROLES[role])


def _credential(sort: str) -> dict[str, str]:
    at = clock.now() - timedelta(days=2)
    key, plain = keys.create(name="all", scopes=ALL, actor="user:ana", at=at, expires_at=at + timedelta(days=1))
    if sort == "revoked":
        key, plain = keys.create(name="all", scopes=ALL, actor="user:ana")
        keys.revoke(key=key, actor="user:ana", at=clock.now())
    keys.forget_cache()
    wrong = {"garbage": "vgl_0000ffff_x_00000000", "expired": plain, "revoked": plain}
    return {"Authorization": f"Bearer {wrong[sort]}"} if sort in wrong else {}


@pytest.mark.parametrize("sort", ["nobody", "garbage", "revoked", "expired"])
def test_who_has_no_good_credential_gets_nowhere_by_any_verb(sort: str) -> None:
    client = Client(headers=_credential(sort))
    for path in API:
        for verb in EVERY_VERB:
            status, _ = _try(client, verb, path)
            assert status in {401, 405} or (path == SIGNED and status == 403), f"{verb} {path}: {status}"


def test_a_switched_off_account_is_a_stranger_at_once() -> None:
    client = _signed_in("admin")
    assert client.get("/api/v1/control").status_code == 200
    User.objects.update(is_active=False)
    assert client.get("/api/v1/control").status_code == 401


def test_no_session_writes_without_its_token() -> None:
    client = _signed_in("admin")
    client.handler.enforce_csrf_checks = True
    for path, needs in NEEDS.items():
        for verb in needs.keys() - {"GET"}:
            assert _try(client, verb, path) == (403, "forbidden"), f"{verb} {path}"
