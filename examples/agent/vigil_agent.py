#!/usr/bin/env python3
"""Reports a Linux host to Vigil: CPU, load, memory, disks, and whether the processes that matter are there.

    VIGIL_KEY=vgl_... python3 vigil_agent.py --url https://vigil.example.com --process nginx --tag region=eu-1

One file, nothing but Python's standard library (from 3.9 on). Every round is written to disk before it is sent, and
removed once Vigil said that it is stored: while Vigil is away nothing is lost, and what is sent twice counts once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import random
import re
import signal
import socket
import ssl
import stat
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = "1"
ANSWER_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0
REFUSED_KEPT = 20
"""Rounds that Vigil refused for good are kept for a look, the newest so many."""
NOT_DISKS = frozenset({"devtmpfs", "overlay", "ramfs", "squashfs", "tmpfs"})
"""They are mounted, and no disk that could fill up. Of the rest, what has no device is none either."""

Reading = dict[str, Any]


# --- what the host says ---------------------------------------------------------------------------------------------


class Host:
    """Reads /proc. What cannot be read is left out: a missing metric is silence, and never a made-up number."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._cpu_before = self._cpu_times()

    def readings(self, *, mounts: list[str], processes: list[str]) -> Iterator[Reading]:
        """Everything there is to say now, without time and host."""
        yield _reading("heartbeat", 1)
        for part in (self._cpu, self._load, self._memory, self._uptime):
            with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
                yield from part()
        for mount in mounts or self._mounts():
            with contextlib.suppress(OSError, ZeroDivisionError):
                yield from _disk(mount)
        if processes:
            yield from self._processes(processes)

    def _cpu(self) -> Iterator[Reading]:
        before, self._cpu_before = self._cpu_before, self._cpu_times()
        busy, total = (now - then for now, then in zip(self._cpu_before, before))  # noqa: B905  3.9
        if total > 0:
            yield _reading("cpu_percent", round(100 * busy / total, 2))

    def _cpu_times(self) -> tuple[int, int]:
        """Jiffies spent at work, and all of them, since the host started."""
        try:
            first = (self._proc / "stat").read_text().split("\n", 1)[0]
            jiffies = [int(number) for number in first.split()[1:9]]  # guests are counted in user already
            idle = jiffies[3] + jiffies[4]
        except (OSError, ValueError, IndexError):
            return 0, 0
        return sum(jiffies) - idle, sum(jiffies)

    def _load(self) -> Iterator[Reading]:
        loads = (self._proc / "loadavg").read_text().split()[:3]
        for name, load in zip(("load_1m", "load_5m", "load_15m"), loads):  # noqa: B905  3.9
            yield _reading(name, float(load))

    def _memory(self) -> Iterator[Reading]:
        lines = (self._proc / "meminfo").read_text().splitlines()
        bytes_of = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        total, available = bytes_of["MemTotal"], bytes_of["MemAvailable"]
        yield _reading("memory_percent", round(100 * (1 - available / total), 2))
        yield _reading("memory_available_bytes", available)
        if bytes_of.get("SwapTotal"):
            yield _reading("swap_percent", round(100 * (1 - bytes_of["SwapFree"] / bytes_of["SwapTotal"]), 2))

    def _uptime(self) -> Iterator[Reading]:
        yield _reading("uptime_seconds", float((self._proc / "uptime").read_text().split()[0]))

    def _mounts(self) -> list[str]:
        """Where disks are mounted, each disk once."""
        found: dict[str, str] = {}
        try:
            rows = [line.split() for line in (self._proc / "mounts").read_text().splitlines()]
        except OSError:
            return ["/"]
        for device, where, kind in (row[:3] for row in rows if len(row) >= 3):
            if kind not in NOT_DISKS and device.startswith("/") and os.path.isdir(_unescaped(where)):
                found.setdefault(device, _unescaped(where))
        return sorted(found.values()) or ["/"]

    def _processes(self, names: list[str]) -> Iterator[Reading]:
        count = dict.fromkeys(names, 0)
        resident = dict.fromkeys(names, 0)
        for name, pages in self._running():
            if name in count:
                count[name] += 1
                resident[name] += pages * os.sysconf("SC_PAGE_SIZE")
        for name in names:
            yield _reading("process_count", count[name], process=name)
            yield _reading("process_up", 1 if count[name] else 0, process=name)
            yield _reading("process_resident_bytes", resident[name], process=name)

    def _running(self) -> Iterator[tuple[str, int]]:
        """The name and the resident pages of every process that is no zombie."""
        for entry in os.scandir(self._proc):
            if not entry.name.isdigit():
                continue
            try:
                text = Path(entry.path, "stat").read_text(errors="replace")
                started_with = Path(entry.path, "cmdline").read_bytes().split(b"\0", 1)[0]
            except OSError:
                continue  # it ended while we looked
            # The name in brackets may hold anything, brackets too, and is cut off at 15 characters.
            short = text[text.index("(") + 1 : text.rindex(")")]
            rest = text[text.rindex(")") + 2 :].split()
            if rest[0] != "Z":
                whole = os.path.basename(started_with.decode(errors="replace").split(" ")[0]).rstrip(":")
                yield (whole if whole.startswith(short) else short), int(rest[21])


