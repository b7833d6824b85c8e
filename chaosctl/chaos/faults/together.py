"""Several faults at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode, Sign
from chaosctl.chaos.faults.fault import Fault, Injection, Look
from chaosctl.chaos.plan import guard_blast_radius
from chaosctl.chaos.undo import each, known


class Together(Fault):
    """All parts are injected one right after the other, without waiting for any recovery, and undone in reverse."""

    name = "together"
    about = "several faults at once, as a scenario names them"
    undoes = "what each of them undoes"

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        self._faults = faults

    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """See Fault. What all of them hit together is within the blast radius too."""
        parts = tuple(self._faults[part.fault].plan(part, place, cluster) for part in aim.parts)
        victims = tuple({victim.uid: victim for part in parts for victim in part.victims}.values())
        ready = parts[0].ready
        lost = sum(victim.kind == "Pod" and not victim.namespace and bool(victim.owner_uid) for victim in victims)
        if not aim.consent and lost:
            guard_blast_radius(lost, ready)
        return FaultPlan(
            fault=self.name,
            mode=Mode.GRACEFUL,
            seed=aim.seed,
            place=place,
            victims=victims,
            ready=ready,
            also=tuple(dict.fromkeys(where for part in parts for where in part.also)),
            held=any(part.held for part in parts),
            parts=parts,
        )

    def verify(self, plan: FaultPlan, aim: Aim, cluster: Cluster) -> None:
        """See Fault."""
        for part, of in zip(plan.parts, aim.parts, strict=True):
            self._faults[part.fault].verify(part, of, cluster)

    def describe(self, plan: FaultPlan) -> str:
        """See Fault."""
        return "; ".join(self._faults[part.fault].describe(part) for part in plan.parts)

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        """See Fault."""
        parts = [{"fault": p.fault, "data": self._faults[p.fault].undo_data(p, cluster)} for p in plan.parts]
        return {"parts": parts}

    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        """See Fault."""
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
        """See Fault."""
        return max((self._faults[p.fault].patience(p) for p in plan.parts), default=0.0)

    def seconds(self, plan: FaultPlan) -> float:
        """How long the longest of its parts is held."""
        return max((self._faults[p.fault].seconds(p) for p in plan.parts), default=0.0)
