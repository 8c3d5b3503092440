"""The table of figures says what the runs kept, in the order of the rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults import report
from tests.faults.history import COUNTED

NOTHING: dict[str, Any] = {"count": 0, "p50": None, "p95": None, "most": None}


def kept(
    folder: Path,
    row: str,
    *,
    seed: int = 1,
    most: float = 1.66,
    lost: int = 0,
    broken: Sequence[str] = (),
    **notes: object,
) -> None:
    """What a run of this row would have left in the folder."""
    run = {
        "row": row,
        "what": "something happens",
        "plan": {"database": "sqlite", "seed": seed, "faults": 0},
        "figures": dict.fromkeys(COUNTED, 0) | {"attempted": 1000, "lost": lost},
        "recovery": {"count": 3, "p50": 0.1, "p95": 0.94, "most": most},
        "freed": NOTHING,
        "broken": broken,
        "notes": notes,
    }
    (folder / f"{row}-{seed}.json").write_text(json.dumps(run))


def test_a_line_for_each_row_in_their_order(tmp_path: Path) -> None:
    for row in ("F10", "FP", "F2"):
        kept(tmp_path, row)
    lines = report.markdown(tmp_path).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| F2", "| F10", "| FP"]
    assert lines[2] == "| F2 | something happens | SQLite | 1 | 1,000, - | 0 | 0.1 / 0.9 / 1.7 s | - |  |"


def test_what_went_wrong_is_named_and_notes_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    kept(tmp_path, "F1", lost=2, broken=("stalled workers: 1",), refused=3, seconds=70, deaths={"http.sent": 2}, none=0)
    line = report.markdown(tmp_path).splitlines()[2]
    assert "| lost 2; stalled workers: 1 |" in line
    assert line.endswith("| seconds: 70; deaths: http.sent 2 |")


def test_all_seeds_of_a_row_come_to_one_line_with_the_worst_times(tmp_path: Path) -> None:
    kept(tmp_path, "F1", seed=1, most=1.0, seconds=70, deaths={"http.sent": 2}, consumes=[0.2, 0.4], answers=[422])
    kept(
        tmp_path,
        "F1",
        seed=3,
        most=4.0,
        seconds=90,
        deaths={"http.sent": 2, "http.got": 1},
        consumes=[0.3, 0.9],
        answers=[201, 422],
    )
    (line,) = report.markdown(tmp_path).splitlines()[2:]
    assert "| 1, 3 | 2,000, - | 0 | 0.1 / 0.9 / 4.0 s |" in line
    assert line.endswith(
        "| seconds: 70 to 90; deaths: http.sent 2, http.got 1; consumes: 0.2 to 0.9; answers: 201, 422 |"
    )


def test_what_one_seed_lost_is_in_the_line_of_all(tmp_path: Path) -> None:
    kept(tmp_path, "F1", seed=1, lost=2)
    kept(tmp_path, "F1", seed=2, lost=1, broken=("stalled workers: 1",))
    assert "| lost 3; stalled workers: 1 |" in report.markdown(tmp_path)
