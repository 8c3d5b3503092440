"""The doors of muting: shapes, refusals that help, and who may."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from metrics.formats.reading import Reading
from policies import intake
from policies.models import Silence
from tests.integration.policies import cast
from vigil.access import keys
from vigil.audit.models import Entry
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

HOURS = timedelta(hours=1)
SILENCE: dict[str, object] = {"matchers": ["target = web-*"], "duration": "2h", "comment": "deploy"}
WINDOW: dict[str, object] = {
    "target": "db-*",
    "weekly": {"days": ["sat"], "from": "22:00", "to": "02:00", "timezone": "Europe/Berlin"},
    "comment": "backups",
}
RULE: dict[str, object] = {
    "name": "dead host",
    "source": ["policy = host-down"],
    "target": ["policy != host-down"],
    "equal": ["host"],
}


def _caller(*scopes: str, targets: tuple[str, ...] = ()) -> Client:
    name = f"key-{'-'.join(scopes).replace(':', '')}-{len(targets)}"
    _, plain = keys.create(name=name, scopes=scopes, actor="user:ana", targets=targets)
    keys.forget_cache()
    return Client(headers={"Authorization": f"Bearer {plain}"})


@pytest.fixture
def client(db: None) -> Client:
    return _caller("ingest", "read", "actions:write")


def _send(client: Client, method: str, path: str, body: object = None) -> Any:
    content = json.dumps(body) if body is not None else ""
    return client.generic(method, f"/api/v1/{path}", content, content_type="application/json")


def _errors(response: Any) -> dict[str, str]:
    assert response.status_code == 422, response.content
    return {one["path"]: one["message"] for one in response.json()["errors"]}


class TestSilences:
    def test_are_made_read_changed_and_ended(self, client: Client) -> None:
        made = _send(client, "POST", "silences", SILENCE)
        assert made.status_code == 201
        shown = made.json()
        expected = {"matchers": ["target = web-*"], "comment": "deploy", "state": "active", "ended_at": None}
        assert shown.items() >= expected.items()
        path = f"silences/{shown['id']}"
        assert _send(client, "GET", path).json() == shown
        changed = _send(client, "PATCH", path, {"comment": "a longer deploy", "duration": "3h"}).json()
        assert changed["comment"] == "a longer deploy"
        assert changed["ends_at"] > shown["ends_at"]
        assert _send(client, "DELETE", path).json()["state"] == "expired"
        assert _send(client, "DELETE", path).status_code == 409
        assert _send(client, "PUT", path, {"comment": "again"}).status_code == 409
        kinds = Entry.objects.filter(subject=f"silence:{shown['id']}").order_by("seq").values_list("kind", flat=True)
        assert list(kinds) == ["silence.created", "silence.updated", "silence.ended"]

    def test_are_listed_by_state(self, client: Client) -> None:
        first, second = (_send(client, "POST", "silences", SILENCE).json()["id"] for _ in range(2))
        _send(client, "DELETE", f"silences/{first}")
        for state, ids in (("live", [second]), ("expired", [first]), ("", [second, first])):
            answer = _send(client, "GET", f"silences?state={state}" if state else "silences").json()
            assert [one["id"] for one in answer["silences"]] == ids
        assert _send(client, "GET", "silences?state=loud").status_code == 422

    def test_take_matchers_as_objects_too(self, client: Client) -> None:
        matcher = {"name": "region", "operator": "=~", "value": "us-(east|west)-1"}
        shown = _send(client, "POST", "silences", SILENCE | {"matchers": [matcher]}).json()
        assert shown["matchers"] == ["region =~ us-(east|west)-1"]

    @pytest.mark.parametrize(
        ("change", "path", "part"),
        [
            ({"matchers": []}, "matchers", "`target = web-*`"),
            ({"matchers": ["target"]}, "matchers[0]", "name, operator and value"),
            ({"matchers": [7]}, "matchers[0]", "`target = web-*`"),
            ({"matchers": "target = x"}, "matchers", "a list"),
            ({"matchers": ["target != web-*"]}, "matchers", "`target = *`"),
            ({"matchers": ["severity = loud"]}, "matchers[0]", "info, warning, critical"),
            ({"matchers": ["target =~ web-["]}, "matchers[0]", "RE2"),
            ({"matcher": []}, "matcher", "`matchers`"),
            ({"comment": " "}, "comment", "Say it"),
            ({"comment": "x" * 501}, "comment", "500"),
            ({"duration": "2 hours"}, "duration", "30s, 5m, 2h or 1d"),
            ({"duration": None}, "ends_at", "duration"),
            ({"ends_at": "2030-01-01T00:00:00Z"}, "duration", "not both"),
            ({"starts_at": "tomorrow"}, "starts_at", "with a zone"),
            ({"starts_at": "2030-01-01T00:00:00"}, "starts_at", "with a zone"),
            ({"starts_at": "9999-12-31T23:59:00Z"}, "starts_at", "a century"),
            ({"duration": None, "ends_at": "2020-01-01T00:00:00Z"}, "ends_at", "in the past"),
            (
                {"duration": None, "starts_at": "2099-01-02T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"},
                "ends_at",
                "before it starts",
            ),
            ({"duration": None, "ends_at": "2999-01-01T00:00:00Z"}, "ends_at", "366 days"),
            ({"incident_id": 999_999}, "incident_id", "no open incident"),
            ({"incident_id": "7"}, "incident_id", "number"),
        ],
    )
    def test_that_make_no_sense_are_refused_with_advice(
        self, client: Client, change: dict[str, object], path: str, part: str
    ) -> None:
        errors = _errors(_send(client, "POST", "silences", SILENCE | change))
        assert part in errors[path]
        assert not Silence.objects.exists()

    def test_that_are_wrong_in_several_places_are_told_all_of_them(self, client: Client) -> None:
        wrong = {"matchers": ["targets = web-*"], "duration": "2 hours", "comment": ""}
        answer = _send(client, "POST", "silences", wrong)
        assert answer.json()["detail"].startswith("This is not a silence: ")
        errors = _errors(answer)
        assert errors.keys() == {"matchers[0]", "duration", "comment"}
        assert errors["matchers[0]"] == "`targets`: did you mean `target`?"
        assert errors["duration"].endswith("did you mean `2h`?")

    def test_show_what_they_would_mute(self, client: Client) -> None:
        at = clock.now()
        cast.policy()
        cast.post(92, at=at)
        cast.post(92, at=at, host="db-01")
        answer = _send(client, "POST", "silences/preview", {"matchers": ["target = web-*"]}).json()
        assert (answer["incidents"], answer["targets"], answer["known_targets"]) == (1, 1, 2)
        assert answer["muted"][0]["target"] == "web-01"
        assert answer["sentence"] == (
            "It would mute 1 live incident now. It covers 1 of 2 known targets and 1 policy in force."
        )
        assert not Silence.objects.exists()
        assert _send(client, "POST", "silences/preview", {"matchers": ["x"]}).status_code == 422

    def test_of_an_incident_end_with_it(self, client: Client) -> None:
        cast.policy()
        cast.post(92, at=clock.now())
        incident = cast.incident().pk
        made = _send(client, "POST", "silences", {"incident_id": incident, "comment": "mine"}).json()
        assert (made["matchers"], made["ends_at"]) == ([], None)
        _send(client, "POST", f"incidents/{incident}/resolve")
        assert _send(client, "GET", f"silences/{made['id']}").json()["ended_by"] == "vigil"


class TestMaintenance:
    def test_is_announced_weekly_and_shows_its_next_opening(self, client: Client) -> None:
        shown = _send(client, "POST", "maintenance", WINDOW).json()
        assert shown["weekly"] == WINDOW["weekly"]
        assert shown["ends_at"] is None
        assert shown["opening"]["from"] < shown["opening"]["to"]
        assert shown["sentence"] == "db-* every sat from 22:00 to 02:00 Europe/Berlin: backups"

    def test_is_announced_once_changed_and_ended(self, client: Client) -> None:
        once = {"target": "db-*", "duration": "1h", "comment": "new disks"}
        shown = _send(client, "POST", "maintenance", once).json()
        assert shown["state"] == "active"
        path = f"maintenance/{shown['id']}"
        assert _send(client, "PATCH", path, {"target": "db-01"}).json()["target"] == "db-01"
        assert _send(client, "DELETE", path).json()["state"] == "expired"
        assert _send(client, "DELETE", path).status_code == 409
        assert _send(client, "GET", "maintenance?state=live").json()["maintenance"] == []

    @pytest.mark.parametrize(
        ("change", "path", "part"),
        [
            ({"target": ""}, "target", "every target"),
            ({"target": "web-[0-9]"}, "target", "regular expression"),
            ({"weekly": {}}, "weekly.days", "mon, tue"),
            ({"weekly": {"days": ["saturday"]}}, "weekly.days[0]", "mon, tue"),
            ({"weekly": {"days": ["sat"], "from": "22", "to": "02:00"}}, "weekly.from", "22:00"),
            ({"weekly": {"days": ["sat"], "from": "22:00", "to": "24:00"}}, "weekly.to", "22:00"),
            ({"weekly": {"timezone": "Europe/Berln"}}, "weekly.timezone", "Europe/Berlin"),
            ({"weekly": {"timezone": "new york"}}, "weekly.timezone", "did you mean America/New_York?"),
            ({"weekly": {"timezone": "CEST"}}, "weekly.timezone", "Europe/Berlin"),
            ({"weekly": {"timezome": "UTC"}}, "weekly.timezome", "`timezone`"),
            ({"weekly": None}, "ends_at", "duration"),
            ({"day": "sat"}, "day", "the fields are"),
        ],
    )
    def test_that_makes_no_sense_is_refused_with_advice(
        self, client: Client, change: dict[str, object], path: str, part: str
    ) -> None:
        assert part in _errors(_send(client, "POST", "maintenance", WINDOW | change))[path]

    def test_shows_what_it_would_mute(self, client: Client) -> None:
        cast.policy()
        cast.policy(name="always", act_in_maintenance=True)
        cast.post(92, at=clock.now())
        answer = _send(client, "POST", "maintenance/preview", {"target": "web-*"}).json()
        assert (answer["incidents"], answer["policies"]) == (1, ["high-cpu-alert"])
        assert _send(client, "POST", "maintenance/preview", {"target": ""}).status_code == 422


class TestInhibitions:
    def test_are_made_changed_and_removed_and_the_name_is_free_again(self, client: Client) -> None:
        shown = _send(client, "POST", "inhibitions", RULE).json()
        assert shown["sentence"] == ("while policy = host-down is open, hold policy != host-down with the same host")
        assert _send(client, "POST", "inhibitions", RULE).status_code == 409
        path = f"inhibitions/{shown['id']}"
        assert _send(client, "PUT", path, {"equal": ["rack"]}).json()["equal"] == ["rack"]
        assert _send(client, "DELETE", path).status_code == 200
        assert _send(client, "GET", "inhibitions").json()["count"] == 0
        assert _send(client, "POST", "inhibitions", RULE).status_code == 201

    @pytest.mark.parametrize(
        ("change", "path", "part"),
        [
            ({"name": ""}, "name", "Say it"),
            ({"source": []}, "source", "`target = web-*`"),
            ({"target": ["policy != x"], "equal": []}, "target", "`target = *`"),
            ({"equal": "host"}, "equal", "a list"),
            ({"equal": ["a b"]}, "equal[0]", "tag"),
        ],
    )
    def test_that_make_no_sense_are_refused_with_advice(
        self, client: Client, change: dict[str, object], path: str, part: str
    ) -> None:
        assert part in _errors(_send(client, "POST", "inhibitions", RULE | change))[path]


class TestIncidents:
    def test_say_that_they_are_muted_and_why(self, client: Client) -> None:
        cast.policy()
        _send(client, "POST", "silences", SILENCE)
        cast.post(92, at=clock.now(), region="us-east-1")
        [shown] = _send(client, "GET", "incidents").json()["incidents"]
        assert shown["tags"] == {"host": "web-01", "region": "us-east-1"}
        assert shown["muted"]["by"] == "silence"
        assert shown["muted"]["reason"].startswith("silenced by key:")
        whole = _send(client, "GET", f"incidents/{shown['id']}").json()
        assert whole["muted"] == shown["muted"]
        assert whole["decisions"][0]["guard"] == "silence"
        text = _send(client, "GET", f"incidents/{shown['id']}/explain").json()["text"]
        assert "hold (silence): silenced by key:" in text
        assert "It is muted: silenced by key:" in text

    def test_are_silenced_by_acknowledging_them(self, client: Client) -> None:
        cast.policy()
        cast.post(92, at=clock.now())
        answer = _send(client, "POST", f"incidents/{cast.incident().pk}/acknowledge", {"note": "on it"}).json()
        assert answer["muted"]["reason"].endswith("until the incident is over: on it")

    def test_that_are_not_muted_say_null(self, client: Client) -> None:
        cast.policy()
        cast.post(92, at=clock.now())
        assert _send(client, "GET", "incidents").json()["incidents"][0]["muted"] is None


class TestCommonCauses:
    @pytest.fixture
    def storm(self, db: None) -> None:
        cast.policy()
        at = clock.now()
        for seconds, value in ((0, 40), (1, 92)):
            readings = [
                Reading(name="cpu_usage", value=value, tags={"host": f"web-0{number}"}, at=at) for number in range(6)
            ]
            intake.accept(readings=readings, at=at + timedelta(seconds=seconds), actor="key:agent-1")

    @pytest.mark.usefixtures("storm")
    def test_are_listed_with_the_incidents_they_hold(self, client: Client) -> None:
        shown = _send(client, "GET", "common-causes?state=live").json()
        [cause] = shown["common_causes"]
        assert (cause["state"], cause["policy_name"], cause["bad"], cause["known"]) == (
            "active",
            "high-cpu-alert",
            6,
            6,
        )
        assert [one["target"] for one in cause["incidents"]] == [f"web-0{number}" for number in range(6)]
        assert _send(client, "GET", "common-causes?state=expired").json()["count"] == 0

    @pytest.mark.usefixtures("storm")
    def test_are_not_told_to_a_key_that_is_bound_to_some_targets(self) -> None:
        assert _send(_caller("read", targets=("web-00",)), "GET", "common-causes").json()["count"] == 0


class TestWhoMay:
    @pytest.mark.parametrize(("path", "body"), [("silences", SILENCE), ("maintenance", WINDOW), ("inhibitions", RULE)])
    def test_a_reader_reads_alone(self, db: None, path: str, body: dict[str, object]) -> None:
        made = _send(_caller("read", "actions:write"), "POST", path, body).json()["id"]
        reader = _caller("read")
        assert _send(reader, "GET", path).status_code == 200
        assert _send(reader, "GET", f"{path}/{made}").status_code == 200
        assert _send(reader, "POST", path, body).status_code == 403
        for method in ("PUT", "PATCH", "DELETE"):
            assert _send(reader, method, f"{path}/{made}", {}).status_code == 403

    @pytest.mark.parametrize(
        ("matchers", "status"),
        [
            (["target = web-*"], 201),
            (["target = web-01", "severity = info"], 201),
            (["target = *"], 403),
            (["target = w*"], 403),
            (["target =~ web-.*"], 403),
            (["severity = info"], 403),
            (["target = db-01"], 403),
        ],
    )
    def test_a_bound_key_mutes_its_own_targets_alone(self, db: None, matchers: list[str], status: int) -> None:
        bound = _caller("read", "actions:write", targets=("web-*",))
        assert _send(bound, "POST", "silences", SILENCE | {"matchers": matchers}).status_code == status

    def test_a_bound_key_neither_sees_nor_ends_what_is_about_others(self, client: Client) -> None:
        silence = _send(client, "POST", "silences", SILENCE).json()["id"]
        window = _send(client, "POST", "maintenance", WINDOW).json()["id"]
        stranger = _caller("read", "actions:write", targets=("cache-*",))
        assert _send(stranger, "GET", "silences").json()["count"] == 0
        assert _send(stranger, "GET", "maintenance").json()["count"] == 0
        for path in (f"silences/{silence}", f"maintenance/{window}"):
            for method in ("GET", "PUT", "DELETE"):
                assert _send(stranger, method, path, {}).status_code == 404

    def test_a_bound_key_cannot_widen_a_silence_of_its_own(self, db: None) -> None:
        bound = _caller("read", "actions:write", targets=("web-*",))
        made = _send(bound, "POST", "silences", SILENCE).json()["id"]
        assert _send(bound, "PATCH", f"silences/{made}", {"matchers": ["target = *"]}).status_code == 403
        assert _send(bound, "PATCH", f"silences/{made}", {"comment": "still mine"}).status_code == 200

    def test_a_bound_key_makes_no_inhibition_rule(self, db: None) -> None:
        bound = _caller("read", "actions:write", targets=("web-*",))
        assert _send(bound, "POST", "inhibitions", RULE).status_code == 403

    @pytest.mark.parametrize("path", ["silences/999", "maintenance/999", "inhibitions/999"])
    def test_what_is_not_there_is_404(self, client: Client, path: str) -> None:
        for method in ("GET", "PUT", "DELETE"):
            assert _send(client, method, path, {}).status_code == 404