def _disk(mount: str) -> Iterator[Reading]:
    space = os.statvfs(mount)
    used = space.f_blocks - space.f_bfree
    # As df counts: what only root may use is neither used nor free.
    yield _reading("disk_percent", round(100 * used / (used + space.f_bavail), 2), mount=mount)
    yield _reading("disk_free_bytes", space.f_bavail * space.f_frsize, mount=mount)


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _reading(name: str, value: float, **tags: str) -> Reading:
    return {"name": name, "value": value, "tags": tags}


# --- kept until Vigil has it ----------------------------------------------------------------------------------------


class Spool:
    """Rounds on disk, oldest first; each has the idempotency key under which it is sent, however often."""

    def __init__(self, directory: Path, *, most_bytes: int) -> None:
        self._directory, self._most_bytes = directory, most_bytes
        self.dropped = 0
        (directory / "refused").mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(stat.S_IRWXU)
        self._lock = (directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SystemExit(f"vigil-agent: another agent uses {directory}; give this one its own --spool.") from None
        for half in directory.glob("*.part"):
            half.unlink()

    def close(self) -> None:
        """Let another agent have it."""
        self._lock.close()

    def add(self, readings: list[Reading], *, at: float) -> None:
        """Keep a round, durably; the oldest rounds make way when there are too many."""
        path = self._directory / f"{int(at * 1000):014d}-{uuid.uuid4().hex}.json"
        part = path.with_suffix(".part")
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump(readings, file, separators=(",", ":"))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()  # a full disk must not fill up with halves
            raise
        self._make_room()

    def rounds(self) -> list[Path]:
        """Those that wait, oldest first."""
        return sorted(self._directory.glob("*.json"))

    def refuse(self, path: Path) -> None:
        """Vigil will never take it: out of the way, and kept for a look."""
        path.replace(self._directory / "refused" / path.name)
        for old in sorted((self._directory / "refused").glob("*.json"))[:-REFUSED_KEPT]:
            old.unlink()

    def _make_room(self) -> None:
        rounds = self.rounds()
        sizes = {path: path.stat().st_size for path in rounds}
        surplus = sum(sizes.values()) - self._most_bytes
        for path in rounds[:-1]:
            if surplus <= 0:
                return
            surplus -= sizes[path]
            path.unlink()
            self.dropped += 1


# --- sent -----------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What came back."""

    status: int
    """0: nothing."""
    text: str = ""
    retry_after: float | None = None

    @property
    def stored(self) -> bool:
        return 200 <= self.status < 300

    @property
    def hopeless(self) -> bool:
        """The round itself is to blame, and always will be."""
        return self.status in (400, 413, 415, 422)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Vigil:
    """Where rounds go."""

    def __init__(self, *, url: str, key: str, ca_file: str | None = None) -> None:
        self._url, self._key = f"{url.rstrip('/')}/api/v1/ingest", key
        context = ssl.create_default_context(cafile=ca_file)
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    def send(self, body: bytes, *, idempotency_key: str) -> Answer:
        """Post a round. Never raises: what the network does is an answer too."""
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
            "User-Agent": f"vigil-agent/{VERSION}",
        }
        request = urllib.request.Request(  # noqa: S310  http or https, as `_url` sees to
            self._url, data=body, headers=headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as response:
                return Answer(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _told(error), _seconds(error.headers.get("Retry-After")))
        except urllib.error.URLError as error:
            return Answer(0, str(error.reason))
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, f"{type(error).__name__}: {error}")


def _told(error: urllib.error.HTTPError) -> str:
    """Vigil's own sentence, if it is one."""
    try:
        body = json.loads(error.read(64 * 1024))
        return str(body["detail"])[:500]
    except Exception:
        return str(error.reason)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None


# --- the agent ------------------------------------------------------------------------------------------------------


