"""What a fault is. A new one is one new file, and one line in `faults/__init__.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from chaosctl.chaos.cluster import Cluster
from chaosctl.chaos.events import Injected, NotInjected
from chaosctl.chaos.experiment import FaultPlan

Injection = Injected | NotInjected


class Fault(Protocol):
    """One kind of damage, to victims that the plan names."""

    @property
    def name(self) -> str:
        """As in FaultPlan.fault."""

    def describe(self, plan: FaultPlan) -> str:
        """What it is going to do, one line."""

    def undo_data(self, plan: FaultPlan) -> Mapping[str, Any]:
        """All that `undo` needs, as JSON. Written to disk before `inject` is called."""

    def inject(self, plan: FaultPlan, cluster: Cluster, stop: Callable[[], bool]) -> Iterator[Injection]:
        """Do it, one victim after the other; yields when the API acknowledged each.

        Ends within a second once `stop()` is true, without beginning anything more.
        """

    def undo(self, data: Mapping[str, Any], cluster: Cluster) -> str:
        """Put back what can be put back; one line that says what. Can be called again, also after half a fault."""
