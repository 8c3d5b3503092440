"""`manage.py up`: everything on one machine, in the foreground, until Ctrl-C."""

import http.client
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import structlog
from django.conf import settings
from django.db import Error

from vigil.kernel import clock, signs
from vigil.runner import broker, demo, logs, preflight, prepare, programs
from vigil.runner.errors import UnableToStart
from vigil.runner.layout import Layout
from vigil.runner.supervisor import POLL_SECONDS, Supervisor

log = structlog.get_logger(__name__)

READY_SECONDS = 120.0
BROKER_SECONDS = 10.0
GIVE_UP_AFTER_FAILURES = 4
"""Before it was ever ready: a program that cannot start now will not start later either."""
ROTATE_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    host: str
    port: int
    demo: bool


class Stops:
    """Counts the requests to stop; the second one is for those in a hurry."""

    def __init__(self) -> None:
        """Listen from now on. A closed terminal counts like Ctrl-C."""
        self._count = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def asked(self) -> bool:
        """Whether to stop."""
        return self._count >= 1

    def hurried(self) -> bool:
        """Whether to stop at once."""
        return self._count >= 2

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._count += 1


def run(options: Options, *, say: Callable[[str], None]) -> None:
    """Start everything, keep it running, stop it in order when asked. Raises UnableToStart with one sentence."""
    if options.demo:
        preflight.demo_stays_here(options.host)
    stops = Stops()
    os.umask(0o077)  # the database, the logs and the metrics are this user's own, whoever made their directory
    preflight.settings_hold()
    with _layout() as layout:
        preflight.directories(layout)
        logs.keep_own(layout.log("runner"))
        say = _noted(say)
        with preflight.alone(layout) as lock:
            options = replace(options, port=preflight.free_port(options.host, options.port))
            supervisor = Supervisor(
                cwd=str(settings.BASE_DIR),
                keep_open=(lock,),
                say=say,
                signs_dir=layout.signs_dir,
                patience_seconds=settings.VIGIL_WATCHDOG_SECONDS,
            )
            try:
                _start(options, layout=layout, supervisor=supervisor, stops=stops, say=say)
                _watch(layout=layout, supervisor=supervisor, stops=stops)
                say("Stopping; Ctrl-C again to hurry.")
            finally:
                supervisor.stop(programs.STOPPING_ORDER, hurry=stops.hurried)
                if options.demo:
                    _shut_demo()
            say("Vigil has stopped.")


def _noted(say: Callable[[str], None]) -> Callable[[str], None]:
    """What the terminal is told stands in the log as well, for whoever comes later."""

    def say_and_note(line: str) -> None:
        # The password is for the person in front of the terminal alone.
        log.info("runner.terminal.told", line=line.partition("password:")[0])
        say(line)

    return say_and_note


@contextmanager
def _layout() -> Iterator[Layout]:
    """The data directory's layout, with a short directory for the socket where its own path is too long for one."""
    layout = Layout(data_dir=Path(settings.VIGIL_DATA_DIR))
    if layout.socket_fits():
        yield layout
        return
    scratch = Path(tempfile.mkdtemp(prefix="vigil-", dir="/tmp"))
    try:
        yield replace(layout, scratch_dir=scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _start(
    options: Options, *, layout: Layout, supervisor: Supervisor, stops: Stops, say: Callable[[str], None]
) -> None:
    _rotate_logs(layout)
    for directory in (layout.metrics_dir, layout.signs_dir):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
    env = _environment(layout)
    _start_broker(layout, supervisor=supervisor, env=env, stops=stops)
    prepare.database(at=clock.now())
    doors = demo.open_doors(at=clock.now()) if options.demo else None
    if doors is None:
        demo.shut_doors(at=clock.now())
    if stops.asked():
        return
    say("The database is ready; starting the web server, the workers, beat and the dispatcher.")
    for program in programs.core(layout=layout, host=options.host, port=options.port, env=env):
        supervisor.start(program)
    if not _wait_ready(options, supervisor=supervisor, stops=stops, layout=layout):
        return
    url = _url(options)
    say(f"Vigil is ready at {url}")
    if doors is not None:
        say(f"Console: {url}/admin/   user: {doors.username}   password: {doors.password}")
        for program in demo.programs(layout=layout, url=url, doors=doors, env=env):
            supervisor.start(program)
    say(f"Logs: {layout.logs_dir}   Stop with Ctrl-C.")


def _environment(layout: Layout) -> dict[str, str]:
    """What every child gets. REDIS_URL says outright where the broker is, embedded or not."""
    embedded = f"unix://{quote(str(layout.broker_socket))}?db=0"
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "vigil.settings"),
        "VIGIL_DATA_DIR": str(layout.data_dir),
        "REDIS_URL": os.environ.get("REDIS_URL") or embedded,
        "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics_dir),
        signs.VARIABLE: str(layout.signs_dir),
        "VIGIL_METRICS_PORT": "0",  # the web speaks for all, and one port is not for three
    }


