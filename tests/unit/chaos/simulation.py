"""Whole runs on a simulated clock: a cluster, a load balancer, a prober and a machine that are well, or sabotaged.

The runner is the real one; only the clock that it looks at, and what is outside of it, are not. A run takes
milliseconds and depends on its seed alone. Shared by test_no_false_verdict.py and benchmarks/verdicts.py.
"""

from __future__ import annotations

import heapq
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chaosctl.adapters.pod import Pod
from chaosctl.chaos import events as e
from chaosctl.chaos import plan as plans
from chaosctl.chaos import runner
from chaosctl.chaos.cluster import Place, TargetState
from chaosctl.chaos.experiment import Aim, Budgets, Experiment, Mode, Timing, TrafficPlan
from chaosctl.chaos.probes.targets import TargetPoll
from chaosctl.chaos.requests import CONTROL, NEW, REMOTE, REUSED, STREAMS, Request
from chaosctl.chaos.result import Result
from chaosctl.chaos.undo import UndoLog
from chaosctl.errors import Unreachable
from tests.unit.chaos.fakes import PLACE, FakeCluster, pod

RATE = 20.0
TRAFFIC = TrafficPlan("http://shop.example/", RATE, control="https://api.example/livez")
TIMING = Timing(steady=2.0, steady_within=15.0, observe=8.0, clean=3.0, give_up=25.0, abort=10.0, poll=0.25)
SENT = (NEW, REUSED, CONTROL, REMOTE)
FLUSH = 0.1  # seconds between two batches of the prober


class Clock:
    """Simulated time in place of the module `time`: it passes only while somebody waits."""

    def __init__(self, wall: float = 1.7e9) -> None:
        self.now, self.wall_offset = 1000.0, wall
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.now

    def time(self) -> float:
        """As time.time; a step of the wall clock changes `wall_offset`."""
        return self.now + self.wall_offset

    def time_ns(self) -> int:
        """As time.time_ns."""
        return int(self.time() * 1e9)

    def sleep(self, seconds: float) -> None:
        """Let time pass; what is due meanwhile happens."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            at, _, action = heapq.heappop(self._due)
            self.now = max(self.now, at)
            action()
        self.now = max(self.now, end)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do it then."""
        self._number += 1
        heapq.heappush(self._due, (self.now + seconds, self._number, action))


class Interrupt(threading.Event):
    """Never set; waiting for it lets time pass."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Let it pass."""
        self._clock.sleep(timeout or 0.0)
        return False


@dataclass
class Circumstances:
    """All that can go well or wrong. Seconds, unless said otherwise."""

    count: int = 1
    mode: Mode = Mode.GRACEFUL
    grace: float = 1.0  # until a killed pod is gone
    start: float = 2.0  # until a new pod is ready
    target: float = 0.5  # until the load balancer sees a change
    latency: float = 0.01
    benign: float | None = None  # one request of each stream fails by itself so long after the kill: within the budget
    lag: Callable[[random.Random], float] = field(default=lambda chance: chance.uniform(0.0, 0.004))
    swallow: bool = False
    swallow_second: bool = False
    same_uid: bool = False
    never_ready: bool = False
    never_healthy: bool = False
    cut_after: float | None = None  # from the kill; the watch says nothing more
    watch_trouble: tuple[float, float] | None = None  # it says that it broke, and comes back
    outage: tuple[float, float] | None = None  # from the kill, how long every request fails
    slow: tuple[float, float] | None = None  # from the kill, how long answers take most of the time-out
    unsent: float = 0.0  # share
    control_fails: bool = False
    cut_off: tuple[float, float] | None = None  # from the kill, how long the tester's own network is lost
    hiccup: tuple[float, float] | None = None  # from the kill, how long the place beside the service does not answer
    stall: tuple[float, float] | None = None  # from the kill, how long the prober stands still
    dies_after: float | None = None  # the prober
    lie: int = 0  # requests that its account leaves out
    wall_step: tuple[float, float] | None = None  # from the start, by how much
    unreadable_end: bool = False


