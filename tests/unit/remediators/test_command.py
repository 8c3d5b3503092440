"""Commands run without a shell, for a bounded time, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from actions.remediators import base, process, registry
from tests.unit.remediators import peers

INJECTIONS = [
    *(
        ";id",
        "a;id",
        "$(id)",
        "`id`",
        "a|id",
        "a&&id",
        "a&",
        "a\nid",
        "a\rid",
        "\n",
        "a b",
        " ",
        "",
        "a\tb",
        ">x",
        "<x",
    ),
    *(
        "--config=/etc/passwd",
        "-rf",
        "--",
        "-",
        "a\0b",
        "${HOME}",
        "$HOME",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "~root",
        "!!",
        "#x",
    ),
    *(
        "..",
        "../etc/passwd",
        "/srv/../etc",
        "a/..",
        "\uff1bid",
        "\u202eid",
        "id\u200b",
        "é",
        "\ud800",
        "'",
        '"',
        "\\",
        "x" * 200_000,
    ),
    *("\x1b[2J", "a\u2028b", "%0aid\n", "a^b", "(id)"),
]


def run(
    directory: Path, script: str, *, params: dict[str, object] | None = None, seconds: float = 5, **config: object
) -> base.Outcome:
    path = peers.executable(directory, script)
    remediator = registry.build(kind="command", config={"command": "remedy", **config}, commands={"remedy": str(path)})
    return remediator.call(peers.call(params=params), deadline_monotonic=time.monotonic() + seconds)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path) -> str:
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text().strip()
        time.sleep(0.01)
    raise AssertionError(f"{path} was never written")


def assert_dies(pid: int) -> None:
    give_up = time.monotonic() + 3
    while alive(pid) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not alive(pid)


def test_exit_code_zero_succeeds_and_its_output_is_kept(tmp_path: Path) -> None:
    outcome = run(tmp_path, "echo healed; echo quietly >&2")
    assert (outcome.kind, outcome.details) == ("succeeded", {"exit_code": 0})
    assert outcome.excerpt == "healed\\nquietly\\n"
    assert outcome.first_byte_sent


def test_another_exit_code_is_a_definite_failure(tmp_path: Path) -> None:
    outcome = run(tmp_path, "exit 3")
    assert (outcome.kind, outcome.retryable, outcome.error_class) == ("failed", False, "exit_code")
    assert "exit code 3" in outcome.message


def test_a_signal_of_its_own_is_a_failure_that_names_it(tmp_path: Path) -> None:
    outcome = run(tmp_path, "kill -SEGV $$")
    assert (outcome.kind, "signal 11" in outcome.message) == ("failed", True)


def test_arguments_come_from_the_params_in_the_declared_order(tmp_path: Path) -> None:
    outcome = run(
        tmp_path,
        'printf "<%s>" "$@"',
        params={"count": 3, "service": "nginx", "not_declared": "x", "now": True},
        arguments={"restart": ["service", "@target", "count", "now"]},
    )
    assert outcome.excerpt == "<--><nginx><web-01><3><true>"


def test_an_action_without_declared_arguments_gets_none(tmp_path: Path) -> None:
    outcome = run(tmp_path, 'printf "<%s>" "$@"', params={"a": "b"}, arguments={"other": ["a"]})
    assert outcome.excerpt == "<-->"


def test_the_whole_call_is_on_standard_input(tmp_path: Path) -> None:
    outcome = run(tmp_path, f"cat > {tmp_path}/given", params={"text": "x" * 200_000})
    assert outcome.kind == "succeeded"
    given = json.loads((tmp_path / "given").read_text())
    assert (given["action_id"], given["target"], len(given["params"]["text"])) == (456, "web-01", 200_000)


@pytest.mark.parametrize("value", INJECTIONS, ids=range(len(INJECTIONS)))
def test_values_that_are_more_than_values_start_nothing(value: str, tmp_path: Path) -> None:
    outcome = run(tmp_path, f"touch {tmp_path}/canary", params={"x": value}, arguments={"restart": ["x"]})
    assert (outcome.kind, outcome.error_class, outcome.retryable) == ("failed", "not_started", False)
    assert not outcome.first_byte_sent
    assert not (tmp_path / "canary").exists()
    assert len(outcome.message) < 400


@pytest.mark.parametrize("value", [["a"], {"a": 1}, None], ids=repr)
def test_a_value_that_is_neither_text_nor_number_starts_nothing(value: object, tmp_path: Path) -> None:
    assert run(tmp_path, "true", params={"x": value}, arguments={"restart": ["x"]}).error_class == "not_started"


def test_a_missing_parameter_starts_nothing(tmp_path: Path) -> None:
    outcome = run(tmp_path, "true", arguments={"restart": ["service"]})
    assert "'service' is missing" in outcome.message


def test_the_environment_is_empty_but_for_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not-for-commands")
    outcome = run(tmp_path, "/usr/bin/env; pwd")
    assert "not-for-commands" not in outcome.excerpt
    assert {line.split("=")[0] for line in outcome.excerpt.split("\\n") if "=" in line} <= {"PATH", "LANG", "PWD", "_"}


def test_no_descriptor_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "held-open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        outcome = run(tmp_path, "ls -l /proc/$$/fd")
    assert "pipe:" in outcome.excerpt
    assert "held-open" not in outcome.excerpt


def test_out_of_time_is_ambiguous_and_kills_the_whole_group(tmp_path: Path) -> None:
    began = time.monotonic()
    outcome = run(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; echo begun; trap '' TERM; sleep 60", seconds=1)
    assert (outcome.kind, outcome.error_class) == ("ambiguous", "timeout")
    assert time.monotonic() - began < 2
    assert outcome.excerpt == "begun\\n"
    assert_dies(int((tmp_path / "child").read_text()))


def test_a_flood_of_output_neither_fills_memory_nor_blocks(tmp_path: Path) -> None:
    outcome = run(tmp_path, "head -c 50000000 /dev/zero; exit 0")
    assert outcome.kind == "succeeded"
    assert len(outcome.excerpt.encode()) <= 4096


def test_something_left_in_the_background_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    began = time.monotonic()
    outcome = run(tmp_path, f"sleep 30 & echo $! > {tmp_path}/child; exit 0")
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert outcome.kind == "succeeded"
    assert time.monotonic() - began < 3


def test_a_supervisor_that_is_killed_takes_its_command_with_it_and_is_ambiguous(tmp_path: Path) -> None:
    outcome = run(tmp_path, f"echo $$ > {tmp_path}/pid; kill -KILL $PPID; sleep 30")
    assert (outcome.kind, outcome.error_class) == ("ambiguous", "killed")
    assert_dies(int((tmp_path / "pid").read_text()))


def test_a_worker_killed_with_sigkill_takes_its_command_with_it(tmp_path: Path) -> None:
    script = peers.executable(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; sleep 60")
    code = (
        "import time; from actions.remediators import process;"
        f"process.run(argv=[{str(script)!r}], given={{}}, deadline_monotonic=time.monotonic() + 10)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(process.__file__).parents[2])
    pids = [int(wait_for(tmp_path / name)) for name in ("child", "pid")]
    worker.kill()
    worker.wait()
    for pid in pids:
        assert_dies(pid)


def test_an_interpreter_that_is_missing_is_reported_as_not_started(tmp_path: Path) -> None:
    path = tmp_path / "remedy"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    remediator = registry.build(kind="command", config={"command": "remedy"}, commands={"remedy": str(path)})
    outcome = remediator.call(peers.call(), deadline_monotonic=time.monotonic() + 5)
    assert (outcome.kind, outcome.error_class, outcome.first_byte_sent) == ("failed", "not_started", False)


def test_a_file_that_changed_since_it_was_allowed_is_not_run(tmp_path: Path) -> None:
    path = peers.executable(tmp_path, f"touch {tmp_path}/canary")
    entry = {"path": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}
    remediator = registry.build(kind="command", config={"command": "remedy"}, commands={"remedy": entry})
    peers.executable(tmp_path, f"touch {tmp_path}/canary # changed")
    outcome = remediator.call(peers.call(), deadline_monotonic=time.monotonic() + 5)
    assert (outcome.kind, "SHA-256" in outcome.message) == ("failed", True)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("mode", "path", "words"),
    [
        (0o755, "relative", "absolute"),
        (0o644, "", "not an executable"),
        (0o757, "", "chmod o-w"),
        (0o755, "/no/such/file", "No such file"),
        (0o755, "/tmp", "not an executable"),
    ],
)
def test_an_allow_list_that_cannot_work_is_refused_when_saved(mode: int, path: str, words: str, tmp_path: Path) -> None:
    script = peers.executable(tmp_path, "true")
    script.chmod(mode)
    with pytest.raises(base.ConfigurationError, match=words):
        registry.build(kind="command", config={"command": "remedy"}, commands={"remedy": path or str(script)})


def test_a_name_outside_the_allow_list_is_refused_with_the_known_ones() -> None:
    with pytest.raises(base.ConfigurationError, match="Known: restart-nginx"):
        registry.build(kind="command", config={"command": "sh"}, commands={"restart-nginx": "/bin/true"})


def test_a_command_cannot_be_asked(tmp_path: Path) -> None:
    path = peers.executable(tmp_path, "true")
    remediator = registry.build(kind="command", config={"command": "x"}, commands={"x": str(path)})
    assert remediator.ask("uid-1", "", deadline_monotonic=0).state == "cannot_say"
    assert not remediator.durable_keys


def test_no_command_begins_after_the_call_says_so(tmp_path: Path) -> None:
    path = peers.executable(tmp_path, f"touch {tmp_path}/ran")
    remediator = registry.build(kind="command", config={"command": "remedy"}, commands={"remedy": str(path)})
    now = time.monotonic()
    outcome = remediator.call(peers.call(begin_by_monotonic=now - 1), deadline_monotonic=now + 5)
    assert (outcome.kind, outcome.error_class, outcome.first_byte_sent) == ("failed", "not_started", False)
    assert not (tmp_path / "ran").exists()
