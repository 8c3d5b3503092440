"""A real broker on a unix socket: TCP ports collide when test processes run side by side, sockets do not."""

import signal
import subprocess
from pathlib import Path

from tests.servers.processes import wait_until
from vigil.runner import broker, deathsig


class Valkey:
    """A server that a test may stop, freeze, kill and start again."""

    def __init__(self, socket: Path) -> None:
        """It listens on `socket`, whose folder is made."""
        self.socket = socket
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What REDIS_URL has to say to reach it."""
        return f"unix://{self.socket}?db=0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            broker.command(socket=self.socket, directory=self.socket.parent),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=deathsig.tie_to_parent(),
        )
        wait_until(lambda: broker.answers(self.socket), seconds=10, what="the broker answers")

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Make it hang: connections stay open and nobody answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        self.process.wait(10)
        self.process = None
