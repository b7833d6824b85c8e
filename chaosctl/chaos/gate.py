"""Is everything as it should be, before and after? Pure questions to the record; each answer says what is missing."""

from __future__ import annotations

from chaosctl.chaos.record import Record
from chaosctl.chaos.recovery import HEALTHY, LEAVING
from chaosctl.chaos.tester import MAX_LAG


def unsteady(record: Record, *, with_targets: bool) -> str:
    """What is missing before the fault may be injected; empty when nothing is."""
    pods_and_targets = record.drill.loud() or _pods(record) or (_targets(record) if with_targets else "")
    return pods_and_targets or _traffic(record) or late(record) or _slow(record)


def broken(record: Record, *, with_targets: bool) -> str:
    """What is wrong with the service itself, after it was steady; empty when nothing is."""
    return _pods(record) or (_targets(record) if with_targets else "") or _traffic(record)


def _pods(record: Record) -> str:
    everywhere = [pod for pod in record.recovery.pods.values() if not pod.deleting]
    unready = [pod.name for pod in everywhere if not pod.ready]
    if unready:
        return f"{len(unready)} of {len(everywhere)} pods are not ready: {', '.join(sorted(unready)[:3])}"
    staying = record.recovery.app(everywhere)
    wanted = record.experiment.plan.ready
    return "" if len(staying) >= wanted else f"{len(staying)} pods are ready, not {wanted}"


def _targets(record: Record) -> str:
    if record.targets_unknown:
        return f"the load balancer's targets cannot be asked for: {record.targets_unknown}"
    staying = [target for target in record.recovery.targets if target.state not in LEAVING]
    sick = [f"{t.id} is {t.state}{f' ({t.reason})' if t.reason else ''}" for t in staying if t.state != HEALTHY]
    if sick:
        return f"{len(sick)} of {len(staying)} targets are not healthy: {', '.join(sick[:3])}"
    return "" if staying else "the load balancer has no targets"


def _traffic(record: Record) -> str:
    wanted, clean = record.experiment.timing.steady, record.clean_for(float("-inf"))
    if clean >= wanted:
        return ""
    worst = record.last_failure
    return f"traffic is clean for {clean:.1f} s of {wanted:g} s" + (f", the last failure was: {worst}" if worst else "")


def _slow(record: Record) -> str:
    """That users wait for too long already: what is slow before the fault is not slow by it."""
    taken, budgets = record.recent_latency(record.experiment.timing.steady), record.experiment.budgets
    if budgets.keeps_latency(1000 * taken):
        return ""
    return f"answers take {taken:.3f} s (99th percentile), the latency budget is {budgets.latency_seconds:g} s"


def late(record: Record) -> str:
    """That the prober does not keep to its schedule, so that nothing it measured could be believed; else empty."""
    lag = record.recent_lag(record.experiment.timing.steady)
    rate = record.experiment.traffic.rate
    if lag <= MAX_LAG:
        return ""
    return f"the prober is {lag:.1f} ms late (99th percentile): this machine cannot hold {rate:g} requests a second now"


def unsettled(record: Record, *, with_targets: bool) -> str:
    """What the cluster still owes after the fault; empty when nothing is."""
    recovery = record.recovery
    if pending := recovery.pending():
        names = ", ".join(victim.name for victim in pending[:3])
        return f"{len(pending)} of {len(recovery.killed)} victims do not show it yet: {names}"
    if recovery.outstanding:
        return recovery.outstanding
    if not recovery.pods_ready:
        return "replacements are not ready yet"
    return "targets are not healthy yet" if with_targets and not recovery.targets_healthy else ""


def disturbed(record: Record) -> str:
    """What users still miss after the fault; empty when traffic has been clean for long enough."""
    fault = record.recovery.zero
    wanted = record.experiment.timing.clean
    clean = record.clean_for(fault) if fault is not None else 0.0
    return "" if clean >= wanted else f"traffic is clean for {clean:.1f} s of {wanted:g} s"


def effective(record: Record) -> bool:
    """Whether any victim shows a sign of its end: gone, or ending, restarted, changed."""
    recovery = record.recovery
    ending = {uid for uid, pod in recovery.pods.items() if pod.deleting}
    hit = [victim for victim in record.experiment.plan.victims if victim.uid in recovery.killed]
    return any(recovery.happened(victim) or victim.uid in ending for victim in hit)


def holding(record: Record) -> str:
    """What is missing until a fault that is held has shown all that it does; empty when nothing is."""
    recovery, expected = record.recovery, record.experiment.plan.expected
    if pending := recovery.pending():
        return f"{len(pending)} of {len(recovery.killed)} victims do not show it yet"
    ready = sum(pod.ready for pod in recovery.app(recovery.pods.values()))
    return f"{ready} pods are ready, not {expected}" if expected and ready != expected else ""


def unreturned(record: Record, *, with_targets: bool) -> str:
    """What is missing until pods and targets are as before, when nobody knows whether anything was done to them."""
    return _pods(record) or (_targets(record) if with_targets else "")


def unrestored(record: Record, *, with_targets: bool) -> str:
    """What is missing after the undo until pods and targets are as before; empty when nothing is."""
    missing = record.recovery.outstanding or _pods(record)
    if missing or not with_targets:
        return missing
    return _targets(record) or ("" if record.recovery.targets_healthy else "targets are not healthy yet")