class SimulatedCluster(FakeCluster):
    """Pods take their time to end and to begin."""

    def __init__(self, clock: Clock, how: Circumstances, chance: random.Random) -> None:
        pods = {p.name: p for p in (pod(f"web-{n}") for n in range(1, 5))}
        super().__init__(pods)
        self._clock, self._how, self._chance = clock, how, chance
        self._health = {p.ip: "healthy" for p in pods.values()}
        self._cut = False

    def pods(self, place: Place) -> Sequence[Pod]:
        """See Cluster."""
        if self._how.unreadable_end and len(self.asked) >= self._how.count and self._clock.now > self.killed_at + 5:
            raise Unreachable("gone", code="KUBE-UNREACHABLE")
        return list(self.pods_now.values())

    killed_at = float("inf")

    def delete(self, place: Place, name: str, uid: str, grace: int | None) -> bool:
        """See Cluster."""
        self._clock.sleep(self._chance.uniform(0.01, 0.2))
        self._hit(name, uid, 0.05 if grace == 0 else self._how.grace)
        return True

    def evict(self, place: Place, name: str, uid: str) -> None:
        """See Cluster."""
        self._clock.sleep(self._chance.uniform(0.01, 0.2))
        self._hit(name, uid, self._how.grace)

    def _hit(self, name: str, uid: str, lasts: float) -> None:
        self.asked.append(("kill", uid))
        if len(self.asked) == 1:
            self.killed_at = self._clock.now
            self._plan_trouble()
        if self._how.swallow or (self._how.swallow_second and len(self.asked) == 2):
            return
        ending = replace(self.pods_now[name], deleting=True)
        self.pods_now[name] = ending
        self._tell("MODIFIED", ending)
        self._clock.after(self._how.target, lambda: self._health.update({ending.ip: "draining"}))
        self._clock.after(lasts, lambda: self._gone(ending))
        if not self._how.same_uid:
            self._clock.after(self._chance.uniform(0.02, 0.2), self._replace)

    def _plan_trouble(self) -> None:
        if self._how.cut_after is not None:
            self._clock.after(self._how.cut_after, lambda: setattr(self, "_cut", True))
        if self._how.watch_trouble is not None:
            begin, lasts = self._how.watch_trouble
            error = Unreachable("cut", code="KUBE-UNREACHABLE")
            self._clock.after(begin, lambda: setattr(self, "broken", error))
            self._clock.after(begin + lasts, lambda: setattr(self, "broken", None))

    def _gone(self, ended: Pod) -> None:
        del self.pods_now[ended.name]
        self._tell("DELETED", ended)
        self._clock.after(self._how.target, lambda: self._forget(ended.ip))
        if self._how.same_uid:
            again = replace(ended, deleting=False)
            self._appear(again)
            self._clock.after(self._how.target + 0.1, lambda: self._health.update({again.ip: "healthy"}))

    def _forget(self, ip: str) -> None:
        self._health.pop(ip, None)

    def _replace(self) -> None:
        self._born += 1
        new = pod(f"web-{self._born}", ready=False)
        self._appear(new)
        if not self._how.never_ready:
            self._clock.after(self._how.start, lambda: self._ready(new))

    def _appear(self, new: Pod) -> None:
        self.pods_now[new.name] = new
        self._tell("ADDED", new)

    def _ready(self, new: Pod) -> None:
        self._health[new.ip] = "initial"
        if not self._how.never_healthy:
            self._clock.after(self._how.target, lambda: self._health.update({new.ip: "healthy"}))
        self.pods_now[new.name] = ready = replace(new, ready=True)
        self._tell("MODIFIED", ready)

    def _tell(self, kind: str, known: Pod) -> None:
        if not self._cut:
            super()._tell(kind, known)

    def targets(self) -> Sequence[TargetState]:
        """The load balancer's view."""
        return [TargetState(ip, 3000, state) for ip, state in self._health.items()]


