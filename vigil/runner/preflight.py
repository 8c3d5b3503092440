"""What has to be true before anything is started; each refusal is one sentence that says what to do."""

import fcntl
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import redis
from django.core import checks

from vigil.runner.errors import UnableToStart
from vigil.runner.layout import Layout

LEFTOVERS_SECONDS = 40.0
"""How long what a killed runner started may take to end: a worker finishes the action it is in."""


def loopback(host: str) -> bool:
    """Whether only this machine can reach this address."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def demo_stays_here(host: str) -> None:
    """The demo lets callers from this machine in without a key, so nobody else may reach it."""
    if not loopback(host):
        raise UnableToStart(
            f"The demo answers callers without a key, so it only listens on this machine: leave --host {host} away, "
            "or start without --demo."
        )


def settings_hold() -> None:
    """The checks of Django and of the apps find no error; one would keep half of the processes from starting."""
    errors = [one for one in checks.run_checks() if one.is_serious() and not one.is_silenced()]
    if errors:
        more = f" And {len(errors) - 1} more: manage.py check says them all." if len(errors) > 1 else ""
        said = " ".join(f"{part.strip().removesuffix('.')}." for part in (errors[0].msg, errors[0].hint) if part)
        raise UnableToStart(f"The settings cannot be used: {said}{more}".replace("\n", " "))


def directories(layout: Layout) -> None:
    """Make the data directory and what is in it, and see that files can be written there."""
    try:
        for directory in (layout.data_dir, layout.run_dir, layout.logs_dir):
            directory.mkdir(parents=True, exist_ok=True)
        layout.run_dir.chmod(0o700)
        probe = layout.run_dir / f"probe-{os.getpid()}"
        probe.write_bytes(b"written")
        probe.unlink()
    except OSError as error:
        raise UnableToStart(
            f"The data directory {layout.data_dir} cannot be used ({error.strerror}): make it writable, or name "
            "with VIGIL_DATA_DIR."
        ) from error


def free_port(host: str, port: int) -> int:
    """The port to listen on (0 asks for any); refuses one that is taken or not ours to take."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
            probe.listen(1)
            chosen: int = probe.getsockname()[1]
            return chosen
    except OSError as error:
        raise UnableToStart(
            f"Cannot listen on {host} port {port} ({error.strerror or error}): stop what uses it, or choose another "
            "with --port."
        ) from error
    except OverflowError as error:
        raise UnableToStart(f"--port {port} is no port: choose one from 1 to 65535.") from error


def redis_answers(url: str) -> None:
    """The server at REDIS_URL answers."""
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3)
        try:
            client.ping()
        finally:
            client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        place = urlsplit(url)
        where = place.path if place.scheme == "unix" else f"{place.hostname}:{place.port or 6379}"
        raise UnableToStart(
            f"The Redis server at {where} (REDIS_URL) cannot be reached ({type(error).__name__}): start it, correct "
            "REDIS_URL, or unset it to use the embedded broker."
        ) from error


@contextmanager
def alone(layout: Layout) -> Iterator[int]:
    """Hold the lock of this data directory; yields its file descriptor, which every child inherits.

    The children keep the lock after a `kill -9` of the runner, so that a new one never meets the old one's processes.
    """
    descriptor = os.open(layout.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, layout)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, layout: Layout) -> None:
    until = time.monotonic() + LEFTOVERS_SECONDS
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = os.pread(descriptor, 20, 0).decode().strip()
        if holder.isdigit() and _exists(int(holder)):
            raise UnableToStart(
                f"Vigil is already running on {layout.data_dir} (process {holder}): stop it first, or name another "
                "data directory with VIGIL_DATA_DIR."
            )
        if time.monotonic() > until:
            raise UnableToStart(
                f"Processes of an earlier Vigil on {layout.data_dir} have not ended: stop them, then start again."
            )
        time.sleep(0.1)


def _exists(pid: int) -> bool:
    with suppress(OSError):  # without /proc the next line answers
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
