"""The command that brings rule files in."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from policies import authoring
from policies.models import Policy
from tests.integration.policies import cast
from vigil.kernel import clock

pytestmark = pytest.mark.django_db
RULES = """
groups:
  - name: g
    rules:
      - {alert: HighCpu, expr: cpu_usage > 90, labels: {severity: critical}}
      - {alert: ApiErrors, expr: 'sum(errors{service="api"}) > 5', for: 2m}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("import_rules", *arguments, stdout=out)
    return out.getvalue()


def test_without_being_told_it_keeps_nothing(file: Path) -> None:
    assert "2 alerting rules: 2 translated (100 %)" in run(str(file))
    assert not Policy.objects.exists()


def test_written_policies_observe_and_judge(file: Path) -> None:
    run(str(file), "--write")
    assert {(policy.name, policy.mode) for policy in Policy.objects.all()} == {
        ("high-cpu", "observe"),
        ("api-errors", "observe"),
    }
    settled = cast.only(cast.post(95, at=clock.now()))
    assert settled.decided is not None
    assert settled.decided.reason == "Would have ordered custom on web-01, but the policy only observes."


def test_written_again_nothing_changes(file: Path) -> None:
    run(str(file), "--write")
    run(str(file), "--write")
    assert authoring.current(authoring.get("high-cpu")).number == 1


def test_an_output_file_is_for_import_policies(file: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "policies.yaml"
    run(str(file), "--output", str(wanted), "--action", "restart")
    call_command("import_policies", str(wanted), stdout=StringIO())
    written = authoring.written(authoring.get("api-errors"))
    assert (written["target"], written["target_tag"], written["action"]) == ("api", "service", "restart")


def test_an_unknown_action_writes_nothing(file: Path) -> None:
    with pytest.raises(CommandError, match="high-cpu: action"):
        run(str(file), "--write", "--action", "explode")
    assert not Policy.objects.exists()


def test_the_report_as_json(file: Path) -> None:
    assert json.loads(run(str(file), "--report", "json"))["translated"] == 2


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run("nowhere.yml")
