"""What a run came to. Pure: made from a Record, and so from the journal as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from chaosctl.chaos import gate, outage
from chaosctl.chaos import tester as testers
from chaosctl.chaos.cluster import PodState
from chaosctl.chaos.drill import Drilled
from chaosctl.chaos.experiment import Budgets, Experiment, Sign, Victim
from chaosctl.chaos.outage import Span, StreamFigures
from chaosctl.chaos.record import Record
from chaosctl.chaos.recovery import Clocks, Recovery
from chaosctl.chaos.requests import STREAMS, Request, Totals
from chaosctl.chaos.tester import Tester
from chaosctl.chaos.verdict import Facts, Verdict, judge

MAX_STEP = 1.0  # seconds between wall and monotonic clock, beyond which the machine slept, or its clock was set


@dataclass(frozen=True)
class Kill:
    """One victim. `acknowledged` is in seconds since the first acknowledgement; None: did not happen.

    gone      it shows that it was hit: no more there, restarted, or changed, as `evidence` says
    """

    name: str
    uid: str
    node: str
    acknowledged: float | None
    gone: bool
    replacement: str = ""
    replacement_uid: str = ""
    replacement_node: str = ""
    kind: str = "Pod"
    evidence: str = ""


@dataclass(frozen=True)
class Result:
    """The verdict and everything that it rests on.

    streams  what users noticed, from the injection until they had been well for as long as is observed
    spans    of a fault that is held until it is undone: how long answers took before, during and after it
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    experiment: Experiment
    kills: tuple[Kill, ...]
    streams: tuple[StreamFigures, ...]
    clocks: Clocks
    tester: Tester | None
    alarms: tuple[Drilled, ...] = ()
    spans: tuple[Span, ...] = ()

    def plain(self) -> dict[str, Any]:
        """For --json: plain data; the experiment's plan can be executed again with --plan."""
        data = asdict(self)
        data["verdict"] = self.verdict.value
        data["meaning"] = self.verdict.words
        data["exit_status"] = int(self.verdict.status)
        for stream in data["streams"]:
            stream["totals"] = stream["totals"]._asdict()
        return data


def conclude(record: Record) -> Result:
    """Judge a run that has ended (or a journal that was cut short: then it is INVALID at best)."""
    experiment = record.experiment
    since = record.since_injection()
    touched = {s: since[s] if record.recovery.killed else [] for s in STREAMS}
    clocks = record.recovery.clocks(touched, experiment.timing.clean, _until(record))
    counted = _while_it_mattered(record, touched)
    streams = tuple(outage.figures(s, counted[s], experiment.traffic.rate) for s in STREAMS if counted[s])
    verdict, reasons = judge(_facts(record, clocks, streams))
    return Result(
        verdict=verdict,
        reasons=reasons,
        notes=_notes(record),
        experiment=experiment,
        kills=_kills(record),
        streams=streams,
        clocks=clocks,
        tester=testers.figures(record),
        alarms=record.drill.outcome(record.recovery.fault_at, record.recovery.zero),
        spans=_spans(record),
    )


def _while_it_mattered(record: Record, touched: dict[str, list[Request]]) -> dict[str, list[Request]]:
    """Until users had been well for as long as is observed: a node or an alarm that takes minutes dilutes nothing."""
    zero = record.recovery.zero
    if zero is None:
        return touched
    calm = [at for requests in touched.values() if (at := outage.clean_from(requests)) is not None]
    end = max([zero, *calm]) + record.experiment.timing.observe
    return {s: [r for r in requests if r.intended / 1e6 < end] for s, requests in touched.items()}


def _spans(record: Record) -> tuple[Span, ...]:
    begin, end = record.recovery.fault_at, record.recovery.lifted_at
    if begin is None or end is None or not record.experiment.plan.held:
        return ()
    return tuple(span for s in STREAMS for span in outage.spans(s, record.requests[s], begin, end))


def _until(record: Record) -> float:
    """Until when traffic was sent, in seconds: the shorter of the two streams, each up to its next request."""
    last = min(max((r.intended for r in record.requests[s]), default=0) for s in STREAMS)
    return last / 1e6 + 1 / record.experiment.traffic.rate


def _facts(record: Record, clocks: Clocks, streams: tuple[StreamFigures, ...]) -> Facts:
    gone = sum(kill.gone for kill in _kills(record))
    untold = bool(record.not_steady and testers.trouble(record))
    return Facts(
        refused=f"{record.refused.why} [{record.refused.code}]" if record.refused else "",
        interrupted=_interrupted(record),
        unsteady="" if untold else record.not_steady,
        planned=len(record.experiment.plan.victims),
        gone=gone,
        stopped=bool(record.breached),
        invalid=tuple(_invalid(record, clocks)),
        not_undone=record.not_lifted,
        unrecovered=tuple(_unrecovered(record, clocks)) if gone else (),
        breaches=tuple(_breaches(record.experiment.budgets, clocks, streams)) if gone else (),
        silent=tuple(filter(None, [record.drill.unfinished()])) if gone else (),
    )


