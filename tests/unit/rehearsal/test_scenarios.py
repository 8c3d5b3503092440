"""Vigil's own behaviour, told in the format that policy owners use."""

from pathlib import Path

import pytest
from django.conf import LazySettings

from policies import rehearse

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_scenarios_are_there() -> None:
    assert len(FILES) >= 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, settings: LazySettings) -> None:
    # A target that breaks for a living is what most of these are about; one file is about what guards make of that.
    if path.stem != "quarantine":
        settings.VIGIL_QUARANTINE_REPAIRS = settings.VIGIL_QUARANTINE_RELAPSES = 1_000
    report = rehearse.check_file(path)
    assert report.ok, "\n".join(report.lines())
