"""`python -m benchmarks`: everything we measure, each figure beside a limit or a peer of the same run."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import act, ingest, sweep
from benchmarks.report import Figure, tell

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {"ingest": ingest.run, "actions": act.run, "sweep": sweep.run}


def main() -> int:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    figures = [figure for name in options.names or BENCHMARKS for figure in BENCHMARKS[name]()]
    tell(figures, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