class SimulatedTraffic:
    """A prober whose requests end as the circumstances want."""

    def __init__(self, clock: Clock, how: Circumstances, cluster: SimulatedCluster, chance: random.Random) -> None:
        self._clock, self._how, self._cluster, self._chance = clock, how, cluster, chance
        self._sent: list[Request] = []
        self._number, self._stopped = 0, False

    def __call__(self, plan: TrafficPlan, tell: e.Tell) -> SimulatedTraffic:
        """Begin."""
        self._tell, self._began = tell, self._clock.now
        tell(e.TrafficStarted(self._began))
        self._clock.after(FLUSH, self._flush)
        return self

    def _flush(self) -> None:
        if self._stopped:
            return
        self._send(self._clock.now)
        if self._how.dies_after is not None and self._clock.now > self._began + self._how.dies_after:
            self._stopped = True
            self._tell(e.TrafficLost(self._clock.now, "killed"))
            return
        self._clock.after(FLUSH, self._flush)

    def _send(self, until: float) -> None:
        batch = []
        while self._began + self._number / RATE <= until:
            batch += [self._request(stream) for stream in SENT]
            self._number += 1
        self._sent += batch
        self._tell(e.RequestsSeen(self._clock.now, tuple(batch)))

    def _request(self, stream: str) -> Request:
        at = self._began + self._number / RATE
        outcome = self._outcome(stream, at)
        latency = self._takes(at - self._cluster.killed_at) if stream in STREAMS else self._how.latency
        lag = max(self._how.lag(self._chance), self._stands_still(at))
        status = 503 if outcome == "status" else 200
        return Request(
            stream, self._number, round(at * 1e6), round((latency + lag) * 1e6), round(lag * 1e6), outcome, status
        )

    def _takes(self, after: float) -> float:
        slow = self._how.slow
        if slow is not None and slow[0] <= after < sum(slow):
            return self._chance.uniform(1.1, 1.9)
        return self._chance.uniform(0.2, 1.8) * self._how.latency

    def _stands_still(self, at: float) -> float:
        """For how long it is not got to: the stall lasts that long still."""
        if self._how.stall is None:
            return 0.0
        begin = self._cluster.killed_at + self._how.stall[0]
        end = begin + self._how.stall[1]
        return end - at if begin <= at < end else 0.0

    def _outcome(self, stream: str, at: float) -> str:
        how, after = self._how, at - self._cluster.killed_at
        if stream == CONTROL:
            return "refused" if how.control_fails and after > 1.0 else "ok"
        if how.cut_off is not None and how.cut_off[0] <= after < sum(how.cut_off):
            return "timeout"
        if stream == REMOTE:
            return "reset" if how.hiccup is not None and how.hiccup[0] <= after < sum(how.hiccup) else "ok"
        if self._stands_still(at) > 2.0:
            return "timeout"
        if how.unsent and after > 0 and self._chance.random() < how.unsent:
            return "unsent"
        if how.outage is not None and how.outage[0] <= after < sum(how.outage):
            return "status"
        return "reset" if how.benign is not None and 0 <= after - how.benign < 1 / RATE else "ok"

    def stop(self) -> None:
        """See Traffic."""
        if self._stopped:
            return
        self._stopped = True
        self._send(self._clock.now)
        totals = {stream: self._account(stream) for stream in SENT}
        self._tell(e.TrafficEnded(self._clock.now, totals, 0, 0.1, self._clock.now - self._began))

    def _account(self, stream: str) -> tuple[int, int, int, int, int]:
        mine = [r for r in self._sent if r.stream == stream]
        ok, late, unsent = (sum(r.outcome == kind for r in mine) for kind in ("ok", "timeout", "unsent"))
        return len(mine) - self._how.lie, ok, len(mine) - ok - late - unsent - self._how.lie, late, unsent


class SimulatedPoll(TargetPoll):
    """Looks when the simulated clock says so, on no thread."""

    def __init__(self, targets: Any, interval: float, tell: Any, clock: Clock) -> None:
        super().__init__(targets, interval, tell)
        self._clock, self._over = clock, False

    def __enter__(self) -> SimulatedPoll:
        self._again()
        return self

    def _again(self) -> None:
        if not self._over:
            self._look()
            self._clock.after(self._interval, self._again)

    def __exit__(self, *_: object) -> None:
        self._over = True


@contextmanager
def on(clock: Clock) -> Iterator[None]:
    """All of chaosctl.chaos looks at this clock."""
    modules = [
        m for name, m in sys.modules.items() if name.startswith("chaosctl.chaos.") and vars(m).get("time") is time
    ]
    for module in modules:
        module.__dict__["time"] = clock
    runner.__dict__["TargetPoll"] = lambda targets, interval, tell: SimulatedPoll(targets, interval, tell, clock)
    try:
        yield
    finally:
        runner.__dict__["TargetPoll"] = TargetPoll
        for module in modules:
            module.__dict__["time"] = time


def simulate(seed: int, how: Circumstances, directory: Path) -> Result:
    """One run under these circumstances."""
    clock, chance = Clock(), random.Random(seed)
    cluster = SimulatedCluster(clock, how, chance)
    traffic = SimulatedTraffic(clock, how, cluster, chance)
    if how.wall_step is not None:
        at, step = how.wall_step
        clock.after(at, lambda: setattr(clock, "wall_offset", clock.wall_offset + step))
    aim = Aim(seed=seed, mode=how.mode, count=how.count)
    plan = plans.select(aim, PLACE, cluster.pods(PLACE), [])
    experiment = Experiment("default", "lab", aim, plan, TRAFFIC, Budgets(99.0, 0.5, recovery_seconds=12.0), TIMING)
    world = runner.World(cluster, cluster.targets, traffic, UndoLog(directory), Interrupt(clock), lambda event: None)
    with on(clock):
        return runner.run(experiment, world)


