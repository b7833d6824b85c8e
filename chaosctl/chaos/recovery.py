"""Three clocks that start when the API acknowledged the first kill: replacements Ready, targets healthy, traffic clean.

Pure: they are moved by events, and take their times from them. A clock that stopped starts again when what it waited
for is lost again, so what it shows at the end is when things became good for good.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chaosctl.chaos import outage
from chaosctl.chaos.cluster import PodState, TargetState
from chaosctl.chaos.experiment import FaultPlan, Sign, Victim
from chaosctl.chaos.requests import Request

HEALTHY = "healthy"
ROUNDING = 1e-5  # seconds: intended times are kept in whole microseconds
HARD = "container-crash"  # the fault that kills a process with SIGKILL
SIGKILLED = 137  # the exit code of that
LEAVING = {"draining", "unused"}  # states of targets that are on their way out


@dataclass(frozen=True)
class Clocks:
    """Seconds from the acknowledged fault, or from the undo of one that is held.

    None while running, and for `targets` also when there are none to look at.
    Nothing is clamped: traffic that was clean again before the acknowledgement came gives a negative figure.
    """

    replacements: float | None
    targets: float | None
    traffic: float | None


class Latch:
    """Since when a condition holds without a break; None while it does not."""

    def __init__(self) -> None:
        self.since: float | None = None

    def set(self, holds: bool, at: float) -> None:
        """The condition was looked at."""
        if not holds:
            self.since = None
        elif self.since is None:
            self.since = at


class Recovery:
    """What is known of pods and targets since the watch began, and how far the recovery is.

    Before `begin` it only learns what exists; pods seen for the first time after it are replacements, if one of the
    victims' controllers owns them. A victim without a controller of its own that matters (a rollout makes another one)
    is replaced by any new pod.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._victims = plan.victims
        self.pods: dict[str, PodState] = {}
        self.targets: tuple[TargetState, ...] = ()
        self.gone: dict[str, float] = {}  # UID to when the watch told of its end
        self.killed: dict[str, float] = {}  # UID to when the API acknowledged it
        self.proved: dict[str, str] = {}  # UID to what shows that it was hit, for those that are no pods
        self.outstanding = ""  # what the fault itself still misses
        self.lifted_at: float | None = None
        self.cut_short = False  # it was to be put back before it had done all that it does
        self._restarts: dict[str, int] = {}  # UID to its restarts before the fault
        self._seen_killed: set[str] = set()
        self._killed_hard = {v.uid for p in (plan, *plan.parts) if p.fault == HARD for v in p.victims}
        self._before: frozenset[str] | None = None
        self._served: frozenset[str] = frozenset()  # addresses that were targets before the fault
        self._became_ready: dict[str, float] = {}
        self._replaced, self._healthy = Latch(), Latch()

    @property
    def fault_at(self) -> float | None:
        """When the first kill was acknowledged."""
        return min(self.killed.values(), default=None)

    @property
    def zero(self) -> float | None:
        """From when the clocks count: the fault, or the end of one that is held until it is undone."""
        return self.lifted_at if self._plan.held else self.fault_at

    def app(self, pods: Iterable[PodState]) -> list[PodState]:
        """Those in the app's own namespace that are not ending."""
        here = ("", self._plan.place.namespace)
        return [pod for pod in pods if pod.namespace in here and not pod.deleting]

    def happened(self, victim: Victim) -> bool:
        """Whether the watch (for a pod) or the fault itself has seen that this victim was hit."""
        match victim.sign:
            case Sign.GONE:
                return victim.uid in self.gone
            case Sign.RESTARTED:
                return self.restarted(victim, self.pods.get(victim.uid))
            case _:
                return victim.uid in self.proved

    def restarted(self, victim: Victim, pod: PodState | None) -> bool:
        """Whether a pod has restarted since it was hit, and by that: not by itself before, nor in another way."""
        if pod is None or pod.restarts <= max(int(victim.before or 0), self._restarts.get(victim.uid, 0)):
            return False
        return (
            victim.uid not in self._killed_hard
            or not pod.exits
            or SIGKILLED in pod.exits
            or victim.uid in self._seen_killed  # and it has crashed by itself since
        )

    def pending(self) -> list[Victim]:
        """Those that were hit by the API's word, but do not show it yet; what is undone will show nothing more."""
        undone = self._plan.held and self.lifted_at is not None
        waiting = (v for v in self._hit() if not self.happened(v))
        return [v for v in waiting if not (undone and v.sign is Sign.CHANGED)]

    def _hit(self) -> list[Victim]:
        """Those that were hit by the API's word; once a fault was put back early, only those that show it."""
        hit = [v for v in self._victims if v.uid in self.killed]
        if not self.cut_short or self.lifted_at is None:
            return hit
        ending = {uid for uid, pod in self.pods.items() if pod.deleting}
        return [v for v in hit if self.happened(v) or v.uid in ending]

    def begin(self) -> None:
        """What exists now existed before the fault."""
        self._before = frozenset(self.pods)
        self._restarts = {uid: pod.restarts for uid, pod in self.pods.items()}
        addresses = {pod.ip for pod in self.pods.values() if pod.ready}
        self._served = frozenset(target.id for target in self.targets) & addresses

    def pod(self, at: float, change: str, pod: PodState) -> None:
        """The watch told of a pod."""
        if change == "DELETED":
            self.pods.pop(pod.uid, None)
            self._became_ready.pop(pod.uid, None)
            self.gone.setdefault(pod.uid, at)
        else:
            self.pods[pod.uid] = pod
            if SIGKILLED in pod.exits and pod.restarts > self._restarts.get(pod.uid, pod.restarts):
                self._seen_killed.add(pod.uid)
            if pod.ready:
                self._became_ready.setdefault(pod.uid, at)
            else:
                self._became_ready.pop(pod.uid, None)
        self._look(at)

    def seen_targets(self, at: float, targets: tuple[TargetState, ...]) -> None:
        """The load balancer was asked."""
        self.targets = targets
        self._look(at)

    def kill(self, at: float, uid: str) -> None:
        """The API acknowledged the end of a victim."""
        self.killed[uid] = at
        self._look(at)

    def prove(self, uid: str, evidence: str, at: float) -> None:
        """A victim that is no pod shows that it was hit."""
        self.proved[uid] = evidence
        self._look(at)

    def miss(self, missing: str, at: float) -> None:
        """What the fault itself still misses."""
        self.outstanding = missing
        self._look(at)

    def lift(self, at: float) -> None:
        """The fault was undone; the first time counts."""
        if self.lifted_at is None:
            self.lifted_at = at
        self._look(at)

    def _look(self, at: float) -> None:
        if self._before is not None and self.killed:
            over = self.zero is not None
            self._replaced.set(over and self._enough(self.pods.values()), at)
            self._healthy.set(over and self._targets_healthy(), at)

    def _needed(self, victims: Iterable[Victim] | None = None) -> Counter[str]:
        """How many replacements each controller owes."""
        among = {v.uid for v in (self._victims if victims is None else victims)}
        return Counter(v.owner_uid for v in self._hit() if v.uid in among and v.sign is Sign.GONE)

    def _new(self, pods: Iterable[PodState]) -> list[PodState]:
        before = self._before or frozenset()
        return [pod for pod in pods if pod.uid not in before and not pod.deleting]

    def _enough(self, pods: Iterable[PodState]) -> bool:
        """Whether, of these pods, every controller has replaced its victims by ready ones."""
        known = list(pods)
        found = Counter(pod.owner_uid for pod in self._new(known) if pod.ready)
        return self._returned(known) and _covers(found, self._needed()) and self._again_complete(known)

    def _returned(self, pods: Iterable[PodState]) -> bool:
        """Whether those that are to restart have done so, and are ready."""
        by_uid = {pod.uid: pod for pod in pods}
        return all(self.restarted(v, by_uid.get(v.uid)) and by_uid[v.uid].ready for v in self._restarting())

    def _restarting(self) -> list[Victim]:
        return [v for v in self._hit() if v.sign is Sign.RESTARTED]

    def _again_complete(self, pods: Iterable[PodState]) -> bool:
        """After a held fault nobody in particular is replaced: the app is to be as it was."""
        if not self._plan.held:
            return True
        staying = self.app(pods)
        return all(pod.ready for pod in staying) and len(staying) >= self._plan.ready

    def _targets_healthy(self) -> bool:
        staying = [target for target in self.targets if target.state not in LEAVING]
        if not staying or any(target.state != HEALTHY for target in staying):
            return False
        if not self._served:
            return self._enough(self.pods.values())
        return self._victims_left(staying) and self._replacements_serve(staying)

    def _victims_left(self, staying: list[TargetState]) -> bool:
        """No killed pod still counts as healthy; an address that a living pod took over does not count."""
        living = {pod.ip for pod in self.pods.values() if not pod.deleting}
        killed = (v for v in self._victims if v.uid in self.killed and v.sign is Sign.GONE)
        dead = {victim.ip for victim in killed} - living
        return not any(target.id in dead for target in staying)

    def _replacements_serve(self, staying: list[TargetState]) -> bool:
        addresses = {target.id for target in staying}
        found = Counter(pod.owner_uid for pod in self._new(self.pods.values()) if pod.ip in addresses)
        serving = [v for v in self._victims if v.ip in self._served]
        complete = not self._plan.held or len(addresses) >= self._plan.ready
        again = self._returned(self.pods.values()) and self._restarted_serve(addresses)
        return complete and _covers(found, self._needed(serving)) and again

    def _restarted_serve(self, addresses: set[str]) -> bool:
        """A pod is taken out while it restarts, and is registered again only once it is ready."""
        served = (self.pods.get(v.uid) for v in self._restarting() if v.ip in self._served)
        return all(pod is None or pod.ip in addresses for pod in served)

    def replacements(self) -> Mapping[str, PodState]:
        """Victim's UID to the pod that took its place: by controller, in the order in which they became ready."""
        ready = sorted(
            (pod for pod in self._new(self.pods.values()) if pod.uid in self._became_ready),
            key=lambda pod: self._became_ready[pod.uid],
        )
        pairs: dict[str, PodState] = {}
        for victim in sorted(self._victims, key=lambda v: self.killed.get(v.uid, math.inf)):
            if victim.kind != "Pod" or victim.sign is not Sign.GONE:
                continue
            match = next((pod for pod in ready if victim.owner_uid in ("", pod.owner_uid)), None)
            if match is not None and victim.uid in self.killed:
                ready.remove(match)
                pairs[victim.uid] = match
        return pairs

    @property
    def pods_ready(self) -> bool:
        """Whether the first clock stands."""
        return self._replaced.since is not None

    @property
    def targets_healthy(self) -> bool:
        """Whether the second clock stands."""
        return self._healthy.since is not None

    def clocks(self, streams: Mapping[str, list[Request]], clean: float, until: float) -> Clocks:
        """The three clocks; `streams` are the requests since the injection, which were sent until `until`.

        The third stops only if the traffic then stayed clean for `clean` seconds.
        """
        fault = self.zero
        if fault is None:
            return Clocks(None, None, None)
        calm = [outage.clean_from(requests) for requests in streams.values()]
        since = max((at for at in calm if at is not None), default=fault)
        return Clocks(
            replacements=_minus(self._replaced.since, fault),
            targets=_minus(self._healthy.since, fault),
            traffic=since - fault if until - since >= clean - ROUNDING else None,
        )

    def not_recovered(self, pods: Iterable[PodState]) -> list[str]:
        """What a fresh list of all pods shows to be still wrong."""
        found = list(pods)
        wrong = [f"pod {pod.name} is not ready" for pod in found if not pod.ready and not pod.deleting]
        ending = {pod.uid for pod in found if pod.deleting}
        stuck = [v.name for v in self._hit() if v.sign is Sign.GONE and v.uid in ending]
        if stuck:
            wrong.append(f"{', '.join(stuck)} is to end, but exists still")
        if not self._enough(found):
            wrong.append("not every victim has been replaced by a ready pod")
        if self.outstanding:
            wrong.append(self.outstanding)
        return wrong


def _covers(found: Counter[str], needed: Counter[str]) -> bool:
    """Whether every controller has what it owes; what nobody in particular owes may come from any of them."""
    owed = sum(count for owner, count in needed.items() if owner)
    anyones = needed.get("", 0)
    return all(found[owner] >= count for owner, count in needed.items() if owner) and (
        found.total() - owed >= anyones if anyones else True
    )


def _minus(at: float | None, start: float) -> float | None:
    return None if at is None else at - start
