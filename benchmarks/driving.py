"""Load from a process of its own: `wrk` where it is installed, else `benchmarks.generator` in Python."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processor import Meter
from tests.servers.stack import ROOT

WRK = shutil.which("wrk")
_SCRIPT = """
local bodies, place = {}, 0
for line in io.lines("BODIES") do bodies[#bodies + 1] = line end
local ready = {}
init = function(args)
  for number, body in ipairs(bodies) do ready[number] = wrk.format("POST", nil, HEADERS, body) end
end
request = function() place = place % #ready + 1; return ready[place] end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('TOLD {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.timeout + errors.read + errors.write + errors.connect))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of some seconds of load."""

    requests: int
    seconds: float
    p50: float
    """Milliseconds, as p99."""
    p99: float
    refused: int
    """Answers that were no 2xx, and none at all."""
    spent: Mapping[str, float]
    """Processor seconds by what used them."""

    @property
    def rate(self) -> float:
        """Requests answered well, a second."""
        return (self.requests - self.refused) / self.seconds

    def told(self, *, items: int = 1) -> str:
        """Percentiles, refusals, and processor time for each item where a request holds so many."""
        of_all = max(1, self.requests * items)
        spent = ", ".join(f"{name} {seconds / of_all * 1e6:,.0f}" for name, seconds in self.spent.items())
        refused = f", {self.refused} refused" if self.refused else ""
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms{refused}; processor \u00b5s each: {spent}"


def generator() -> str:
    """What makes the load of single readings."""
    return "wrk" if WRK else "python -m benchmarks.generator"


def singles(
    url: str, bodies: Sequence[str], headers: Mapping[str, str], *, connections: int, seconds: float, meter: Meter
) -> Driven:
    """Small bodies, one after the other, over so many connections."""
    if WRK is None:
        raw = [body.encode() for body in bodies]
        return posted(url, [raw] * connections, headers, again=True, seconds=seconds, meter=meter)
    with tempfile.TemporaryDirectory(prefix="vigil-wrk-") as folder:
        lines, script = Path(folder) / "bodies", Path(folder) / "wrk.lua"
        lines.write_text("\n".join(bodies) + "\n")
        table = "{" + ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()) + "}"
        script.write_text(_SCRIPT.replace("BODIES", str(lines)).replace("HEADERS", table))
        command = [WRK, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script), url]
        with meter.measured("load") as spent:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    return Driven(**json.loads(line.removeprefix("TOLD ")), spent=spent)


def posted(
    url: str,
    bodies: Sequence[Sequence[bytes]],
    headers: Mapping[str, str],
    *,
    again: bool,
    seconds: float,
    meter: Meter,
) -> Driven:
    """Any bodies: a list for each connection; without `again` each is sent once at most."""
    with tempfile.TemporaryDirectory(prefix="vigil-load-") as folder:
        job = {"url": url, "headers": dict(headers), "seconds": seconds, "again": again}
        job["bodies"] = [_files(Path(folder), number, several) for number, several in enumerate(bodies)]
        with meter.measured("load") as spent:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.generator"],
                input=json.dumps(job),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
    told: dict[str, Any] = json.loads(done.stdout)
    answers = told.pop("answers")
    return Driven(**told, refused=sum(count for status, count in answers.items() if status[0] != "2"), spent=spent)


def _files(folder: Path, connection: int, bodies: Sequence[bytes]) -> list[str]:
    names = []
    for number, body in enumerate(bodies):
        path = folder / f"{connection}-{number}"
        path.write_bytes(body)
        names.append(str(path))
    return names
