"""One run: gate, inject, observe, recover, verify. It ends with a Result, whatever happens in between.

Everything that is learnt is an event. `Log` folds them into the Record that this file asks, and passes them on to
whoever listens (the journal, the display), so the journal holds all that the verdict rests on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import chaosctl
from chaosctl.chaos import events as e
from chaosctl.chaos import gate
from chaosctl.chaos import plan as plans
from chaosctl.chaos.attempts import telling
from chaosctl.chaos.cluster import Cluster, Place, PodState, Targets
from chaosctl.chaos.drill import PATIENCE
from chaosctl.chaos.experiment import Experiment
from chaosctl.chaos.faults import FAULTS, workload
from chaosctl.chaos.faults.fault import Fault, Look
from chaosctl.chaos.probes.alarms import AlarmPoll, Alarms
from chaosctl.chaos.probes.poll import Poll
from chaosctl.chaos.probes.targets import TargetPoll
from chaosctl.chaos.probes.watch import WatchHealth
from chaosctl.chaos.record import Record
from chaosctl.chaos.result import Result, conclude
from chaosctl.chaos.settings import AppSettings
from chaosctl.chaos.traffic import StartTraffic
from chaosctl.chaos.undo import UndoLog
from chaosctl.errors import ChaosctlError, Refused
from chaosctl.events import Emit, Step, Waiting, Warned
from chaosctl.waiting import HEARTBEAT, TimedOut, heartbeat, wait_until

LOOK_EVERY = 0.5  # seconds between two looks at what the fault did, where no watch tells
HEARD_WITHIN = 5.0  # seconds until a helper that acts is heard to
SHOWS_WITHIN = 1.0  # seconds until the watch tells of a change whose answer was lost
GLANCE = 0.1  # seconds between two looks at the record while waiting; nothing is measured with it

T = TypeVar("T")
Missing = Callable[[Record], str]  # what is missing, in words; empty when nothing is


@dataclass(frozen=True)
class World:
    """Everything outside that a run touches.

    targets    None when there is no load balancer to ask (target `context`)
    interrupt  set by Ctrl-C or SIGTERM, at any time
    settings   how the app is set up, for the advisor; None when that is not known
    repeat     the command line that does the same again, for the report
    alarms     states of the alarms; None when the run expects none
    """

    cluster: Cluster
    targets: Targets | None
    start_traffic: StartTraffic
    undo: UndoLog
    interrupt: threading.Event
    emit: Emit
    settings: AppSettings | None = None
    repeat: str = ""
    alarms: Alarms | None = None


class Log:
    """Takes events from any thread, one after the other, into the record and on to the listeners."""

    def __init__(self, record: Record, emit: Emit) -> None:
        self._record, self._emit = record, emit
        self._lock = threading.RLock()

    def tell(self, event: e.ChaosEvent) -> None:
        """Record it and pass it on."""
        with self._lock:
            self._record.add(event)
            self._emit(event)

    def ask(self, question: Callable[[Record], T]) -> T:
        """What the record knows; nothing is added to it meanwhile."""
        with self._lock:
            return question(self._record)


class Interruption(Exception):
    """Ctrl-C or SIGTERM came while waiting."""


def let_rollouts_end(world: World, place: Place, within: float) -> None:
    """Wait until no rollout of the app is under way, as after the undo of one, before victims are chosen.

    Between two of its pods all are ready for a moment. But whom a rollout takes away anyway nobody replaces: the run
    would say that the app did not recover. One that does not end within so many seconds is for the gate to judge.
    """

    def looked() -> tuple[bool, str]:
        missing = workload.rolling_out(world.cluster, place)
        return not missing or world.interrupt.is_set(), missing

    with suppress(TimedOut):
        wait_until(looked, "a rollout to end", timeout=within, emit=world.emit, interval=LOOK_EVERY)


def put_back_leftovers(world: World) -> list[str]:
    """Undo what earlier runs left behind, if anything; one line for each. Every run begins with it."""
    if not world.undo.anything_left():
        return []
    faults = {name: partial(fault.undo, cluster=world.cluster) for name, fault in FAULTS.items()}
    with heartbeat("what an earlier run did to be put back", world.emit):
        done = world.undo.put_back(world.cluster.identity(), faults)
    for line in done:
        world.emit(Step(f"left by an earlier run, put back: {line}"))
    return done


def run(experiment: Experiment, world: World) -> Result:
    """Carry an experiment out and judge it. Raises ChaosctlError only for what stops it before anything was done."""
    put_back_leftovers(world)
    return Run(experiment, world).run()


class Run:
    """The state of one run. Use `run`."""

    def __init__(self, experiment: Experiment, world: World) -> None:
        self._experiment, self._world = experiment, world
        self._log = Log(Record(experiment), world.emit)
        self._fault = FAULTS[experiment.plan.fault]
        self._phase = ""
        self._watches: list[WatchHealth] = []
        self._polls: list[Poll] = []
        self._fault_looked = 0.0
        self._breach_looked = 0.0
        self._lost_at: float | None = None

    def run(self) -> Result:
        """All phases."""
        now = time.monotonic()
        self._log.tell(e.ExperimentStarted(now, time.time(), chaosctl.__version__, self._experiment))
        if self._world.settings is not None:
            self._log.tell(e.SettingsSeen(now, self._world.settings))
        if self._world.repeat:
            self._log.tell(e.RepeatedBy(now, self._world.repeat))
        with ExitStack() as probes:
            try:
                self._gate(probes)
                if self._log.ask(_may_inject):
                    self._inject_and_observe()
            except Interruption:
                self._log.tell(e.Interrupted(time.monotonic(), self._phase))
                self._see_recovery_through()
        # The prober has drained, watch and polls have ended: now an independent look.
        self._verify()
        if self._world.interrupt.is_set() and not self._log.ask(lambda record: record.interrupted):
            self._log.tell(e.Interrupted(time.monotonic(), self._phase))
        result = self._log.ask(conclude)
        self._log.tell(e.Ended(time.monotonic(), result.verdict.value, result.reasons))
        return result

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._log.tell(e.PhaseStarted(time.monotonic(), phase))
        self._log.tell(e.ClockSeen(time.monotonic(), time.time()))

    def _gate(self, probes: ExitStack) -> None:
        """Wait for the steady state, and check that the plan still holds in it."""
        self._enter("gate")
        self._start_probes(probes)
        timing = self._experiment.timing
        unsteady = partial(gate.unsteady, with_targets=self._world.targets is not None)
        missing = self._wait(unsteady, "a steady state", time.monotonic() + timing.steady_within)
        if self._log.ask(lambda record: record.traffic_lost):
            return
        if self._in_time():
            if missing:
                self._log.tell(e.NotSteady(time.monotonic(), f"after {timing.steady_within:g} s: {missing}"))
            elif self._plan_holds():
                self._log.tell(e.Steady(time.monotonic(), self._log.ask(_ready_pods)))

    def _in_time(self) -> bool:
        """Whether the prober keeps to its schedule; else the run is refused."""
        late = self._log.ask(gate.late)
        if late:
            self._log.tell(e.Drifted(time.monotonic(), "CHAOS-RATE-TOO-HIGH", late))
        return not late

    def _start_probes(self, probes: ExitStack) -> None:
        world, place = self._world, self._experiment.plan.place
        for watched in (place, *self._experiment.plan.also):
            watch = probes.enter_context(
                world.cluster.follow(
                    watched, lambda kind, pod: self._log.tell(e.PodSeen(time.monotonic(), kind, PodState.of(pod)))
                )
            )
            self._watches.append(WatchHealth(watch, self._log.tell))
        if world.targets is not None:
            poll = TargetPoll(world.targets, self._experiment.timing.poll, self._log.tell)
            self._polls.append(probes.enter_context(poll))
        if world.alarms is not None:
            self._polls.append(probes.enter_context(AlarmPoll(world.alarms, self._experiment.alarms, self._log.tell)))
        probes.callback(world.start_traffic(self._experiment.traffic, self._log.tell).stop)

    def _plan_holds(self) -> bool:
        """Whether victims and guard rails are still what the plan says, by a fresh look at the cluster."""
        plan, cluster = self._experiment.plan, self._world.cluster
        try:
            plans.verify_identity(plan, cluster.identity())
            self._fault.verify(plan, self._experiment.aim, cluster)
        except Refused as refusal:
            self._log.tell(e.Drifted(time.monotonic(), refusal.code, f"{refusal.what}: {refusal.why}"))
            return False
        return True

    def _inject_and_observe(self) -> None:
        self._enter("inject")
        with self._undone_afterwards() as data:
            if self._still_steady():
                self._inject(data)
            self._raise_if_interrupted()
            if self._hit():
                self._hold() if self._experiment.plan.held else self._observe("observe")
            self._raise_if_interrupted()
        if not self._hit():
            self._see_recovery_through()
            return
        if self._log.ask(lambda record: record.not_lifted):
            return
        if self._experiment.plan.held or self._cut_short():
            self._observe("recover")
        if self._fault.aftermath and not self._experiment.plan.held:
            self._await_aftermath()

    def _still_steady(self) -> bool:
        """A last look: since the gate opened the plan was compared, and the undo written down."""
        missing = self._log.ask(partial(gate.unsteady, with_targets=self._world.targets is not None))
        if not self._in_time():
            return False
        if missing:
            self._lost(missing)
        return not missing

    def _lost(self, missing: str) -> None:
        self._log.tell(e.NotSteady(time.monotonic(), f"no longer when the fault was to begin: {missing}"))

    def _lost_meanwhile(self) -> bool:
        """Whether the steady state was lost while a fault is asked for that does not act yet, as helpers start.

        One that acts already may be heard of a moment later: what it broke is not to be taken for something else.
        """
        if self._hit():
            return False
        now = time.monotonic()
        missing = self._log.ask(partial(gate.broken, with_targets=self._world.targets is not None))
        self._lost_at = (self._lost_at or now) if missing else None
        if self._lost_at is None or now - self._lost_at < HEARD_WITHIN:
            return False
        self._lost(missing)
        return True

    def _cut_short(self) -> bool:
        """Whether a fault that can be put back was, since a budget is exceeded: it recovers from then on."""
        return puts_back(self._fault) and self._log.ask(lambda record: bool(record.breached))

    def _hit(self) -> bool:
        return self._log.ask(lambda record: bool(record.recovery.killed))

    @contextmanager
    def _undone_afterwards(self) -> Iterator[Mapping[str, Any]]:
        """The undo is on disk before the body runs, which gets it, and carried out after it, however the body ends."""
        plan, world = self._experiment.plan, self._world
        data = self._fault.undo_data(plan, world.cluster)
        entry = world.undo.write(self._fault.name, plan.place.cluster, data)
        try:
            yield data
        finally:
            try:
                with heartbeat("the undo", world.emit):
                    what = self._fault.undo(data, world.cluster)
                world.undo.remove(entry)
                self._log.tell(e.Lifted(time.monotonic(), what))
            except ChaosctlError as error:
                self._log.tell(e.NotLifted(time.monotonic(), str(error)))
                world.emit(Warned(f"the fault could not be put back: {error}", "run `chaosctl chaos --undo`"))

    def _inject(self, written: Mapping[str, Any]) -> None:
        said = time.monotonic()
        try:
            plan, cluster = self._experiment.plan, telling(self._world.cluster, self._log.tell)
            for told in self._fault.inject(plan, cluster, self._stop_injecting, written):
                if not isinstance(told, Waiting):
                    self._log.tell(told)
                elif time.monotonic() - said >= HEARTBEAT:
                    self._world.emit(told)
                    said = time.monotonic()
        except ChaosctlError as error:
            if isinstance(error, Refused) and not self._hit():
                self._log.tell(e.Drifted(time.monotonic(), error.code, f"{error.what}: {error.why}"))
            else:
                self._log.tell(e.NotInjected(time.monotonic(), "", self._fault.name, str(error)))

    def _stop_injecting(self) -> bool:
        """Whether to begin nothing more, and to put back what was done: interrupted, or a budget is exceeded already.

        Whoever expects an alarm wants the fault to last until it goes off, whatever users notice.
        """
        if self._world.interrupt.is_set() or self._log.ask(lambda record: record.breached or record.not_steady):
            return True
        now = time.monotonic()
        if now - self._breach_looked < 2 * GLANCE:
            return False
        self._breach_looked = now
        if self._lost_meanwhile():
            return True
        if self._experiment.alarms:
            return False
        breach = self._log.ask(Record.breach)
        if breach:
            self._log.tell(e.BudgetBreached(now, breach))
        return bool(breach)

    def _hold(self) -> None:
        """Keep the fault until it has shown all that it does and lasted as long as wanted; or a budget is breached."""
        self._enter("observe")
        timing, wanted = self._experiment.timing, self._fault.seconds(self._experiment.plan)
        begun = time.monotonic()
        long_enough = begun + wanted

        def missing(record: Record) -> str:
            if self._stop_injecting():
                return ""
            lasts = time.monotonic() < long_enough
            return gate.holding(record) or (f"it is to last {wanted:g} s" if lasts else record.drill.silent())

        self._wait(missing, "what the fault does", max(begun + timing.give_up + self._drill_patience, long_enough))

    def _await_aftermath(self) -> None:
        """The undo disturbs pods too: until all is as before."""
        self._enter("recover")
        self._look_at_fault(soon=True)  # what it said before the undo is about the fault
        unrestored = partial(gate.unrestored, with_targets=self._world.targets is not None)
        self._wait(unrestored, "the undo", time.monotonic() + self._experiment.timing.give_up)

    def _observe(self, phase: str) -> None:
        """Until everything has recovered and was seen for long enough; or it is given up.

        A budget that is exceeded ends it early while there is something to put back: a cordon, an image.
        """
        self._enter(phase)
        timing = self._experiment.timing
        fault_at = self._log.ask(lambda record: record.recovery.zero) or time.monotonic()
        long_enough = fault_at + timing.observe
        shown_by = fault_at + max(timing.observe, self._fault.patience(self._experiment.plan))

        ends_early = phase == "observe" and puts_back(self._fault)

        def missing(record: Record) -> str:
            if ends_early and self._stop_injecting():
                return ""
            seen_enough = time.monotonic() >= long_enough
            if time.monotonic() >= shown_by and not gate.effective(record):
                return ""  # the verdict will be that nothing happened; there is nothing to wait for
            return (
                gate.unsettled(record, with_targets=self._world.targets is not None)
                or gate.disturbed(record)
                or record.drill.unfinished()
                or ("" if seen_enough else f"observing for {timing.observe:g} s")
            )

        self._wait(missing, "the recovery", fault_at + timing.give_up + self._drill_patience)
        if self._log.ask(lambda record: record.traffic_lost):
            self._see_recovery_through()

    @property
    def _drill_patience(self) -> float:
        return PATIENCE if self._experiment.alarms else 0.0

    def _see_recovery_through(self) -> None:
        """After an interruption, or without traffic: wait, within bounds, until what was killed is replaced.

        Also when nothing was acknowledged, but something attempted: that may have happened.
        """
        with_targets, begun = self._world.targets is not None, time.monotonic()

        def missing(record: Record) -> str:
            if record.recovery.killed:
                return gate.unsettled(record, with_targets=with_targets)
            shows = time.monotonic() - begun >= min(SHOWS_WITHIN, self._experiment.timing.abort)
            return gate.unreturned(record, with_targets=with_targets) or ("" if shows else "it may yet show")

        if self._log.ask(lambda record: record.recovery.killed or record.attempted):
            deadline = begun + self._experiment.timing.abort
            self._wait(missing, "the recovery from what was done so far", deadline, regardless=True)

    def _verify(self) -> None:
        """Look at all pods once more, independent of the watch."""
        self._enter("verify")
        self._look_at_fault(soon=True)
        plan = self._experiment.plan
        try:
            pods = [pod for place in (plan.place, *plan.also) for pod in self._world.cluster.pods(place)]
        except ChaosctlError as error:
            self._log.tell(e.NotVerified(time.monotonic(), str(error)))
            return
        self._log.tell(e.Verified(time.monotonic(), tuple(PodState.of(pod) for pod in pods)))

    def _wait(self, missing: Missing, what: str, deadline: float, *, regardless: bool = False) -> str:
        """Until nothing is missing, or the deadline; returns what is missing then.

        The end of the prober ends it, and an interruption raises, unless it is to go on `regardless`.
        """
        begun = said = time.monotonic()
        while True:
            if not regardless:
                self._raise_if_interrupted()
            for watch in self._watches:
                watch.look()
            for poll in self._polls:
                poll.raise_bug()
            self._look_at_fault()
            lost, text = self._log.ask(lambda record: (record.traffic_lost, missing(record)))
            now = time.monotonic()
            if not text or now >= deadline or (lost and not regardless):
                return text
            if now - said >= HEARTBEAT:
                self._world.emit(Waiting(what, now - begun, text))
                said = now
            if regardless:
                time.sleep(GLANCE)
            else:
                self._world.interrupt.wait(GLANCE)

    def _look_at_fault(self, *, soon: bool = False) -> None:
        """Ask the fault itself what it shows and what it still misses, once there is one."""
        now = time.monotonic()
        if not self._hit() or (now - self._fault_looked < LOOK_EVERY and not soon):
            return
        self._fault_looked = now
        try:
            look = self._fault.look(self._experiment.plan, self._world.cluster)
        except ChaosctlError as error:
            look = Look({}, f"what the fault did cannot be asked for: {error}")
        known, missed = self._log.ask(lambda record: (set(record.recovery.proved), record.recovery.outstanding))
        for victim in self._experiment.plan.victims:
            if victim.uid in look.proved and victim.uid not in known:
                self._log.tell(e.Proved(time.monotonic(), victim.uid, victim.name, look.proved[victim.uid]))
        if look.missing != missed:
            self._log.tell(e.Outstanding(time.monotonic(), look.missing))

    def _raise_if_interrupted(self) -> None:
        if self._world.interrupt.is_set():
            raise Interruption


def puts_back(fault: Fault) -> bool:
    """Whether its undo does anything."""
    return type(fault).undo is not Fault.undo


def _may_inject(record: Record) -> bool:
    return record.steady and not record.traffic_lost


def _ready_pods(record: Record) -> int:
    return sum(pod.ready for pod in record.recovery.pods.values())
