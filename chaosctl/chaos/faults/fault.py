"""What a fault is. A new one is one new file, and one line in `faults/__init__.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chaosctl.chaos import plan as plans
from chaosctl.chaos.cluster import Cluster, Place
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import Aim, FaultPlan
from chaosctl.errors import Refused, UsageProblem
from chaosctl.events import Waiting

Injection = Injected | NotInjected | Waiting


class Options(BaseModel):
    """What a fault can be told, beside how many and in which mode; this one: nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Look:
    """What a fault sees of its victims that are no pods, and what it misses beside pods, targets and traffic."""

    proved: Mapping[str, str] = field(default_factory=dict)  # UID to evidence
    missing: str = ""


class Fault(ABC):
    """One kind of damage, to victims that the plan names.

    about, needs, undoes  one line each, for `chaosctl chaos list`
    aftermath             its undo disturbs pods as well: the run sees that through
    abrupt                the processes that it hits have no time to finish
    of_network            it comes between its victims and the others; in them nothing is changed
    deletes               it deletes pods by name, which PodDisruptionBudgets are about
    takes                 its victims serve less or not at all; not so if each is replaced first, or only loaded
    shows_within          seconds until a first sign of it can be expected; without one by then it had no effect
    """

    name: ClassVar[str]
    about: ClassVar[str]
    needs: ClassVar[str] = "nothing"
    undoes: ClassVar[str] = "nothing to put back"
    aftermath: ClassVar[bool] = False
    abrupt: ClassVar[bool] = False
    of_network: ClassVar[bool] = False
    shows_within: ClassVar[float] = 0.0
    deletes: ClassVar[bool] = False
    takes: ClassVar[bool] = True
    options: ClassVar[type[Options]] = Options

    def unfit(self, cluster: Cluster, place: Place) -> str:
        """Why it cannot be done on this target; empty when it can."""
        return ""

    @abstractmethod
    def plan(self, aim: Aim, place: Place, cluster: Cluster) -> FaultPlan:
        """Choose victims by the aim's seed. Raises Refused when a guard rail forbids it."""

    def verify(self, plan: FaultPlan, aim: Aim, cluster: Cluster) -> None:
        """Check, right before the injection, that the cluster is still the one that the plan was made for.

        The same seed chooses the same victims as long as nothing has changed. Raises Refused.
        """
        again = self.plan(aim, plan.place, cluster)
        if again.victims != plan.victims:
            raise plans.drifted(plan, {victim.uid for victim in again.victims})

    @abstractmethod
    def describe(self, plan: FaultPlan) -> str:
        """What it is going to do, one line."""

    def undo_data(self, plan: FaultPlan, cluster: Cluster) -> Mapping[str, Any]:
        """All that `undo` needs, as JSON. Written to disk before `inject` is called."""
        return {"victims": [victim.name for victim in plan.victims]}

    @abstractmethod
    def inject(
        self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool], written: Mapping[str, Any]
    ) -> Iterator[Injection]:
        """Do it, one victim after the other; yields when the API acknowledged each, and as often as it likes while it
        waits for something. `written` is what is on disk for the undo: what it names is done, nothing else.

        Ends within a second once `stop()` is true, without beginning anything more.
        """

    def look(self, plan: FaultPlan, cluster: Cluster) -> Look:
        """What it shows now. Asked again and again until the end."""
        return Look()

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        """Put back what can be put back; one line that says what. Can be called again, also after half a fault."""
        return f"nothing to put back of {', '.join(data['victims'])}"

    def unnamed(self, plan: FaultPlan, cluster: Cluster) -> int:
        """How many of the app's pods it takes beside its victims: who, others decide."""
        return 0

    def patience(self, plan: FaultPlan) -> float:
        """How long to wait for a first sign of it, in seconds."""
        return self.shows_within

    def seconds(self, plan: FaultPlan) -> float:
        """How long a held fault is to last, at least."""
        return float(getattr(self.told(plan.options), "seconds", 0.0))

    def require_fit(self, cluster: Cluster, place: Place) -> None:
        """Raise Refused (CHAOS-UNFIT) when this target cannot do it."""
        if why := self.unfit(cluster, place):
            raise Refused(
                f"the fault {self.name} cannot be done here",
                code="CHAOS-UNFIT",
                why=why,
                remedy="see with `chaosctl chaos list` which can",
            )

    def told(self, options: Mapping[str, Any]) -> Any:
        """The options, checked. Raises UsageProblem (CHAOS-OPTIONS)."""
        try:
            return self.options.model_validate(dict(options))
        except ValidationError as error:
            mistakes = "\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UsageProblem(
                f"the fault {self.name} does not understand its options",
                code="CHAOS-OPTIONS",
                why=mistakes,
                remedy="see docs/chaos.md for what it can be told",
            ) from error