def _interrupted(record: Record) -> str:
    if not record.interrupted:
        return ""
    head = f"interrupted in the phase {record.interrupted}"
    if record.recovery.killed:
        return f"{head}; {_state_after(record)}"
    if not record.attempted:
        return f"{head}; nothing had been killed"
    return f"{head}; what had been asked for may have happened ({_last(record.attempted)}), {_state_after(record)}"


def _last(attempted: list[str]) -> str:
    return attempted[-1] if len(attempted) == 1 else f"{len(attempted)} calls, the last was: {attempted[-1]}"


def _state_after(record: Record) -> str:
    """What an aborted run can say about the recovery from what it had done."""
    if record.verified is None:
        return f"the recovery could NOT be verified: {record.not_verified}"
    wrong = record.recovery.not_recovered(record.verified.pods)
    if record.recovery.killed and record.targets_seen and not record.recovery.targets_healthy:
        wrong.append("the load balancer's targets are not all healthy")
    elif not record.recovery.killed:
        wrong += filter(None, [gate.unreturned(record, with_targets=record.targets_seen)])
    if wrong:
        return f"NOT recovered: {'; '.join(wrong)}"
    return "pods and targets are well" if record.not_lifted else "the recovery was verified"


def _kills(record: Record) -> tuple[Kill, ...]:
    recovery = record.recovery
    left = None if record.verified is None else {pod.uid: pod for pod in record.verified.pods}
    replacements = recovery.replacements()
    kills = []
    for victim in record.experiment.plan.victims:
        at, new = recovery.killed.get(victim.uid), replacements.get(victim.uid)
        evidence = "" if at is None or left is None else _evidence(victim, left, recovery)
        kills.append(
            Kill(
                name=victim.name,
                uid=victim.uid,
                node=victim.node,
                acknowledged=None if at is None or recovery.fault_at is None else at - recovery.fault_at,
                gone=bool(evidence),
                replacement=new.name if new else "",
                replacement_uid=new.uid if new else "",
                replacement_node=new.node if new else "",
                kind=victim.kind,
                evidence=evidence,
            )
        )
    return tuple(kills)


def _evidence(victim: Victim, left: Mapping[str, PodState], recovery: Recovery) -> str:
    """What a fresh list of pods, or the fault itself, shows of a victim; empty when nothing happened to it."""
    match victim.sign:
        case Sign.GONE:
            pod = left.get(victim.uid)
            return "gone" if pod is None else "ending" if pod.deleting else ""
        case Sign.RESTARTED:
            pod = left.get(victim.uid)
            return f"restarts {victim.before} -> {pod.restarts}" if pod and recovery.restarted(victim, pod) else ""
        case _:
            return recovery.proved.get(victim.uid, "")


def _invalid(record: Record, clocks: Clocks) -> list[str]:
    """Why these measurements cannot be trusted. An aborted run's need not be whole."""
    wrong = [*_prober_trouble(record), *testers.trouble(record), *_clock_trouble(record)]
    if record.not_steady and testers.trouble(record):
        wrong.append(f"whether the service was steady before anything was done cannot be told: {record.not_steady}")
    if record.recovery.killed and record.verified is None:
        wrong.append(f"the end state could not be read from the cluster: {record.not_verified or 'nobody looked'}")
    if lost := _unacknowledged(record):
        wrong.append(f"{', '.join(lost)} was hit, but the API's answer was lost: no clock has a beginning")
    if record.targets_seen and record.targets_unknown:
        wrong.append(f"the load balancer's targets could not be asked for: {record.targets_unknown}")
    wrong += _seen_late(record, clocks)
    if _missed_by_watch(record, clocks):
        wrong.append("replacements are ready, but the watch did not see them become so: their clock has no figure")
    return wrong


def _unacknowledged(record: Record) -> list[str]:
    """Victims that show that they were hit although nobody said so."""
    if not record.attempted or record.verified is None:
        return []
    left = {pod.uid: pod for pod in record.verified.pods}
    killed, asked = record.recovery.killed, {what.split()[-1] for what in record.attempted}
    victims = [v for v in record.experiment.plan.victims if v.uid not in killed and (not killed or v.name in asked)]
    return [v.name for v in victims if v.sign is not Sign.CHANGED and _evidence(v, left, record.recovery)]


