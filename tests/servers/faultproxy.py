"""A TCP proxy that misbehaves on request, in front of a database, a broker or a remediator; on a thread of its own."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Self

type Name = Literal[
    "pass", "refuse", "rst", "blackhole", "latency", "slow", "cut_after", "rst_after_request", "garbage"
]

_AT_ONCE = struct.pack("ii", 1, 0)
_PIECES_PER_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How it treats what passes.

    pass: as it is. refuse: nobody gets in, who is in is thrown out. rst: lets in, and resets at the first byte.
    blackhole: nothing passes until the mode changes, then what waited does. latency: each piece waits `ms`, give or
    take `jitter`. slow: at most `bytes_per_second`. cut_after: hangs up after `count` bytes of answer.
    rst_after_request: the request arrives, the answer becomes a reset. garbage: the answer becomes noise.
    """

    name: Name = "pass"
    ms: float = 0.0
    jitter: float = 0.0
    bytes_per_second: int = 0
    count: int = 0


PASS = Mode()


class _Cut(Exception):
    """Ends a connection."""


class FaultProxy:
    """Listens on a free port of loopback and passes on to `host`:`port`. Use as a context manager."""

    def __init__(self, *, host: str, port: int, seed: int = 0) -> None:
        """The noise and the jitter follow from `seed`."""
        self._upstream = (host, port)
        self._random = random.Random(seed)
        self._mode = PASS
        self._changed = asyncio.Event()
        self._lines: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._door: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self.port = 0
        """Where it listens."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._mode

    def behave(self, mode: Mode) -> None:
        """From now on, for open connections as well; returns once it is so."""
        self._do(self._switch(mode))

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _switch(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode.name == "refuse":
            await self._close_door()
        elif before.name == "refuse":
            await self._listen()

    async def _listen(self) -> None:
        # Not asyncio's own server: closed while somebody is on the way in, it leaves that connection hanging.
        self._door = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._door.setblocking(False)
        self.port = self._door.getsockname()[1]
        self._loop.add_reader(self._door, self._let_in, self._door)

    def _let_in(self, door: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            line, _ = door.accept()
            line.setblocking(False)
            self._start(self._connect(line))

    async def _close_door(self) -> None:
        if self._door is not None:
            self._loop.remove_reader(self._door)
            self._door.close()
            self._door = None
        for line in list(self._lines):
            _reset(*line)

    async def _shut(self) -> None:
        await self._close_door()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _connect(self, caller: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=caller)
        try:
            there, back = await asyncio.open_connection(*self._upstream)
        except OSError:
            _reset(writer)
            return
        line = (writer, back)
        if self._mode.name == "refuse":  # the door was shut while this one was on its way in
            _reset(*line)
            return
        self._lines.add(line)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, back, answers=False))
                pumps.create_task(self._pump(there, writer, answers=True))
        except* (_Cut, OSError):
            _reset(*line)
        finally:
            self._lines.discard(line)
            for end in line:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        passed = 0
        while piece := await reader.read(65_536):
            passed = await self._through(piece, writer, answers=answers, passed=passed)
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _through(self, piece: bytes, writer: asyncio.StreamWriter, *, answers: bool, passed: int) -> int:
        while self._mode.name == "blackhole":
            await self._changed.wait()
        mode = self._mode
        if mode.name in ("rst", "refuse") or (mode.name == "rst_after_request" and answers):
            raise _Cut
        if mode.name == "latency":
            await asyncio.sleep(max(0.0, mode.ms + self._random.uniform(-mode.jitter, mode.jitter)) / 1000)
        if mode.name == "garbage" and answers:
            piece = self._random.randbytes(len(piece))
        if mode.name == "cut_after" and answers:
            piece = piece[: max(0, mode.count - passed)]
        await self._write(piece, writer, mode)
        if mode.name == "cut_after" and answers and passed + len(piece) >= mode.count:
            raise _Cut
        return passed + len(piece)

    async def _write(self, piece: bytes, writer: asyncio.StreamWriter, mode: Mode) -> None:
        if mode.name != "slow":
            writer.write(piece)
            await writer.drain()
            return
        size = max(1, mode.bytes_per_second // _PIECES_PER_SECOND)
        for start in range(0, len(piece), size):
            await asyncio.sleep(size / mode.bytes_per_second)
            writer.write(piece[start : start + size])
            await writer.drain()


def _reset(*ends: asyncio.StreamWriter) -> None:
    """Hang up with a reset, not with an orderly end."""
    for end in ends:
        line: socket.socket | None = end.get_extra_info("socket")
        if line is not None:
            with contextlib.suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        end.transport.abort()
