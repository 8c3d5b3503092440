"""Policies as files: strict, all or nothing, and back again."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from actions import queries
from policies import authoring, transfer
from policies.documents import UnableToReadPolicy
from policies.models import Policy, PolicyVersion
from policies.transfer import UnableToImport
from tests.integration.policies import cast
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

GOOD = """
policies:
  - name: high-cpu-alert
    target: web-*
    auto_remediate: true
    condition: cpu_usage > 90
    action: scale-up
    params: {replicas: 2}
  - name: disk-full
    target: "*"
    severity: critical
    condition:
      type: metric_exceeds
      metric: disk_percent
      threshold: 95.5
    action: restart
    cooldown: 10m
"""


def _load(text: str | bytes) -> list[tuple[str, str]]:
    content = text if isinstance(text, bytes) else text.encode()
    return [(one.name, one.change) for one in transfer.load(content=content, actor="user:ana", at=clock.now())]


def _run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def test_a_file_makes_its_policies() -> None:
    assert _load(GOOD) == [("high-cpu-alert", "create"), ("disk-full", "create")]
    assert authoring.written(authoring.get("disk-full"))["condition"] == {
        "type": "metric_exceeds",
        "metric": "disk_percent",
        "threshold": 95.5,
    }


def test_the_same_file_again_changes_nothing() -> None:
    _load(GOOD)
    assert _load(GOOD) == [("high-cpu-alert", "unchanged"), ("disk-full", "unchanged")]
    assert PolicyVersion.objects.count() == 2


def test_an_edited_file_makes_a_version() -> None:
    _load(GOOD)
    assert _load(GOOD.replace("cpu_usage > 90", "cpu_usage > 80"))[0] == ("high-cpu-alert", "update")


def test_an_export_is_a_file_that_imports_unchanged() -> None:
    cast.policy(then=[{"action": "restart", "after": "5m"}], rate={"count": 2, "per": "1h"}, description="Ünï: yes")
    cast.policy(name="observed", auto_remediate=False, enabled=False)
    exported = transfer.dump()
    assert {change for _, change in _load(exported)} == {"unchanged"}


def test_a_file_with_one_error_imports_nothing_and_names_all() -> None:
    text = GOOD.replace("scale-up", "explode").replace("threshold: 95.5", "threshold: high")
    with pytest.raises(UnableToImport) as caught:
        _load(text)
    paths = [error.path for error in caught.value.errors]
    assert "high-cpu-alert: action" in paths
    assert any(path.startswith("disk-full: condition") for path in paths)
    assert not Policy.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policies: [", "YAML"),
        ("", "no policies"),
        ("policies: []", "no policies"),
        ("policies: {}", "no policies"),
        ("policies:\n- name: a\n---\npolicies:\n- name: b", "another document"),
        ("policies:\n- {name: a, name: b}", "stands twice"),
        ("x: &a [1]\npolicies: *a", "aliases and anchors"),
        ("policies:\n- &a {name: a}", "aliases and anchors"),
        ("policies:\n- {<<: {name: a}}", "merging"),
        ("policies:\n- !!python/object/apply:os.system ['true']", "tags are not accepted"),
        ("policies:\n- !!str a", "tags are not accepted"),
        ("policies:\n\t- name: a", "YAML"),
        ("[" * 5000, "nested too deeply"),
        ("policies:\n- {1: a}", "a key is a plain word"),
    ],
)
def test_yaml_that_surprises_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnableToImport, match=said):
        _load(text)


@pytest.mark.parametrize("word", ["NO", "yes", "on", "0o10", "12:30:45", "2026-01-19", "0x1F", ".inf", ".nan", "1_000"])
def test_words_stay_words(word: str) -> None:
    text = GOOD.replace("auto_remediate: true", f"auto_remediate: {word}")
    with pytest.raises(UnableToReadPolicy) as caught:
        _load(text)
    assert "not text" in caught.value.errors[0].message


def test_bytes_that_are_no_utf8_and_files_too_large_are_refused() -> None:
    with pytest.raises(UnableToImport, match="UTF-8"):
        _load(b"policies:\n- name: \xff")
    with pytest.raises(UnableToImport, match="larger"):
        _load(b" " * (transfer.FILE_MAX_BYTES + 1))


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(UnableToImport) as caught:
        _load(GOOD.replace("disk-full", "high-cpu-alert"))
    assert caught.value.errors[0].message == "This policy stands in the file twice."


class TestCommands:
    def test_import(self, tmp_path: Path) -> None:
        file = tmp_path / "policies.yaml"
        file.write_text(GOOD)
        assert "create     disk-full" in _run("import_policies", str(file), "--note", "from git")
        assert authoring.current(authoring.get("disk-full")).note == "from git"

    def test_a_dry_run_writes_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "policies.yaml"
        file.write_text(GOOD)
        assert "nothing was written" in _run("import_policies", str(file), "--dry-run")
        assert not Policy.objects.exists()

    def test_errors_name_policy_and_path(self, tmp_path: Path) -> None:
        file = tmp_path / "policies.yaml"
        file.write_text(GOOD.replace("cooldown: 10m", "cooldown: soon"))
        with pytest.raises(CommandError, match="disk-full: cooldown: write a duration"):
            _run("import_policies", str(file))

    def test_a_file_that_is_not_there(self) -> None:
        with pytest.raises(CommandError, match="cannot be read"):
            _run("import_policies", "nowhere.yaml")

    def test_export(self, tmp_path: Path) -> None:
        cast.policy()
        assert "name: high-cpu-alert" in _run("export_policies")
        file = tmp_path / "out.yaml"
        _run("export_policies", "high-cpu-alert", "-o", str(file))
        assert "cpu_usage" in file.read_text()

    def test_export_of_nobody(self) -> None:
        with pytest.raises(CommandError, match="no policy 'nobody'"):
            _run("export_policies", "nobody")

    def test_explain(self) -> None:
        cast.policy()
        cast.post(92, at=clock.now())
        text = _run("explain", str(cast.incident().pk))
        assert "high-cpu-alert (version 1) on web-01" in text
        assert "decision: order: Ordered scale-up on web-01: cpu_usage 92 > 90" in text

    def test_explain_of_an_action_and_of_a_pair_as_json(self) -> None:
        cast.policy()
        cast.post(92, at=clock.now())
        action_id = queries.for_incident(cast.incident().pk)[0].id
        of_action = json.loads(_run("explain", "--action", str(action_id), "--json"))
        assert of_action["ordered_on"]["condition"]["series"][0]["samples"][0]["value"] == 92
        pair = json.loads(_run("explain", "--policy", "high-cpu-alert", "--target", "web-01", "--json"))
        assert {gate["gate"] for gate in pair["gates"]} >= {"condition", "incident", "mode", "ladder"}

    @pytest.mark.parametrize(
        "wrong",
        [
            (),
            ("7", "--action", "8"),
            ("--policy", "p"),
            ("--policy", "high-cpu-alert", "--target", "web-01", "--at", "noon"),
        ],
    )
    def test_explain_of_half_a_question(self, wrong: tuple[str, ...]) -> None:
        cast.policy()
        with pytest.raises(CommandError, match=r"Say one of|is no time with a zone"):
            _run("explain", *wrong)

    def test_explain_of_none(self) -> None:
        with pytest.raises(CommandError, match="There is no incident 999"):
            _run("explain", "999")
