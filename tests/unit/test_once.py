from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from chaosctl.once import _Attempts, once

SECONDS = 10  # for what takes milliseconds
THREADS = 4


class Slow:
    """Something whose `value` is made slowly, and as `make` says."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.made = 0
        self._make = make

    @once
    def value(self) -> object:
        self.made += 1
        return self._make()


class Observed:
    """A lock that tells who comes for it."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[int] = queue.Queue()
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self.arrived.put(1)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_many_threads_get_the_one_that_was_made() -> None:
    together = threading.Barrier(2)

    def make() -> object:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.3)  # a second thread that makes one as well would come along
        return object()

    slow = Slow(make)
    with ThreadPoolExecutor(THREADS) as pool:
        values = [task.result() for task in [pool.submit(lambda: slow.value) for _ in range(THREADS)]]
    assert slow.made == 1
    assert len({id(value) for value in values}) == 1


def test_each_object_has_its_own() -> None:
    one, other = Slow(object), Slow(object)
    assert one.value is one.value
    assert one.value is not other.value


def test_who_waited_gets_the_error_and_who_comes_later_a_new_try() -> None:
    fail = threading.Event()
    answers: list[object] = [OSError("no"), "there"]

    def make() -> object:
        fail.wait(SECONDS)
        if isinstance(answer := answers.pop(0), OSError):
            raise answer
        return answer

    slow, attempts, lock = Slow(make), _Attempts(), Observed()
    attempts.lock = lock
    vars(slow)["attempts at value"] = attempts
    with ThreadPoolExecutor(THREADS) as pool:
        tasks = [pool.submit(lambda: slow.value) for _ in range(THREADS)]
        for _ in tasks:
            lock.arrived.get(timeout=SECONDS)
        fail.set()
        for task in tasks:
            with pytest.raises(OSError, match="no"):
                task.result()
    assert slow.made == 1
    assert (slow.value, slow.made) == ("there", 2)


def test_it_may_use_itself_by_another_name() -> None:
    class Nested:
        @once
        def inner(self) -> int:
            return 1

        @once
        def outer(self) -> int:
            return self.inner + 1

    assert Nested().outer == 2
    assert isinstance(Nested.outer, once)