def _start_broker(layout: Layout, *, supervisor: Supervisor, env: Mapping[str, str], stops: Stops) -> None:
    if os.environ.get("REDIS_URL"):
        preflight.redis_answers(env["REDIS_URL"])
        return
    layout.broker_socket.unlink(missing_ok=True)
    supervisor.start(programs.embedded_broker(layout=layout, env=env))
    until = time.monotonic() + BROKER_SECONDS
    while not broker.answers(layout.broker_socket):
        if stops.asked():
            return
        if time.monotonic() > until:
            raise UnableToStart(f"The embedded broker does not answer; its log says why: {layout.log('broker')}")
        time.sleep(POLL_SECONDS / 2)
        supervisor.tend()


def _wait_ready(options: Options, *, supervisor: Supervisor, stops: Stops, layout: Layout) -> bool:
    """Wait until /ready is green; False when asked to stop meanwhile."""
    until = time.monotonic() + READY_SECONDS
    while not _ready(options):
        if stops.asked():
            return False
        supervisor.tend()
        for name in supervisor.running():
            if supervisor.failures(name) >= GIVE_UP_AFTER_FAILURES:
                raise UnableToStart(_last_words(name, layout))
        if time.monotonic() > until:
            raise UnableToStart(
                f"Vigil did not get ready within {READY_SECONDS:.0f} s: {_url(options)}/ready says what is missing, "
                f"and the logs in {layout.logs_dir} say why."
            )
        time.sleep(POLL_SECONDS)
    return True


def _ready(options: Options) -> bool:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}  # noqa: S104  read, not bound
    client = http.client.HTTPConnection(anywhere.get(options.host, options.host).strip("[]"), options.port, timeout=5)
    try:
        client.request("GET", "/ready", headers={"Host": _allowed_host()})
        return client.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def _allowed_host() -> str:
    """A Host header that this installation accepts."""
    plain = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"]
    return plain[0] if plain else "localhost"


def _last_words(name: str, layout: Layout) -> str:
    words = "\n".join(f"    {line}" for line in logs.tail(layout.log(name)))
    return f"The {name} process keeps ending right after its start. The end of {layout.log(name)}:\n{words}"


def _url(options: Options) -> str:
    host = f"[{options.host}]" if ":" in options.host and not options.host.startswith("[") else options.host
    return f"http://{host}:{options.port}"


def _watch(*, layout: Layout, supervisor: Supervisor, stops: Stops) -> None:
    rotated = time.monotonic()
    while not stops.asked():
        supervisor.tend()
        if time.monotonic() - rotated > ROTATE_EVERY_SECONDS:
            rotated = time.monotonic()
            _rotate_logs(layout)
        time.sleep(POLL_SECONDS)


def _rotate_logs(layout: Layout) -> None:
    for path in layout.logs_dir.glob("*.log"):
        logs.rotate(path)


def _shut_demo() -> None:
    try:
        demo.shut_doors(at=clock.now())
    except Error as error:
        sys.stderr.write(f"The demo's login and key are still valid, the database did not answer: {error}\n")
