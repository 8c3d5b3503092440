"""Runs one command in a process group that dies with the process that started it.

Started as a script, by path, with an empty environment: it imports nothing of Vigil. The command's own group would
outlive a worker that is killed with SIGKILL, so this small parent stays, is told by the kernel when the worker dies,
and takes the whole group with it.
"""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Arguments: the worker's process id, the descriptor to report on, the executable, its arguments."""
    worker, report = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    _die_with_parent(signal.SIGTERM)
    if os.getppid() != worker:  # it died before the kernel was asked to tell
        return 1
    try:
        command = subprocess.Popen(sys.argv[3:], close_fds=True)  # noqa: S603  the path comes from the allow-list
    except OSError as error:
        os.write(report, f"not started: {error.strerror}\n".encode())
        return 1
    os.write(report, b"started\n")
    code = command.wait()
    os.write(report, f"ended {code}\n".encode())
    return 0


def _die_with_parent(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
