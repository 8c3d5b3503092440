"""Vigil's own behaviour, told in the format that policy owners use."""

from pathlib import Path

import pytest

from policies import rehearse

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_scenarios_are_there() -> None:
    assert len(FILES) >= 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    report = rehearse.check_file(path)
    assert report.ok, "\n".join(report.lines())
