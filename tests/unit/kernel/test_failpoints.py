"""Fail points strike where they are told to, and so often as they are told to."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vigil.kernel import failpoints


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Read the plan anew, as a process that starts does."""

    def plan(text: str, *, testing: str = "1") -> None:
        monkeypatch.setenv("VIGIL_TESTING", testing)
        monkeypatch.setenv("VIGIL_FAILPOINT", text)
        monkeypatch.setenv("VIGIL_DATA_DIR", str(tmp_path))
        importlib.reload(failpoints)

    yield plan
    monkeypatch.undo()
    importlib.reload(failpoints)


def strikes(name: str, *, tries: int = 5) -> int:
    """How many of `tries` passages of the point were struck."""
    struck = 0
    for _ in range(tries):
        try:
            failpoints.hit(name)
        except failpoints.FailPointReached:
            struck += 1
    return struck


def test_a_point_strikes_each_time_and_no_other_does(planned: Callable[..., None]) -> None:
    planned("intent.after_commit:raise")
    assert strikes("intent.after_commit") == 5
    assert strikes("intent.before_commit") == 0


def test_processes_that_share_a_folder_share_the_strikes(planned: Callable[..., None]) -> None:
    for left in (2, 0):
        planned("claim.after_commit:raise:1.0:2,http.sent:raise:0.0")
        assert strikes("claim.after_commit") == left
    assert strikes("http.sent") == 0


def test_outside_tests_nothing_strikes(planned: Callable[..., None]) -> None:
    planned("intent.after_commit:raise", testing="")
    assert strikes("intent.after_commit") == 0
