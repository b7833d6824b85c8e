"""Several faults at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chaosctl.chaos import cluster as clusters
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode, Sign, Victim
from chaosctl.chaos.faults import workload
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.plan import guard_blast_radius, guard_budgets
from chaosctl.chaos.undo import each, known
from chaosctl.errors import Refused


class Together(Fault):
    """All parts are injected one right after the other, without waiting for any recovery, and undone in reverse."""

    name = "together"
    about = "several faults at once, as a scenario names them"
    undoes = "what each of them undoes"

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        self._faults = faults

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. What all of them hit together is within the guard rails too."""
        parts = list[FaultPlan]()
        for part in aim.parts:
            parts.append(self._part(part, parts, place, cluster))
        plan = FaultPlan(
            fault=self.name,
            mode=Mode.GRACEFUL,
            seed=aim.seed,
            place=place,
            victims=_victims(parts),
            ready=parts[0].ready,
            also=tuple(dict.fromkeys(where for part in parts for where in part.also)),
            held=any(part.held for part in parts),
            parts=tuple(parts),
        )
        self._guard(plan, aim, cluster)
        return plan

    def _part(self, aim: Aim, before: Sequence[FaultPlan], place: Place, cluster: Cluster) -> FaultPlan:
        """Its plan, with other pods than those that an earlier part has.

        A pod that one part ends cannot show what another did to it. Two that both last may share one, and nobody can
        be spared by a part that replaces the whole app, nor spare its pods.
        """
        fault = self._faults[aim.fault]
        plan = fault.plan(aim, place, cluster)
        taking = [part for part in before if self._faults[part.fault].takes]
        if not _clashes(plan, taking):
            return plan
        return fault.plan(replace(aim, spare=tuple(sorted(_pods(taking)))), place, cluster)

    def verify(self, plan: FaultPlan, aim: Aim, cluster: Cluster) -> None:
        """See Fault. Each part by itself, then all of them together."""
        for number, (part, of) in enumerate(zip(plan.parts, aim.parts, strict=True)):
            before = [earlier for earlier in plan.parts[:number] if self._faults[earlier.fault].takes]
            others = _pods(before) - _pods([part])
            self._faults[part.fault].verify(part, replace(of, spare=tuple(sorted(others))), cluster)
        self._guard(plan, aim, cluster)

    def _guard(self, plan: FaultPlan, aim: Aim, cluster: Cluster) -> None:
        """The blast radius in every place, and PodDisruptionBudgets, for what all parts take together."""
        _guard_nodes(plan, cluster)
        unnamed = sum(self._faults[part.fault].unnamed(part, cluster) for part in plan.parts)
        taken = _pods(part for part in plan.parts if self._faults[part.fault].takes)
        deleting = [part for part in plan.parts if self._faults[part.fault].deletes]
        for where in (plan.place, *plan.also):
            ready = clusters.ready(cluster.pods(where), where)
            lost = [pod for pod in ready if pod.uid in taken]
            more = unnamed if where == plan.place else 0
            if not aim.consent and (lost or more):
                guard_blast_radius(len(lost) + more, len(ready))
            if not aim.ignore_pdb and any(part.mode is not Mode.EVICT for part in deleting):
                guard_budgets(_pods(deleting), ready, cluster.budgets(where))

    def describe(self, plan: FaultPlan) -> str:
        return "; ".join(self._faults[part.fault].describe(part) for part in plan.parts)

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        parts = [{"fault": p.fault, "data": self._faults[p.fault].undo_data(p, cluster)} for p in plan.parts]
        return {"parts": parts}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        for part, kept in zip(plan.parts, written["parts"], strict=True):
            yield from self._faults[part.fault].inject(part, cluster, stop, kept["data"])

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """See Fault. A victim of several of them has to show it of each."""
        looks = [self._faults[part.fault].look(part, cluster) for part in plan.parts]
        shown: dict[str, list[str]] = {}
        for part, look in zip(plan.parts, looks, strict=True):
            for victim in part.victims:
                if victim.sign is Sign.CHANGED:
                    shown.setdefault(victim.uid, []).append(look.proved.get(victim.uid, ""))
        proved = {uid: "; ".join(texts) for uid, texts in shown.items() if all(texts)}
        return Look(proved, "; ".join(look.missing for look in looks if look.missing))

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        """See Fault. Each part is tried, also when another could not be undone."""
        return "; ".join(each((part["fault"], self._undo(part, cluster)) for part in reversed(data["parts"])))

    def _undo(self, part: Mapping[str, Any], cluster: Cluster) -> Callable[[], str]:
        return lambda: known(part["fault"], self._faults).undo(part["data"], cluster)

    def patience(self, plan: FaultPlan) -> float:
        return max((self._faults[p.fault].patience(p) for p in plan.parts), default=0.0)

    def seconds(self, plan: FaultPlan) -> float:
        """How long the longest of its parts is held."""
        return max((self._faults[p.fault].seconds(p) for p in plan.parts), default=0.0)


def _guard_nodes(plan: FaultPlan, cluster: Cluster) -> None:
    """One node has to be left, whoever consents. Raises Refused (CHAOS-UNFIT)."""
    taken = [victim for victim in plan.victims if victim.kind == "Node"]
    if taken and len(taken) >= (usable := len(workload.nodes(cluster))):
        raise Refused(
            "these faults cannot be done at once",
            code="CHAOS-UNFIT",
            why=f"together they take {len(taken)} of {usable} nodes that take pods: none would be left",
            remedy="leave one of them out",
        )


def _pods(parts: Iterable[FaultPlan]) -> set[str]:
    return {victim.uid for part in parts for victim in part.victims if victim.kind == "Pod"}


def _clashes(plan: FaultPlan, before: Sequence[FaultPlan]) -> bool:
    """Whether it has a pod that an earlier part has, unless both only do something to it that lasts."""
    taken = {v.uid: v.sign for part in before for v in part.victims}
    signs = ((victim.sign, taken[victim.uid]) for victim in plan.victims if victim.uid in taken)
    return any(pair != (Sign.CHANGED, Sign.CHANGED) for pair in signs)


def _victims(parts: Sequence[FaultPlan]) -> tuple[Victim, ...]:
    """Each once. Of one that several parts name, because they take whole nodes or the whole app, that it is gone counts
    most: who is gone can show nothing else.
    """
    strength = (Sign.CHANGED, Sign.RESTARTED, Sign.GONE)
    found = dict[str, Victim]()
    for victim in (victim for part in parts for victim in part.victims):
        known = found.get(victim.uid)
        if known is None or strength.index(victim.sign) > strength.index(known.sign):
            found[victim.uid] = victim
    return tuple(found.values())