def healthy(chance: random.Random) -> Circumstances:
    """Everything as it should be, each time a little differently, with the small trouble that real runs have."""
    how = Circumstances(
        count=chance.choice((1, 1, 2)),
        mode=chance.choice(tuple(Mode)),
        grace=chance.uniform(0.2, 4.0),
        start=chance.uniform(0.3, 6.0),
        target=chance.uniform(0.1, 1.5),
        latency=chance.uniform(0.001, 0.08),
        benign=chance.uniform(0.5, 4.0) if chance.random() < 0.25 else None,
    )
    if chance.random() < 0.3:
        how.lag = _spiky
    if how.benign is None and chance.random() < 0.2:
        how.hiccup = (chance.uniform(0.0, 4.0), chance.uniform(0.1, 2.0))
    if chance.random() < 0.2:
        how.watch_trouble = (chance.uniform(0.0, 3.0), chance.uniform(0.2, 2.0))
    if chance.random() < 0.3:
        how.wall_step = (chance.uniform(0.5, 9.0), chance.uniform(-0.3, 0.3))  # a clock that is kept right by NTP
    return how


def _spiky(chance: random.Random) -> float:
    """A machine that stutters: one request of a thousand is late."""
    return chance.uniform(0.02, 0.08) if chance.random() < 0.001 else chance.uniform(0.0, 0.006)


def _starved(chance: random.Random) -> Callable[[random.Random], float]:
    share, late = chance.uniform(0.03, 1.0), chance.uniform(0.05, 2.0)
    return lambda dice: late * dice.uniform(0.8, 1.2) if dice.random() < share else 0.001


def _swallowed_second(how: Circumstances, chance: random.Random) -> None:
    how.count, how.swallow_second = 2, True


# How a run is made to lie: each takes the circumstances of a good run and spoils them.
SABOTAGE: dict[str, Callable[[Circumstances, random.Random], None]] = {
    "the kill is swallowed": lambda how, _: setattr(how, "swallow", True),
    "one kill of two is swallowed": _swallowed_second,
    "the pod comes back with the same UID": lambda how, _: setattr(how, "same_uid", True),
    "the watch is cut": lambda how, chance: setattr(how, "cut_after", chance.uniform(0.0, how.start * 0.9)),
    "the prober is starved": lambda how, chance: setattr(how, "lag", _starved(chance)),
    "the clock is stepped": lambda how, chance: setattr(
        how, "wall_step", (chance.uniform(0.5, 9.0), chance.choice((-1, 1)) * chance.uniform(2, 3600))
    ),
    "the prober is killed": lambda how, chance: setattr(how, "dies_after", chance.uniform(0.5, 9.0)),
    "the account leaves requests out": lambda how, chance: setattr(how, "lie", chance.randint(1, 50)),
    "requests cannot be sent": lambda how, chance: setattr(how, "unsent", chance.uniform(0.05, 1.0)),
    "the control channel fails": lambda how, _: setattr(how, "control_fails", True),
    "the tester's own network is lost": lambda how, chance: setattr(
        how, "cut_off", (chance.uniform(0.2, 3), chance.uniform(0.2, 4))
    ),
    "the prober stands still": lambda how, chance: setattr(
        how, "stall", (chance.uniform(0.1, 3), chance.uniform(0.6, 4))
    ),
    "the end cannot be read": lambda how, _: setattr(how, "unreadable_end", True),
    "replacements never become ready": lambda how, _: setattr(how, "never_ready", True),
    "targets never become healthy": lambda how, _: setattr(how, "never_healthy", True),
    "users wait for too long": lambda how, chance: setattr(how, "slow", (chance.uniform(0, 3), chance.uniform(0.3, 9))),
    "users see an outage": lambda how, chance: setattr(how, "outage", (chance.uniform(0, 3), chance.uniform(0.7, 9))),
}


def sabotaged(number: int, chance: random.Random) -> tuple[str, Circumstances]:
    """The sabotages in turn, each in circumstances of its own; returns its name too."""
    name = list(SABOTAGE)[number % len(SABOTAGE)]
    how = healthy(chance)
    how.watch_trouble = how.wall_step = None
    SABOTAGE[name](how, chance)
    return name, how