@dataclass
class Agent:
    """Takes a round every so often, and in between sends what waits."""

    host: Host
    spool: Spool
    vigil: Vigil
    tags: dict[str, str]
    mounts: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    every: float = 15.0
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)
    stopping: threading.Event = field(default_factory=threading.Event)
    _failures: int = 0
    _not_before: float = 0.0

    def run(self) -> None:
        """Until told to stop. A slow Vigil delays no round: each is taken at its time."""
        due = time.monotonic()
        while not self.stopping.is_set():
            self.take(at=time.time())
            due = max(due + self.every, time.monotonic())
            while time.monotonic() < due and not self.stopping.is_set():
                self.send_one()
                waiting = bool(self.spool.rounds())
                until = min(due, self._not_before) if waiting else due
                self.stopping.wait(max(0.0, until - time.monotonic()))

    def take(self, *, at: float) -> None:
        """Take a round and keep it."""
        stamp = {"timestamp": round(at, 3)}
        found = self.host.readings(mounts=self.mounts, processes=self.processes)
        readings = [{**one, **stamp, "tags": {**self.tags, **one["tags"]}} for one in found]
        waiting = {"name": "agent_rounds_waiting", "value": len(self.spool.rounds()), "tags": self.tags, **stamp}
        dropped = {"name": "agent_rounds_dropped", "value": self.spool.dropped, "tags": self.tags, **stamp}
        try:
            self.spool.add([*readings, waiting, dropped], at=at)
        except OSError as error:
            self.say(f"vigil-agent: this round is lost, it cannot be written: {error}")

    def send_one(self) -> None:
        """Send the oldest round that waits, unless it is too early to try again."""
        rounds = self.spool.rounds()
        if not rounds or time.monotonic() < self._not_before:
            return
        oldest = rounds[0]
        try:
            body = oldest.read_bytes()
        except OSError as error:
            self.say(f"vigil-agent: a round is put aside, it cannot be read: {error}")
            self.spool.refuse(oldest)
            return
        answer = self.vigil.send(body, idempotency_key=oldest.stem)
        if answer.stored:
            if self._failures:
                self.say(f"vigil-agent: Vigil answers again; {len(rounds)} rounds were waiting.")
            oldest.unlink()
            self._failures = 0
        elif answer.hopeless:
            self.say(f"vigil-agent: Vigil refused a round for good ({answer.status}): {answer.text}")
            self.spool.refuse(oldest)
        else:
            self._wait_after(answer)

    def _wait_after(self, answer: Answer) -> None:
        if not self._failures:
            said = f"it answered {answer.status}: {answer.text}" if answer.status else answer.text
            self.say(f"vigil-agent: not sent, kept until Vigil takes it ({said}).")
        self._failures += 1
        pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(self._failures, 6)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._not_before = time.monotonic() + max(pause, min(answer.retry_after or 0.0, 300.0))


def main(argv: list[str] | None = None) -> int:
    """Report until stopped."""
    options = _options(argv)
    tags = {"host": options.host, **dict(_tag(text) for text in options.tag)}
    if options.once:
        host = Host()
        time.sleep(1)  # a share of the CPU is a share of some time
        found = host.readings(mounts=options.mount, processes=options.process)
        print(json.dumps([{**one, "tags": {**tags, **one["tags"]}} for one in found], indent=1))
        return 0
    agent = Agent(
        host=Host(),
        spool=Spool(Path(options.spool), most_bytes=options.spool_megabytes * 1024 * 1024),
        vigil=Vigil(url=_url(options.url), key=_key(options.key_file), ca_file=options.ca_file),
        tags=tags,
        mounts=options.mount,
        processes=options.process,
        every=options.every,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: agent.stopping.set())
    agent.run()
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vigil_agent.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--url", default=os.environ.get("VIGIL_URL", "http://127.0.0.1:8000"), help="where Vigil is")
    parser.add_argument("--key-file", help="a file with the API key (scope ingest); else VIGIL_KEY")
    parser.add_argument("--ca-file", help="certificates to trust, for an https Vigil with its own")
    parser.add_argument("--host", default=socket.gethostname(), help="the name that readings carry (the target)")
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="a tag for every reading")
    parser.add_argument("--process", action="append", default=[], metavar="NAME", help="a process to watch")
    parser.add_argument("--mount", action="append", default=[], metavar="PATH", help="a disk to watch; default: all")
    parser.add_argument("--every", type=float, default=15.0, metavar="SECONDS", help="between two rounds (15)")
    parser.add_argument("--spool", default=_default_spool(), metavar="DIRECTORY", help="where rounds wait")
    parser.add_argument("--spool-megabytes", type=int, default=50, help="at most so much waits (50)")
    parser.add_argument("--once", action="store_true", help="print one round and send nothing")
    options = parser.parse_args(argv)
    if options.every < 1:
        parser.error("--every: at least 1 second")
    for text in options.tag:
        if "=" not in text.strip("="):
            parser.error(f"--tag {text}: write it as KEY=VALUE")
    return options


def _default_spool() -> str:
    if os.geteuid() == 0:
        return "/var/lib/vigil-agent"
    return os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "vigil-agent")


def _tag(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise SystemExit(f"vigil-agent: --url {url}: write it with http:// or https://")
    return url


def _key(path: str | None) -> str:
    try:
        key = Path(path).read_text().strip() if path else os.environ.get("VIGIL_KEY", "").strip()
    except OSError as error:
        raise SystemExit(f"vigil-agent: the key cannot be read: {error}") from error
    if not key:
        raise SystemExit(
            "vigil-agent: no API key; set VIGIL_KEY or --key-file (manage.py create_key NAME --scopes ingest)."
        )
    return key


if __name__ == "__main__":
    sys.exit(main())
