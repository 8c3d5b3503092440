"""A whole Vigil as single processes: several workers and dispatchers, which a run kills, freezes and starts again."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
import requests

from tests.faults.history import ENDS, Closed, Effect, Fault, History, Step, Stored
from tests.servers import postgres, valkey
from tests.servers.faultproxy import FaultProxy
from tests.servers.ledger import Ledger
from tests.servers.processes import alive, descendants, free_port
from vigil.kernel import clock
from vigil.runner import deathsig

ROOT = Path(__file__).resolve().parent.parent.parent
START_AGAIN_AFTER = 0.5
_OFFSET = clock.now().timestamp() - time.monotonic()
_MINUTES = {"ago": 40, "past": 10}
_FLAGS = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")


def now() -> float:
    """Seconds since 1970 by a clock that is never set."""
    return _OFFSET + time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of each process."""

    workers: int = 3
    slots: int = 2
    dispatchers: int = 2
    beats: int = 1


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A process that is started again when it ends."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    code: Path = ROOT
    """Whose checkout it runs."""
    process: "subprocess.Popen[bytes] | None" = None
    again_at: float = 0.0
    wanted: bool = True
    starts: int = 0


@dataclass(slots=True, kw_only=True)
class Scene:
    """What a run acts upon. Call `tick` often, from the main thread: it starts what has ended."""

    directory: Path
    database: str
    ledger: Ledger
    broker: valkey.Valkey
    env: Mapping[str, str]
    server: postgres.Postgres | None
    proxy: FaultProxy | None
    """In front of PostgreSQL."""
    port: int
    rng: random.Random
    kept: list[_Kept] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    key: str = ""

    @property
    def api(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}/api/v1"

    def session(self) -> requests.Session:
        """A caller who may do everything."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.key}"
        return session

    def manage(self, *arguments: str, check: bool = True) -> str:
        """What a management command prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=dict(self.env),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"manage.py {arguments[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def module(self, name: str, *arguments: str) -> str:
        """What a module prints that is run with the settings of this Vigil."""
        argv = [sys.executable, "-m", name, *arguments]
        done = subprocess.run(argv, cwd=ROOT, env=dict(self.env), capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise AssertionError(f"{name} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def starts(self, part: str) -> int:
        """How often processes were started whose name begins with `part`."""
        return sum(one.starts for one in self.kept if one.name.startswith(part))

    def keep(self, name: str, *argv: str, role: str, code: str = "", **env: str) -> None:
        """Start a process, and start it again whenever it ends; from the checkout at `code`, if not from this one."""
        env = {**self.env, "VIGIL_ROLE": role, **env}
        one = _Kept(name=name, argv=(sys.executable, *argv), env=env, code=Path(code or ROOT))
        self.kept.append(one)
        self._start(one)

    def tick(self) -> None:
        """Start again what ended a moment ago."""
        for one in self.kept:
            if not one.wanted or one.process is None or one.process.poll() is None:
                continue
            if one.again_at == 0.0:
                one.again_at = time.monotonic() + START_AGAIN_AFTER
            elif time.monotonic() >= one.again_at:
                self._start(one)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.until(lambda: False, seconds=seconds)

    def until(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Let time pass until the condition holds; False when it did not in time."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            self.tick()
            time.sleep(0.1)
        return True

    def mains(self, part: str) -> list[int]:
        """The processes that were started here and whose name begins with `part`, those that live."""
        named = [one.process for one in self.kept if one.name.startswith(part) and one.process is not None]
        return [process.pid for process in named if process.poll() is None]

    def children(self, part: str) -> list[int]:
        """What those started in turn."""
        return sorted(pid for main in self.mains(part) for pid in descendants(main) if alive(pid))

    def send(self, pids: Sequence[int], number: signal.Signals) -> None:
        """Send a signal to processes of this scene."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def retire(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End processes for good; they are started again by `employ`."""
        for one in self.kept:
            if one.name.startswith(part):
                one.wanted = False
        self.send([*self.children(part), *self.mains(part)], number)

    def employ(self, part: str) -> None:
        """Start again what was retired."""
        for one in self.kept:
            if one.name.startswith(part) and not one.wanted:
                one.wanted = True

    def order_not_to_act(self, mode: str) -> float:
        """Set the kill switch by the command line; the moment at which it was acknowledged."""
        self.manage("pause" if mode == "paused" else "resume", "--reason", "a run of faults")
        return now()

    def restart_database(self, number: signal.Signals) -> None:
        """Stop PostgreSQL with a signal to its main process, and start it again."""
        assert self.server is not None
        self.server.process.send_signal(number)
        self.server.process.wait(60)
        self.server = postgres.start_again(self.server)

    def kill(self, pids: Sequence[int], what: str) -> None:
        """kill -9, and note when and whom."""
        moment = now()
        struck = frozenset(pids) | frozenset(below for pid in pids for below in descendants(pid))
        self.send(pids, signal.SIGKILL)
        self.faults.append(Fault(what=what, at=moment, ended=moment, pids=struck))

    @contextmanager
    def fault(self, what: str) -> Iterator[None]:
        """Something that lasts."""
        began = now()
        yield
        self.faults.append(Fault(what=what, at=began, ended=now()))

    def unsettled(self) -> int:
        """How many can still move: neither over, nor asking for a person, nor waiting behind one that does."""
        names = ", ".join(f"'{state}'" for state in sorted(ENDS))
        held = "state = 'ready' AND target IN (SELECT target FROM actions_action WHERE state = 'needs_human')"
        where = f"state NOT IN ({names}) AND NOT ({held})"
        return int(self.ask(f"SELECT count(*) FROM actions_action WHERE {where}")[0][0])  # noqa: S608

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows, read past every proxy and pool."""
        if self.server is not None:
            with psycopg.connect(self.server.url("vigil"), connect_timeout=5) as connection:
                return connection.execute(sql.encode()).fetchall()
        with suppress(sqlite3.OperationalError):
            connection_ = sqlite3.connect(f"file:{self.directory}/vigil.sqlite3?mode=ro", uri=True, timeout=10)
            try:
                return list(connection_.execute(sql))
            finally:
                connection_.close()
        return [(-1,)]

    def moments(self, sql: str) -> list[float]:
        """A column of times, as seconds since 1970; what is null is left out."""
        found = [value for (value,) in self.ask(sql) if value is not None and value != -1]
        return [_moment(value) for value in found]

    def write(self, sql: str) -> None:
        """Change rows behind Vigil's back; `{ago}` and `{past}` are 40 and 10 minutes ago."""
        if self.server is not None:
            moments = {"ago": "now() - interval '40 minutes'", "past": "now() - interval '10 minutes'"}
            with psycopg.connect(self.server.url("vigil")) as connection:
                connection.execute(sql.format(**moments).encode())
            return
        moments = {name: f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{n} minutes')" for name, n in _MINUTES.items()}
        with sqlite3.connect(self.directory / "vigil.sqlite3", timeout=20) as rows:
            rows.execute(sql.format(**moments))
        rows.close()

    def respawn(self, name: str, **env: str) -> None:
        """Start a process anew with other settings, and wait until Vigil is ready again."""
        for one in self.kept:
            if one.name == name and one.process is not None:
                one.env = {**one.env, **env}
                one.process.terminate()
                one.process.wait(30)
        self.wait(1)
        self.until(lambda: _ready(self), seconds=60)

    def slots_begun(self) -> list[tuple[str, int, float]]:
        """Job, slot and moment of each execution of periodic work, as whoever did it wrote into its log."""
        found = []
        for log in (self.directory / "logs").glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if '"periodic.slot.began"' in line and line.startswith("{"):
                    said = json.loads(line)
                    found.append((said["job"], int(said["slot"]), datetime.fromisoformat(said["time"]).timestamp()))
        return sorted(found, key=itemgetter(2))

    def struck(self, how: str) -> dict[str, int]:
        """How often each fail point struck in this way (kill, stop), by the logs of those it struck."""
        found: Counter[str] = Counter()
        for log in (self.directory / "logs").glob("*.log"):
            found.update(re.findall(rf"fail point ([\w.]+): {how}", log.read_text(errors="replace")))
        return dict(sorted(found.items()))

    def arrivals(self) -> list[Effect]:
        """What the remediator saw so far."""
        return list(oracle(self.directory / "ledger.jsonl"))

    def history(self, *, attempted: int, told: Sequence[Any]) -> History:
        """Everything each side wrote down."""
        read_at = now()
        rows = subprocess.run(
            [sys.executable, "-m", "tests.faults.dump"],
            cwd=ROOT,
            env=dict(self.env),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        said = json.loads(self.manage("fsck", "--json", check=False))
        return History(
            attempted=attempted,
            told=tuple(told),
            effects=tuple(self.arrivals()),
            stored=tuple(_stored(row) for row in json.loads(rows)),
            faults=tuple(self.faults),
            closed=tuple(self.closed),
            broken=tuple(f"{one['invariant']} {one['subject']}: {one['says']}" for one in said["broken"]),
            read_at=read_at,
        )

    def _start(self, one: _Kept) -> None:
        one.again_at = 0.0
        one.starts += 1
        with (self.directory / "logs" / f"{one.name}.log").open("ab") as log:
            one.process = subprocess.Popen(
                one.argv,
                cwd=one.code,
                env=dict(one.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=deathsig.tie_to_parent(),
            )


@contextmanager
def scene(
    *,
    database: str,
    seed: int,
    size: Size | None = None,
    latency: tuple[float, float] = (0.005, 0.5),
    mode_of: Callable[[str, int], str] | None = None,
    settings: Mapping[str, str] | None = None,
    disk: Path | None = None,
) -> Iterator[Scene]:
    """A running Vigil; whatever happens, nothing of it is left afterwards. `disk` is where the database's files lie."""
    directory = Path(tempfile.mkdtemp(prefix="vigil-faults-", dir="/tmp"))
    rng = random.Random(seed)
    (directory / "logs").mkdir()
    (directory / "metrics").mkdir()
    server = proxy = running = None
    spread = random.Random(seed + 1)
    ledger = Ledger(directory / "ledger.jsonl", latency=lambda: spread.uniform(*latency), mode_of=mode_of)
    broker = valkey.Valkey(directory / "run" / "valkey.sock")
    try:
        url = ""
        if database == "postgres":
            server = postgres.start((disk or directory) / "postgres")
            server.create_database("vigil")
            proxy = FaultProxy(host="127.0.0.1", port=server.port, seed=seed).__enter__()
            url = f"postgresql://{postgres.USER}:{server.password}@127.0.0.1:{proxy.port}/vigil"
        elif disk is not None:
            (directory / "vigil.sqlite3").symlink_to(disk / "vigil.sqlite3")
        broker.start()
        running = Scene(
            directory=directory,
            database=database,
            ledger=ledger,
            broker=broker,
            env=_environment(directory, broker=broker, ledger=ledger, url=url) | dict(settings or {}),
            server=server,
            proxy=proxy,
            port=free_port(),
            rng=rng,
        )
        _begin(running, size or Size())
        yield running
    finally:
        if proxy is not None:
            proxy.__exit__()
        _end(directory)
        with suppress(Exception):
            broker.stop()
        if server is not None:
            server = running.server or server if running is not None else server
            server.process.send_signal(signal.SIGCONT)
            server.stop()
        ledger.stop()
        shutil.rmtree(directory, ignore_errors=True)


def oracle(log: Path) -> Iterator[Effect]:
    """The remediator's own log, which was on disk before it answered."""
    began: dict[tuple[str, int], dict[str, Any]] = {}
    ended: dict[tuple[str, int], float] = {}
    for line in log.read_text().splitlines():
        said = json.loads(line)
        which = (said["key"], said["fence"])
        if "began" in said:
            began[which] = said
        else:
            ended[which] = said["ended"] + _OFFSET
    for which, said in began.items():
        yield Effect(
            key=said["key"],
            target=said["target"],
            fence=said["fence"],
            began=said["began"] + _OFFSET,
            ended=ended.get(which),
        )


def _environment(directory: Path, *, broker: valkey.Valkey, ledger: Ledger, url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    own = {
        "DJANGO_SETTINGS_MODULE": "vigil.settings",
        "VIGIL_DATA_DIR": str(directory),
        "VIGIL_ENV_FILE": os.devnull,
        "VIGIL_TESTING": "1",
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY": "only-for-a-run-of-faults-0123456789-abcdefghijklmnop",
        "REDIS_URL": broker.url,
        "REMEDIATOR_URL": ledger.url,
        "PROMETHEUS_MULTIPROC_DIR": str(directory / "metrics"),
        "VIGIL_REQUESTS_PER_MINUTE": "600000",
    }
    return kept | own | ({"DATABASE_URL": url} if url else {})


def _begin(running: Scene, size: Size) -> None:
    running.manage("migrate", "--verbosity", "0")
    running.manage("seed")
    scopes = "ingest,read,actions:write,policies:write,control"
    running.key = running.manage("create_key", "faults", "--scopes", scopes).strip()
    for number in range(size.dispatchers):
        running.keep(f"dispatcher-{number}", "manage.py", "dispatcher", role="dispatcher")
    for number in range(size.workers):
        worker(running, f"worker-{number}", queue="vigil.actions", slots=size.slots, role="worker")
    worker(running, "chores-0", queue="vigil.chores", slots=1, role="chores")
    for number in range(size.beats):
        beat = ("-m", "celery", "-q", "-A", "vigil", "beat", "--pidfile=", "--loglevel", "INFO")
        running.keep(f"beat-{number}", *beat, role="beat")
    web(running, "web-0")
    if not running.until(lambda: _ready(running), seconds=90):
        raise AssertionError(f"Vigil did not become ready: {tails(running)}")


def worker(running: Scene, name: str, *, queue: str, slots: int, role: str, code: str = "", **env: str) -> None:
    """One more Celery worker."""
    celery = ("-m", "celery", "-q", "-A", "vigil", "worker", "-Q", queue, "-c", str(slots), "-n", f"{name}@%h")
    running.keep(name, *celery, *_FLAGS, role=role, code=code, **env)


def web(running: Scene, name: str, *, code: str = "") -> None:
    """The web server of a scene: it has one port, so there is one at a time."""
    where = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", str(running.port), "--workers", "1")
    threads = ("--blocking-threads", "16", "--respawn-failed-workers", "--no-access-log", "vigil.wsgi:application")
    running.keep(name, "-m", "granian", *where, *threads, role="web", code=code)


def tails(running: Scene) -> str:
    """The ends of the logs."""
    logs = sorted((running.directory / "logs").glob("*.log"))
    return "".join(f"\n--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-12:]) for log in logs)


def _ready(running: Scene) -> bool:
    try:
        answer = requests.get(f"http://127.0.0.1:{running.port}/ready", timeout=2)
    except requests.RequestException:
        return False
    return answer.status_code == 200 and bool(running.children("worker"))


def _end(directory: Path) -> None:
    """kill -9 of every process whose environment names this run's directory, and of no other."""
    mark = f"VIGIL_DATA_DIR={directory}".encode()
    for _ in range(3):  # one may have been on its way to start another
        found = [pid for pid in _processes() if mark in _environ(pid)]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.2)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _moment(value: datetime | str) -> float:
    """SQLite keeps times as text, in UTC."""
    known = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (known if known.tzinfo else known.replace(tzinfo=UTC)).timestamp()


def _stored(row: dict[str, Any]) -> Stored:
    steps = tuple(Step(**step) for step in row.pop("steps"))
    return Stored(**row, steps=steps)
