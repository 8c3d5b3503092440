"""The rows of the fault table, each a run that is done to a whole Vigil. docs/reliability.md tells what they showed."""

from tests.faults.rows import (  # noqa: F401  (they enter)
    broker,
    contention,
    database,
    ingest,
    leaders,
    monitoring,
    poison,
    remediator,
    soak,
    storage,
    versions,
    whole,
    workers,
)
from tests.faults.rows.table import ROWS, Plan, Result, Row, SkipRow

__all__ = ["ROWS", "Plan", "Result", "Row", "SkipRow"]
