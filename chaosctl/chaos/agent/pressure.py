"""Processes inside a container that use up what it has."""

from __future__ import annotations

import ctypes
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from chaosctl.chaos.agent.act import Act, Cannot
from chaosctl.chaos.agent.container import Container, cpu_seconds_of

SLICE = 0.05  # seconds that a worker is busy or asleep before it looks at the clocks again
MADE_UP_FOR = 1.0  # seconds of work that a worker is behind, at most
MIB = 1 << 20
PR_SET_PDEATHSIG = 1  # see prctl(2)

_libc = ctypes.CDLL(None)


class Pressure(Act):
    """Processes inside the container that use what it has, until its main process ends: it may not wait for them."""

    def __init__(self, container: Container, resources: ExitStack) -> None:
        self.container = container
        self._main = os.pidfd_open(container.main)
        self._resources = resources

    def worker(self, work: Callable[[], NoReturn]) -> int:
        """A process of the container that does `work`; its PID. Raises Cannot when it is not let in."""
        return self._resources.enter_context(inside(self.container, work))

    def work(self, until: float) -> None:
        ended, _, _ = select.select([self._main], [], [], max(0.0, until - time.monotonic()))
        if ended:
            self.over = "the container has ended"


@contextmanager
def inside(container: Container, work: Callable[[], NoReturn]) -> Iterator[int]:
    """A process that does `work` inside the container; it does not outlive the caller, nor the body."""
    parent, (reading, writing) = os.getpid(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            Path("/proc/self/oom_score_adj").write_text("1000")  # before the app, if it comes to that
            container.join()
            os.write(writing, b"in")
            if os.getppid() == parent:
                work()
        except OSError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(1)
    try:
        os.close(writing)
        if (said := os.read(reading, 1000)) != b"in":
            raise Cannot(f"no process could be put into its container: {said.decode() or 'it was killed'}")
        yield child
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class Cpu(Pressure):
    """As many processors as `cpus` says are kept busy."""

    def __init__(self, task: Mapping[str, Any], container: Container, resources: ExitStack) -> None:
        super().__init__(container, resources)
        self._wanted = float(task["cpus"])
        self._begun, self._used, self._throttled = time.monotonic(), container.cpu_seconds(), container.throttled()
        workers = math.ceil(self._wanted)
        self._workers = [self.worker(lambda: burn(self._wanted / workers)) for _ in range(workers)]

    def proof(self) -> str:
        """See Act. That its workers get something; how much is for the scheduler to say, as it is for the app."""
        seconds = max(0.1, time.monotonic() - self._begun)
        allowed, own = self.container.cpus(), sum(map(cpu_seconds_of, self._workers)) / seconds
        if own < min(self._wanted, allowed) / 10:
            return ""
        used, throttled = (self.container.cpu_seconds() - self._used) / seconds, self.container.throttled()
        limit = "" if allowed == math.inf else f" of {1000 * allowed:.0f} m"
        times = throttled - self._throttled
        return f"uses {1000 * used:.0f} m{limit} CPU, {1000 * own:.0f} m of it for this; throttled {times} times"


def burn(share: float) -> NoReturn:
    """Keep one processor busy for `share` of the time; what others did not let it have is made up for later."""
    begun = time.monotonic()
    while True:
        behind = share * (time.monotonic() - begun) - time.thread_time()
        if behind <= 0:
            time.sleep(SLICE)
        until = time.thread_time() + min(behind, SLICE)
        while time.thread_time() < until:
            pass
        begun += max(0.0, behind - MADE_UP_FOR) / share


class Memory(Pressure):
    """The container's use of memory is brought to `percent` of its limit, and kept there."""

    def __init__(self, task: Mapping[str, Any], container: Container, resources: ExitStack) -> None:
        super().__init__(container, resources)
        self._wanted = int(container.memory_limit() * float(task["percent"]) / 100)
        self.worker(lambda: fill(container, self._wanted))

    def proof(self) -> str:
        used, limit = self.container.memory(), self.container.memory_limit()
        full = used > 0.97 * self._wanted
        return f"{used / MIB:.0f} of {limit / MIB:.0f} MiB in use" if full else ""


def fill(container: Container, wanted: int) -> NoReturn:
    """Have as much memory as it takes for the container to use `wanted` bytes; give back what others come to need."""
    held: list[bytes] = []
    while True:
        missing = wanted - container.memory()
        if missing > MIB:
            held.append(b"x" * min(missing, 16 * MIB))
        elif missing < -MIB and held:
            held.pop()
        else:
            time.sleep(SLICE)
