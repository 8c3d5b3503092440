"""Policy tests as their owners run them: the command, and the API for pipelines."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from policies.api import checks
from vigil.access import keys

FAILING = """
policies:
  - {name: high-cpu, target: "*", auto_remediate: true, condition: cpu > 90 for 5m, action: scale-up}
tests:
  - name: too early
    input_series: [{series: 'cpu{host="a"}', values: 95x5}]
    expect: [{at: 2m, incidents: [{policy: high-cpu, target: a, status: open}]}]
  - name: in time
    input_series: [{series: 'cpu{host="a"}', values: 95x5}]
    expect: [{at: 5m, actions: [{action: scale-up, target: a}]}]
"""
DOCUMENT: dict[str, Any] = {
    "policies": [
        {"name": "high-cpu", "target": "*", "auto_remediate": True, "condition": "cpu > 90", "action": "scale-up"}
    ],
    "tests": [
        {
            "name": "one",
            "input_series": [{"series": 'cpu{host="a"}', "values": "95"}],
            "expect": [{"at": "0s", "incidents": []}],
        }
    ],
}


class TestCommand:
    """It needs no database."""

    def run(self, tmp_path: Path, text: str, *arguments: str) -> tuple[int, str]:
        file, out = tmp_path / "tests.yaml", StringIO()
        file.write_text(text)
        try:
            call_command("check_policies", str(file), *arguments, stdout=out)
        except SystemExit as end:
            return int(str(end.code)), out.getvalue()
        return 0, out.getvalue()

    def test_failures_are_told_and_end_with_one(self, tmp_path: Path) -> None:
        code, told = self.run(tmp_path, FAILING)
        assert code == 1
        assert "FAILED  too early\n  at 2m\n    incidents\n      expected  high-cpu on a: open\n" in told
        assert "ok      in time" in told
        assert told.endswith("1 of 2 tests failed.\n")

    def test_all_well_ends_with_zero(self, tmp_path: Path) -> None:
        assert self.run(tmp_path, FAILING.replace("for 5m", "for 2m").replace("at: 5m", "at: 2m")) == (
            0,
            "ok      too early\nok      in time\n2 tests ok.\n",
        )

    def test_as_json(self, tmp_path: Path) -> None:
        code, told = self.run(tmp_path, FAILING, "--json")
        document = json.loads(told)
        assert (code, document["ok"]) == (1, False)
        ((_, report),) = document["files"].items()
        assert [test["ok"] for test in report["tests"]] == [False, True]

    def test_a_mistake_names_file_and_place(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=r"(?s)tests\.yaml: .*1 problem.*tests\[0\]\.expect\[0\]\.at: "):
            self.run(tmp_path, FAILING.replace("at: 2m", "at: soon"))

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("check_policies", "nowhere.yaml")


@pytest.mark.django_db
class TestApi:
    @pytest.fixture
    def client(self) -> Client:
        _, plain = keys.create(name="ci", scopes=["read"], actor="user:ana")
        return Client(headers={"Authorization": f"Bearer {plain}"})

    def post(self, client: Client, document: object) -> tuple[int, Any]:
        answer = client.post("/api/v1/policies/check", json.dumps(document), content_type="application/json")
        return answer.status_code, answer.json()

    def test_the_scope_read_is_enough_and_failure_is_an_answer(self, client: Client) -> None:
        status, told = self.post(client, DOCUMENT)
        assert (status, told["ok"]) == (200, False)
        (difference,) = told["tests"][0]["differences"]
        assert difference["got"] == "high-cpu on a: open"

    def test_a_mistake_is_422_with_its_place(self, client: Client) -> None:
        status, told = self.post(client, DOCUMENT | {"tests": [{"name": "one"}]})
        assert (status, told["code"]) == (422, "invalid_test_file")
        assert told["errors"][0]["path"] == "tests[0]"

    def test_no_file_is_read(self, client: Client) -> None:
        status, told = self.post(client, DOCUMENT | {"policies": ["policies.yaml"]})
        assert status == 422
        assert "write the policy out" in told["errors"][0]["message"]

    def test_it_ends_in_time(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "PATIENCE", checks.PATIENCE / 10**9)
        status, told = self.post(client, DOCUMENT)
        assert (status, told["code"]) == (422, "tests_too_long")

    def test_nobody_gets_no_answer(self) -> None:
        assert self.post(Client(), DOCUMENT)[0] == 401
