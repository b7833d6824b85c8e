"""What is going on in a chaos run, in a few lines: requests by outcome, latency, pods, targets, recovery clocks."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from chaosctl.chaos import events as e
from chaosctl.chaos.experiment import Experiment
from chaosctl.chaos.outage import percentile
from chaosctl.chaos.record import Record
from chaosctl.chaos.requests import STREAMS, Request
from chaosctl.chaos.timeline import ABSENT, READY, Life, Timeline

SECONDS = 40  # that the bars go back
SAY_EVERY = 5.0  # seconds between two plain lines
BARS = "▁▂▃▄▅▆▇█"
GOOD, BAD, PALE = "green", "bold red", "dim"
FINE = {READY, "healthy"}

Piece = tuple[str, str]  # text, style


@dataclass
class Second:
    """The requests of one stream that were to be sent in one second."""

    ok: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # ms, of the good ones

    def add(self, request: Request) -> None:
        """One request ended."""
        if request.ok:
            self.ok += 1
            self.latencies.append(request.latency / 1000)
        else:
            self.failed[request.outcome] += 1

    @property
    def total(self) -> int:
        """All that ended."""
        return self.ok + self.failed.total()


class Panel:
    """Feed it every event of one run."""

    def __init__(self, experiment: Experiment, clock: Callable[[], float] = time.monotonic) -> None:
        self._experiment, self._clock = experiment, clock
        self._record, self._lives = Record(experiment), Timeline()
        self._seconds: dict[str, deque[tuple[int, Second]]] = {stream: deque(maxlen=SECONDS + 2) for stream in STREAMS}
        self._stopped: dict[str, float] = {}  # clock to seconds after the fault
        self._said = clock()
        self._since_said = Second()
        self.over = False

    def add(self, event: e.ChaosEvent) -> None:
        """Take one event."""
        self._record.add(event)
        if isinstance(event, e.RequestsSeen):
            for request in event.requests:
                self._request(request)
        else:
            self._lives.add(event)
            self._clocks(event.at)
        self.over = self.over or isinstance(event, (e.TrafficEnded, e.TrafficLost, e.Ended))

    def _request(self, request: Request) -> None:
        if request.stream not in self._seconds:
            return
        seconds, number = self._seconds[request.stream], request.intended // 1_000_000
        slot = next((second for at, second in reversed(seconds) if at == number), None)
        if slot is None:
            slot = Second()
            seconds.append((number, slot))
        slot.add(request)
        self._since_said.add(request)

    def _clocks(self, at: float) -> None:
        recovery = self._record.recovery
        zero = recovery.zero
        if zero is None:
            return
        for name, stands in (("replacements", recovery.pods_ready), ("targets", recovery.targets_healthy)):
            if not stands:
                self._stopped.pop(name, None)
            else:
                self._stopped.setdefault(name, at - zero)

    def lines(self) -> list[list[Piece]]:
        """The panel: lines of styled pieces. Empty before the traffic begins and after it ended."""
        if self.over or self._record.traffic_began is None:
            return []
        return [
            *(self._rate(stream) for stream in STREAMS),
            self._latency(),
            _tally("pods", self._lives.pods),
            *([_tally("targets", self._lives.targets)] if self._lives.targets else []),
            *self._recovery(),
        ]

    def _rate(self, stream: str) -> list[Piece]:
        whole = list(self._seconds[stream])[:-1][-SECONDS:]  # the last one is not over yet
        if not whole:
            return [_head(stream), ("no answer yet", PALE)]
        top = max(1, *(second.total for _, second in whole))
        bars: list[Piece] = [
            (BARS[min(7, second.total * 8 // (top + 1))], BAD if second.failed else GOOD) for _, second in whole
        ]
        now = whole[-1][1]
        failed = sum((second.failed for _, second in whole), Counter[str]())
        told = "".join(f", {n} {kind}" for kind, n in sorted(failed.items()))
        return [
            _head(f"{stream}/s"),
            *bars,
            (f"  {now.ok} ok", GOOD if now.ok else PALE),
            (f", {now.failed.total()} failed", BAD if now.failed else PALE),
            (f"  (last {len(whole)} s{told})" if told else "", BAD),
        ]

    def _latency(self) -> list[Piece]:
        recent = sorted(ms for stream in STREAMS for _, s in list(self._seconds[stream])[-6:] for ms in s.latencies)
        if not recent:
            return [_head("latency"), ("no good request in 5 s", BAD)]
        return [_head("latency"), (f"p50 {percentile(recent, 50):.1f} ms   p99 {percentile(recent, 99):.1f} ms", "")]

    def _recovery(self) -> list[list[Piece]]:
        fault, zero = self._record.recovery.fault_at, self._record.recovery.zero
        if fault is None:
            return []
        if zero is None:
            return [
                [_head("clocks"), (f"fault +{self._clock() - fault:.1f} s", "bold"), ("   held until undone", PALE)]
            ]
        pieces = [_head("clocks"), (f"{'fault' if zero == fault else 'undone'} +{self._clock() - zero:.1f} s", "bold")]
        for name in ("replacements", "targets") if self._lives.targets else ("replacements",):
            stopped = self._stopped.get(name)
            pieces.append(
                (f"   {name} {'…' if stopped is None else f'✓ {stopped:.2f} s'}", PALE if stopped is None else GOOD)
            )
        clean, wanted = self._record.clean_for(zero), self._experiment.timing.clean
        style, sign = (GOOD, "✓") if clean >= wanted else (PALE, f"clean {clean:.0f} of {wanted:g} s")
        return [[*pieces, (f"   traffic {sign}", style)]]

    def said(self) -> str:
        """The same in one plain line, every few seconds; empty in between."""
        now = self._clock()
        if self.over or self._record.traffic_began is None or now - self._said < SAY_EVERY:
            return ""
        told, seconds = self._since_said, now - self._said
        self._said, self._since_said = now, Second()
        failed = ", ".join(f"{n} {kind}" for kind, n in sorted(told.failed.items())) or "none failed"
        slow = f", p99 {percentile(sorted(told.latencies), 99):.1f} ms" if told.latencies else ""
        states = [
            f"{name} {words}"
            for name, words in (("pods:", _states(self._lives.pods)), ("targets:", _states(self._lives.targets)))
            if words
        ]
        return "; ".join([f"traffic: {told.ok / seconds:.0f} ok a second, {failed}{slow}", *states])


def _head(name: str) -> Piece:
    return (f"    {name:<9}", PALE)


def _counted(lives: Mapping[str, Life]) -> dict[str, int]:
    states = [life.changes[-1].state for life in lives.values()]
    return {state: states.count(state) for state in sorted(set(states)) if state != ABSENT}


def _states(lives: Mapping[str, Life]) -> str:
    return ", ".join(f"{n} {state}" for state, n in _counted(lives).items())


def _tally(name: str, lives: Mapping[str, Life]) -> list[Piece]:
    counted: Iterable[tuple[str, int]] = _counted(lives).items()
    pieces = [(f"{n} {state}   ", GOOD if state in FINE else "yellow") for state, n in counted]
    return [_head(name), *(pieces or [("none", BAD)])]


def panel_of(event: e.ChaosEvent) -> Panel | None:
    """The panel of the run that begins with this event; None when it is another event."""
    return Panel(event.experiment) if isinstance(event, e.ExperimentStarted) else None
