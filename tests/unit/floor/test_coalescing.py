"""Callers that come together are served together, and none is forgotten."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vigil.kernel.coalescing import Busy, Coalescer


class Work:
    """Doubles numbers, and remembers which came together; it waits for `gate` before each call."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(items))
        self.begun.release()
        assert self.gate.wait(5)
        if 13 in items:
            raise ValueError("thirteen spoils it for all")
        return [ArithmeticError(item) if item < 0 else 2 * item for item in items]


def coalescer(work: Work, *, at_once: int = 100, waiting: int = 100) -> Coalescer[int, int]:
    return Coalescer(work, name="test", at_once=at_once, waiting=waiting)


def test_each_caller_gets_its_own_answer() -> None:
    together = coalescer(Work())
    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda item: together.do(item, seconds=5), range(14, 500)))
    assert answers == [2 * item for item in range(14, 500)]


def held(work: Work, together: Coalescer[int, int], items: Sequence[int], callers: ThreadPoolExecutor) -> list[object]:
    """Start `items` while an earlier call is at work."""
    work.gate.clear()
    first = callers.submit(together.do, 1, seconds=5)
    assert work.begun.acquire(timeout=5)
    rest = [callers.submit(together.do, item, seconds=5) for item in items]
    while together._queue.qsize() < len(items):
        time.sleep(0.001)
    work.gate.set()
    return [one.exception() or one.result() for one in [first, *rest]]


def test_what_comes_while_a_call_is_at_work_goes_into_the_next_one_together() -> None:
    work = Work()
    with ThreadPoolExecutor(8) as callers:
        assert held(work, coalescer(work), [2, 3, 4], callers) == [2, 4, 6, 8]
    assert [sorted(call) for call in work.calls] == [[1], [2, 3, 4]]


def test_no_call_gets_more_than_it_may() -> None:
    work = Work()
    with ThreadPoolExecutor(8) as callers:
        held(work, coalescer(work, at_once=2), [2, 3, 4], callers)
    assert [len(call) for call in work.calls] == [1, 2, 1]


def test_one_item_may_fail_alone_and_a_call_fails_for_all_in_it() -> None:
    work = Work()
    with ThreadPoolExecutor(8) as callers:
        _, failed, well = held(work, coalescer(work), [-5, 6], callers)
        assert (type(failed), well) == (ArithmeticError, 12)
        assert work.begun.acquire(timeout=5)
        assert [type(one) for one in held(work, coalescer(work), [13, 6], callers)] == [int, ValueError, ValueError]


def test_who_waits_too_long_is_told_and_its_item_is_left_out() -> None:
    work = Work()
    together = coalescer(work)
    work.gate.clear()
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(together.do, 1, seconds=5)
        assert work.begun.acquire(timeout=5)
        with pytest.raises(Busy, match="took longer"):
            together.do(2, seconds=0.05)
        work.gate.set()
        assert first.result() == 2
        assert together.do(3, seconds=5) == 6
    assert work.calls == [[1], [3]]


def test_when_too_many_wait_the_next_is_turned_away_at_once() -> None:
    work = Work()
    together = coalescer(work, waiting=1)
    work.gate.clear()
    with ThreadPoolExecutor(2) as callers:
        callers.submit(together.do, 1, seconds=5)
        assert work.begun.acquire(timeout=5)
        callers.submit(together.do, 2, seconds=5)
        while together._queue.qsize() < 1:
            time.sleep(0.001)
        with pytest.raises(Busy, match="too many"):
            together.do(3, seconds=5)
        work.gate.set()


def test_a_child_of_a_fork_has_a_thread_of_its_own() -> None:
    together = coalescer(Work())
    assert together.do(1, seconds=5) == 2
    child = os.fork()
    if child == 0:
        try:
            os._exit(together.do(4, seconds=5))
        except BaseException:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8


def test_at_its_end_it_finishes_what_waits() -> None:
    work, ended = Work(), threading.Event()
    together = Coalescer(work, name="test", at_once=10, waiting=10, at_end=ended.set)
    with ThreadPoolExecutor(8) as callers:
        assert held(work, together, [2, 3], callers) == [2, 4, 6]
    together.end()
    assert ended.is_set()
    assert together.do(4, seconds=5) == 8  # and begins anew for who comes later