def _seen_late(record: Record, clocks: Clocks) -> list[str]:
    """Clocks that exceed their budget by what a gap in the observation may have added."""
    zero, budgets = record.recovery.zero, record.experiment.budgets
    watched = (
        ("replacements", clocks.replacements, record.watch_gaps, "the watch was broken"),
        ("targets", clocks.targets, record.target_gaps, "targets could not be asked for"),
    )
    wrong = []
    for name, seconds, gaps, why in watched:
        if zero is None or seconds is None or budgets.keeps_clock(name, seconds):
            continue
        begin = gaps.before(zero + seconds)
        if begin is not None and budgets.keeps_clock(name, begin - zero):
            wrong.append(f"{name}: {why} from {max(0.0, begin - zero):.1f} s on, so {seconds:.1f} s may be too many")
    return wrong


def _missed_by_watch(record: Record, clocks: Clocks) -> bool:
    verified = record.verified
    if verified is None or record.recovery.zero is None or not any(kill.gone for kill in _kills(record)):
        return False
    return clocks.replacements is None and not record.recovery.not_recovered(verified.pods)


def _prober_trouble(record: Record) -> list[str]:
    """Its end, and its account: scheduled = ok + bad + timed out + unsent, by its own books and by the records."""
    if record.traffic_lost:
        return [f"the prober was lost: {record.traffic_lost}"]
    ended = record.traffic_ended
    if ended is None:
        return ["the prober never gave its account"]
    wrong = [f"{ended.in_flight} requests were still in flight at the end"] if ended.in_flight else []
    for stream, requests in record.requests.items():
        if stream not in ended.totals and not requests:
            continue  # not every run has every stream
        told = Totals(*ended.totals.get(stream, (0, 0, 0, 0, 0)))
        if not told.balanced or told != outage.count(requests) or not outage.complete(requests):
            wrong.append(f"the account of the stream {stream} does not add up")
    return wrong


def _clock_trouble(record: Record) -> list[str]:
    """While a machine sleeps its monotonic clock stands still: outages meanwhile were seen by nobody."""
    if abs(record.clock_step) <= MAX_STEP:
        return []
    return [f"the clock of this machine was stepped by {record.clock_step:.1f} s, or it slept"]


def _waited(record: Record) -> float:
    """For how many seconds the run looked for the recovery."""
    zero, patience = record.recovery.zero, record.experiment.timing.give_up
    return patience if zero is None else min(patience, max(0.0, _until(record) - zero))


def _unrecovered(record: Record, clocks: Clocks) -> list[str]:
    limit = f"within {_waited(record):.0f} s"
    wrong = record.recovery.not_recovered(record.verified.pods) if record.verified else []
    if record.targets_seen and clocks.targets is None:
        states = ", ".join(f"{t.id} {t.state}" for t in record.recovery.targets) or "none registered"
        wrong.append(f"the load balancer's targets did not become healthy {limit}: {states}")
    if clocks.traffic is None:
        wrong.append(f"traffic was not clean for {record.experiment.timing.clean:g} s {limit}")
    return wrong


def _breaches(budgets: Budgets, clocks: Clocks, streams: tuple[StreamFigures, ...]) -> list[str]:
    wrong = []
    for s in streams:
        if not budgets.keeps_success(s.success_percent):
            wrong.append(
                f"{s.success_percent:.3f} % of the requests on {s.stream} connections succeeded, "
                f"the budget is {budgets.success_percent:g} %"
            )
        if not budgets.keeps_downtime(s.downtime):
            wrong.append(
                f"{s.downtime:.2f} s of downtime on {s.stream} connections, "
                f"the budget is {budgets.downtime_seconds:g} s"
            )
        if s.latency and not budgets.keeps_latency(s.latency.p99):
            wrong.append(
                f"1 % of the good answers on {s.stream} connections took over {s.latency.p99 / 1000:.2f} s, "
                f"the budget is {budgets.latency_seconds:g} s"
            )
    for name, seconds in asdict(clocks).items():
        if seconds is not None and not budgets.keeps_clock(name, seconds):
            wrong.append(f"{name}: recovered after {seconds:.1f} s, the budget is {budgets.of_clock(name):g} s")
    return wrong


def _notes(record: Record) -> tuple[str, ...]:
    notes = [f"not hit: {text}" for text in record.not_injected]
    if record.breached:
        notes.append(f"injection was stopped early: {record.breached}")
    if times := len(record.watch_gaps.spans):
        notes.append(f"the watch broke {times} times; times of pods may be late by as long as it was broken")
    if times := len(record.target_gaps.spans):
        notes.append(f"targets could not be asked for {times} times; their times may be late by as long as that")
    if not record.targets_seen:
        notes.append("no load balancer was asked about its targets")
    if unwatched := testers.unwatched(record):
        notes.append(unwatched)
    return tuple(notes)
