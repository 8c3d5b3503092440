"""The recipe in the documentation works as it is printed."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

from actions.remediators import registry
from examples.remediator import reference_remediator
from tests.contracts.remediator import reference
from tests.unit.remediators import peers

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "writing-a-remediator.md").read_text()
README = (ROOT / "examples" / "remediator" / "README.md").read_text()


def test_the_recipe_heals_as_printed() -> None:
    recipe = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    server = recipe.replace("9000", "0").replace(
        ").serve_forever()", ")\nprint(server.server_address[1], flush=True)\nserver.serve_forever()"
    )
    code = server.replace('HTTPServer(("127', 'server = HTTPServer(("127')
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert running.stdout is not None
    try:
        port = int(running.stdout.readline())
        remediator = registry.build(kind="http", config={"url": f"http://127.0.0.1:{port}"})
        outcome = remediator.call(peers.call(), deadline_monotonic=time.monotonic() + 5)
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
    assert (outcome.kind, outcome.message) == ("succeeded", "done")


def test_every_kind_is_documented() -> None:
    assert all(f"| `{kind}` |" in PAGE for kind in registry.kinds())


def test_every_option_of_the_reference_is_documented() -> None:
    options = set(re.findall(r'"(--[a-z-]+)"', reference.FILE.read_text()))
    assert options
    assert options <= set(re.findall(r"`(--[a-z-]+)`", README))


def test_the_reference_runs_under_the_python_that_debian_12_has() -> None:
    """The README starts it with `python3`, whatever that is."""
    ast.parse(reference.FILE.read_text(), feature_version=(3, 11))


def test_the_readmes_actions_can_be_loaded(tmp_path: Path) -> None:
    own = tmp_path / "my_actions.py"
    own.write_text(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0])
    assert list(reference_remediator.load_actions(str(own))) == ["restart-service"]
