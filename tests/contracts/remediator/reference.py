"""The reference remediator, served in this process or in one of its own."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from examples.remediator import reference_remediator as module

FILE = Path(module.__file__)
SECRET = "a-secret-of-more-than-thirty-two-bytes"


@contextlib.contextmanager
def served(remediator: module.Remediator) -> Iterator[str]:
    """The URL of a remediator that runs in a thread of this process."""
    server = module.serve(remediator, host="127.0.0.1", port=0)
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def process(directory: Path, *options: str, secret: str = SECRET) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of a remediator in a process of its own, and the process."""
    command = [sys.executable, str(FILE), "--port", "0", "--database", str(directory / "memory.sqlite3"), *options]
    running = subprocess.Popen(
        command, env={**os.environ, "REMEDIATOR_SECRET": secret}, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    try:
        yield running.stdout.readline().split()[-1], running
    finally:
        running.terminate()
        running.wait(10)
        running.stdout.close()
