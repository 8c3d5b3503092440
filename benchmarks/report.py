"""Figures and how they are shown."""

import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number, and the limit or peer it stands beside."""

    what: str
    value: float
    unit: str
    beside: str = ""
    """What it is compared with, measured in the same run."""
    ratio: float | None = None

    def as_json(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)


def tell(figures: list[Figure], *, as_json: bool, about: str = "") -> None:
    """Print them for a machine, or for a person, who may want to know something `about` them."""
    if as_json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
        return
    if about:
        print(about)
    show(figures)


def show(figures: list[Figure]) -> None:
    """A table on the terminal."""
    table = Table("what", "figure", "unit", "beside", "ratio")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.what, f"{figure.value:,.1f}", figure.unit, figure.beside, ratio)
    Console().print(table)


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
