"""Many callers, one call: what arrives while the last call is at work goes into the next one together.

With a database that is one commit for many requests, each of which still waits until its own part is durable.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from weakref import WeakSet


class Busy(Exception):
    """Too many wait already, or it took too long; the item may still be worked on."""


class _Ticket[Item, Answer]:
    """A caller that waits."""

    __slots__ = ("abandoned", "answer", "done", "item")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answer: Answer | Exception | None = None
        self.abandoned = False
        self.done = threading.Lock()
        self.done.acquire()


class Coalescer[Item, Answer]:
    """`work` gets the items of up to `at_once` callers, in the order of their coming, on one thread of its own.

    It returns an answer or an exception for each item; raising fails them all.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        *,
        name: str,
        at_once: int,
        waiting: int,
        at_end: Callable[[], object] = lambda: None,
    ) -> None:
        self._work, self._name, self._at_once, self._most, self._at_end = work, name, at_once, waiting, at_end
        self._thread: threading.Thread | None = None
        self._begin_afresh()
        _all.add(self)

    def do(self, item: Item, *, seconds: float) -> Answer:
        """The answer to `item`; Busy when none came within `seconds`, or when too many wait already."""
        if self._queue.qsize() >= self._most:
            raise Busy("too many wait already")
        ticket = _Ticket[Item, Answer](item)
        self._queue.put(ticket)
        if self._thread is None:
            self._start()
        if not ticket.done.acquire(timeout=seconds):
            ticket.abandoned = True  # if nobody has begun with it, nobody will
            raise Busy(f"it took longer than {seconds:g} s")
        if isinstance(ticket.answer, Exception):
            raise ticket.answer
        return ticket.answer  # type: ignore[return-value]  # set before `done` was let go

    def end(self) -> None:
        """Let the thread finish what waits, call `at_end` on it, and wait for its end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _begin_afresh(self) -> None:
        self._queue: SimpleQueue[_Ticket[Item, Answer] | None] = SimpleQueue()
        self._thread = None
        self._starting = threading.Lock()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        ended = False
        while not ended:
            taken = list(self._next())
            ended = None in taken
            tickets = [ticket for ticket in taken if ticket is not None and not ticket.abandoned]
            if not tickets:
                continue
            for ticket, answer in zip(tickets, self._answers(tickets), strict=True):
                ticket.answer = answer
                ticket.done.release()
        self._at_end()

    def _next(self) -> Iterator[_Ticket[Item, Answer] | None]:
        yield self._queue.get()
        for _ in range(self._at_once - 1):
            try:
                yield self._queue.get_nowait()
            except Empty:
                return

    def _answers(self, tickets: Sequence[_Ticket[Item, Answer]]) -> Sequence[Answer | Exception]:
        try:
            answers = self._work([ticket.item for ticket in tickets])
            if len(answers) != len(tickets):
                raise RuntimeError(f"{self._name}: {len(answers)} answers to {len(tickets)} items")
            return answers
        except Exception as error:
            return [error] * len(tickets)


_all: WeakSet[Coalescer[object, object]] = WeakSet()


def _after_fork() -> None:
    """The child of a fork has neither the thread nor those who wait."""
    for one in _all:
        one._begin_afresh()


os.register_at_fork(after_in_child=_after_fork)
