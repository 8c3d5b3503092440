"""What a program is, and which programs make up Vigil."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vigil.runner import broker
from vigil.runner.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process to keep running."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Its whole environment."""
    log: Path | None
    """Where its output goes; None is the terminal."""
    grace_seconds: float = 10.0
    """How long it may take to stop when asked to; then it is killed."""


STOPPING_ORDER = (("story",), ("simulator",), ("web",), ("beat", "dispatcher"), ("worker", "chores"), ("broker",))
"""First who brings work, last who carries it: nothing is asked of a process that is gone."""

_GRANIAN_LOGGING = Path(__file__).with_name("granian-logging.json")
_WORKER_FLAGS = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")


def core(*, layout: Layout, host: str, port: int, env: Mapping[str, str]) -> tuple[Program, ...]:
    """Web server, workers, beat and dispatcher, in the order in which to start them."""
    return (
        _python("dispatcher", ("manage.py", "dispatcher"), layout=layout, env=env, grace=30),  # it may be at an action
        _python(
            "worker", _worker(queue="vigil.actions", processes=4, name="actions"), layout=layout, env=env, grace=30
        ),
        _python("chores", _worker(queue="vigil.chores", processes=2, name="chores"), layout=layout, env=env, grace=30),
        _python("web", web_server(host=host, port=port), layout=layout, env=env, grace=15),
        _python(
            "beat",
            ("-m", "celery", "-q", "-A", "vigil", "beat", "--pidfile=", "--loglevel", "INFO"),
            layout=layout,
            env=env,
        ),
    )


def embedded_broker(*, layout: Layout, env: Mapping[str, str]) -> Program:
    """The Redis-compatible server that carries hints when no REDIS_URL is given."""
    argv = broker.command(socket=layout.broker_socket, directory=layout.run_dir)
    return Program(name="broker", argv=argv, env=dict(env), log=layout.log("broker"))


def _python(
    name: str, arguments: tuple[str, ...], *, layout: Layout, env: Mapping[str, str], grace: float = 10.0
) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, *arguments),
        env={**env, "VIGIL_ROLE": name},
        log=layout.log(name),
        grace_seconds=grace,
    )


def _worker(*, queue: str, processes: int, name: str) -> tuple[str, ...]:
    fixed = ("-m", "celery", "-q", "-A", "vigil", "worker", "-Q", queue, "-c", str(processes), "-n", f"{name}@%h")
    return fixed + _WORKER_FLAGS


def web_server(*, host: str, port: int, application: str = "vigil.wsgi:application") -> tuple[str, ...]:
    """The arguments of Python that serve `application`; the benchmarks serve what they compare with in the same way."""
    return (
        *("-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port)),
        *("--workers", "2", "--blocking-threads", "16"),
        "--respawn-failed-workers",  # without it one killed worker stops the whole server
        *("--workers-kill-timeout", "8"),  # a client that never hangs up must not keep it from stopping
        "--no-access-log",  # the application writes a line for each request itself, with its id
        *("--log-config", str(_GRANIAN_LOGGING)),
        application,
    )
