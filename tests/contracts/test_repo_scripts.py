"""The script behind every verb, as a fresh machine meets it."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts import repository

SCRIPTS = ("scripts/vigil", "scripts/pick-python", ".ci/run")
BARE = {"PATH": "/usr/bin:/bin"}


def run(*command: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=repository.ROOT, env=env, capture_output=True, text=True, check=False)


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_executable_and_parses(script: str) -> None:
    assert (repository.ROOT / script).stat().st_mode & stat.S_IXUSR
    assert run("bash", "-n", script, env=BARE).returncode == 0


def test_every_make_verb_calls_the_script_with_the_same_verb() -> None:
    makefile = (repository.ROOT / "Makefile").read_text()
    called = dict(re.findall(r"^([a-z]+):\n\t@scripts/vigil ([a-z]+)", makefile, flags=re.MULTILINE))
    assert called == {verb: verb for verb in repository.make_verbs()}


def test_every_make_verb_is_explained_by_the_script() -> None:
    explained = run("scripts/vigil", "help", env=BARE).stdout
    assert [verb for verb in repository.make_verbs() - {"help"} if f"\n  {verb} " not in explained] == []


def test_an_unknown_verb_is_refused_by_name() -> None:
    answer = run("scripts/vigil", "fly", env=BARE)
    assert answer.returncode == 2
    assert "no verb 'fly'" in answer.stderr


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "python3.12", "echo 'version 3.12 is not installed' >&2; exit 127")
    good = executable(tmp_path / ".pyenv" / "versions" / "3.12.9" / "bin" / "python", f'exec {sys.executable} "$@"')
    answer = run("scripts/pick-python", env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)})
    assert answer.returncode == 0, f"{good} runs, but: {answer.stderr}"
    assert Path(answer.stdout.strip()).exists()


def test_no_python_anywhere_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    for tool in ("bash", "env", "dirname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}" if os.path.exists(f"/usr/bin/{tool}") else f"/bin/{tool}")
    executable(tmp_path / "python3", "exit 1")
    answer = run("scripts/pick-python", env={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    if answer.returncode == 0:  # this machine has one where everybody's programs are
        assert answer.stdout.startswith(("/usr/local/", "/opt/"))
    else:
        assert answer.returncode == 3
        assert answer.stderr.count("\n") == 1
        assert "VIGIL_PYTHON" in answer.stderr


def test_a_named_python_that_is_no_good_is_not_replaced_by_another(tmp_path: Path) -> None:
    old = executable(tmp_path / "python", "exit 1")
    answer = run("scripts/pick-python", env={**BARE, "HOME": str(tmp_path), "VIGIL_PYTHON": str(old)})
    assert answer.returncode == 3
    assert str(old) in answer.stderr


def test_the_reports_of_several_runs_add_up(tmp_path: Path) -> None:
    suite = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'
    (tmp_path / "one.xml").write_text(suite.format(10, 1, 1, 2))
    (tmp_path / "two.xml").write_text(suite.format(5, 0, 0, 0))
    answer = run(sys.executable, "scripts/sum-reports", *map(str, sorted(tmp_path.iterdir())), env=BARE)
    assert answer.stdout == "11 passed, 2 failed, 2 skipped\n"


def test_requirements_are_locked_with_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        pins = re.findall(r"^([a-z0-9][\w.\[\]-]*)==\S+(.*)$", repository.text_of(Path(name)), flags=re.M | re.I)
        assert len(pins) > 30
        text = repository.text_of(Path(name))
        assert text.count("==") <= text.count("--hash=sha256:")
