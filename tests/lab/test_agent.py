"""The program in a helper, on real packets, processes and cgroups: what it does, and that nothing of it outlives it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from chaosctl.lab import cgroups
from tests.lab.wire import ADDRESS, AGENT, Wire, wire

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip"),
]
ECHO = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{ADDRESS}", 4000))
print("ready", flush=True)
while True:
    s.sendto(*s.recvfrom(2000))
"""
ASK = f"""
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
for line in sys.stdin:
    begun = time.monotonic()
    s.sendto(line.encode(), ("{ADDRESS}", 4000))
    try:
        while s.recv(2000) != line.encode():
            pass
        print(time.monotonic() - begun, flush=True)
    except TimeoutError:
        print("none", flush=True)
"""


class Agent:
    """An agent that acts on a process; what it has said."""

    def __init__(self, main: int, *groups: Path, **task: Any) -> None:
        told = json.dumps({"container": "", "seconds": 60, **task})
        argv = (sys.executable, "-c", AGENT, told, str(main), *map(str, groups))
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def word(self) -> tuple[str, str]:
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        return said["state"], said["said"]

    def until(self, state: str) -> str:
        """What it says with a word of that state, when it says anything."""
        while (word := self.word())[0] != state or not word[1]:
            assert word[0] == "acting", word
        return word[1]

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=30)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Pod:
    """A process that echoes what it is sent, in the pod's network, and one beside it that asks."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.echo, self.asking = wire.start(wire.pod, ECHO), wire.start(wire.node, ASK)
        assert self.echo.stdout is not None
        self.echo.stdout.readline()
        self.asked = 0

    def ask(self) -> float | None:
        """Seconds until the answer came; None without one."""
        assert self.asking.stdin is not None
        assert self.asking.stdout is not None
        self.asked += 1
        self.asking.stdin.write(f"{self.asked}\n")
        answer = self.asking.stdout.readline().strip()
        return None if answer == "none" else float(answer)

    @contextmanager
    def helped(self, **task: Any) -> Iterator[Agent]:
        agent = Agent(self.echo.pid, act="network", **task)
        try:
            assert agent.word() == ("acting", "")
            yield agent
        finally:
            agent.end()


@pytest.fixture
def pod() -> Iterator[Pod]:
    with wire() as made:
        pod = Pod(made)
        yield pod
        for process in (pod.echo, pod.asking):
            with process:  # closes its pipes, and waits
                process.kill()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_packets_are_late_until_it_is_killed(pod: Pod) -> None:
    before = pod.wire.routes()
    assert pod.ask() is not None
    with pod.helped(delay=200) as agent:
        answers = [pod.ask() for _ in range(3)]
        assert all(seconds is not None and seconds >= 0.2 for seconds in answers)
        assert "packets delayed by 2" in agent.until("acting")
        agent.end(signal.SIGKILL)
        until(lambda: pod.wire.routes() == before)
        assert pod.ask() is not None


def test_packets_are_lost_until_it_is_told_to_end(pod: Pod) -> None:
    before = pod.wire.routes()
    with pod.helped(loss=100) as agent:
        assert (pod.ask(), pod.ask()) == (None, None)
        assert re.fullmatch(r"(\d) of \1 packets lost", agent.until("acting"))
        agent.process.send_signal(signal.SIGTERM)
        assert agent.until("over") == "told to end"
        assert pod.wire.routes() == before
        assert pod.ask() is not None


def test_one_network_fault_at_a_time(pod: Pod) -> None:
    with pod.helped(loss=1):
        second = Agent(pod.echo.pid, act="network", loss=1)
        assert second.word() == ("cannot", "another network fault acts on its pod")
        second.end()


def test_the_network_of_the_node_is_left_alone() -> None:
    agent = Agent(os.getpid(), act="network", loss=100)
    state, why = agent.word()
    assert (state, "all of the node would be hit" in why) == ("cannot", True)
    agent.end()


class Contained:
    """A process in cgroups of its own."""

    def __init__(self) -> None:
        name = f"chaosctl-test-{os.getpid()}"
        roots = cgroups.hierarchies()
        wanted = [root for root in roots if root.name in ("cpu", "cpuacct", "memory")]
        self.groups = [root / name for root in wanted or roots[:1]]
        for group in self.groups:
            group.mkdir()
        self.main = subprocess.Popen(("sleep", "600"))
        self.enter(self.main.pid)

    def enter(self, pid: int) -> None:
        for group in self.groups:
            (group / "cgroup.procs").write_text(str(pid))

    def inside(self) -> set[int]:
        return {int(pid) for group in self.groups for pid in (group / "cgroup.procs").read_text().split()}

    def remove(self) -> None:
        self.main.kill()
        self.main.wait()
        until(lambda: not self.inside())
        for group in self.groups:
            group.rmdir()


@pytest.fixture
def contained() -> Iterator[Contained]:
    made = Contained()
    yield made
    made.remove()


def test_its_processes_in_a_container_end_with_it(contained: Contained) -> None:
    agent = Agent(contained.main.pid, *contained.groups, act="cpu", cpus=1.5)
    assert "CPU" in agent.until("acting")
    assert len(contained.inside()) == 3
    agent.end(signal.SIGKILL)
    until(lambda: contained.inside() == {contained.main.pid})


def test_it_does_not_outlast_the_container(contained: Contained) -> None:
    agent = Agent(contained.main.pid, *contained.groups, act="cpu", cpus=1)
    assert agent.until("acting")
    contained.main.kill()
    contained.main.wait()
    assert agent.until("over") == "the container has ended"
    assert not contained.inside()
    agent.end()


def test_memory_is_taken_up_to_a_part_of_the_limit(contained: Contained) -> None:
    for group in contained.groups:
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError):
                (group / name).write_text(str(64 << 20)) if (group / name).exists() else None
    agent = Agent(contained.main.pid, *contained.groups, act="memory", percent=75)
    said = agent.until("acting")
    assert said in [f"{used} of 64 MiB in use" for used in range(46, 51)]
    agent.end(signal.SIGTERM)
    assert contained.inside() == {contained.main.pid}


def test_a_main_process_is_killed(contained: Contained) -> None:
    agent = Agent(contained.main.pid, *contained.groups, act="crash")
    assert agent.until("over") == f"process {contained.main.pid} was killed"
    assert contained.main.wait(timeout=30) == -signal.SIGKILL
    agent.end()
