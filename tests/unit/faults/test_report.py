"""The table of figures says what the runs kept, in the order of the rows."""

import json
from pathlib import Path
from typing import Any

from tests.faults import report
from tests.faults.history import COUNTED

NOTHING: dict[str, Any] = {"count": 0, "p50": None, "p95": None, "most": None}


def kept(folder: Path, row: str, *, lost: int = 0, broken: tuple[str, ...] = (), **notes: object) -> None:
    """What a run of this row would have left in the folder."""
    run = {
        "row": row,
        "what": "something happens",
        "plan": {"database": "sqlite", "seed": 1, "actions": 1000, "faults": 0},
        "figures": dict.fromkeys(COUNTED, 0) | {"lost": lost},
        "recovery": {"count": 3, "p50": 0.1, "p95": 0.94, "most": 1.66},
        "freed": NOTHING,
        "broken": broken,
        "notes": notes,
    }
    (folder / f"{row}.json").write_text(json.dumps(run))


def test_a_line_for_each_run_in_the_order_of_the_rows(tmp_path: Path) -> None:
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
