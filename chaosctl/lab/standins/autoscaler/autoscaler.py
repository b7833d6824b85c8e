"""What one look leads to: a group grows, a node begins to be emptied, an empty one is terminated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chaosctl.lab.standins.autoscaler.capacity import Node, Pod
from chaosctl.lab.standins.autoscaler.cluster import Cluster
from chaosctl.lab.standins.autoscaler.decisions import Rules, growth, movable, needed
from chaosctl.lab.standins.autoscaler.groups import Group, Groups
from chaosctl.lab.standins.incluster.journal import log


@dataclass(frozen=True)
class Pace:
    """Seconds, by the real one's flags.

    unneeded   how long a node has to be superfluous before it goes
    after_add  how long after a group has grown no node goes
    patience   how long the emptying of a node may take before it is given up
    """

    unneeded: float = 600.0
    after_add: float = 600.0
    patience: float = 720.0


@dataclass
class _Leaving:
    """A node that is being emptied."""

    name: str
    since: float
    asked: set[tuple[str, str]] = field(default_factory=set)


class Autoscaler:
    """Remembers since when nodes have been superfluous; all else it sees anew each time."""

    def __init__(
        self, cluster: Cluster, groups: Groups, rules: Rules, pace: Pace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster, self._groups = cluster, groups
        self._rules, self._pace, self._clock = rules, pace, clock
        self._unneeded: dict[str, float] = {}  # node -> since when
        self._grown_at = float("-inf")
        self._leaving: _Leaving | None = None
        self._began = False

    def look(self) -> None:
        """One pass over all groups."""
        if not self._began:
            self._forget_what_was_begun()
        nodes, pods = self._cluster.nodes(), self._cluster.pods()
        groups = self._groups.all()
        for group in groups:
            self._grow(group, nodes, pods)
        if self._leaving:
            self._empty(self._leaving, nodes, pods)
        else:
            self._shrink(groups, nodes, pods)

    def _forget_what_was_begun(self) -> None:
        """What another process of ours was emptying is judged anew."""
        for node in self._cluster.nodes():
            if node.leaving:
                self._cluster.mark(node, leaving=False)
        self._began = True

    def _grow(self, group: Group, nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        members = [node for node in nodes if node.instance in group.instances]
        template = next((node for node in members if node.ready), None)
        room = group.most - group.desired
        if template is None or room <= 0:
            return
        upcoming = max(0, group.desired - sum(node.ready for node in members))
        wanted = growth(pods, nodes, template, upcoming, room)
        if not wanted.nodes:
            return
        to = group.desired + wanted.nodes
        self._groups.grow(group, wanted.nodes)
        self._grown_at = self._clock()
        self._unneeded.clear()
        log("the group grows", group=group.name, was=group.desired, becomes=to, pods=[p.key for p in wanted.helped])
        for pod in wanted.helped:
            said = f"pod triggered scale-up: [{{{group.name} {group.desired}->{to} (max: {group.most})}}]"
            self._cluster.event("Pod", *pod.key, "TriggeredScaleUp", said)

    def _shrink(self, groups: Sequence[Group], nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        """Begin to empty the node that has the fewest pods to move, of those that were superfluous for long enough."""
        now, budgets = self._clock(), self._cluster.budgets()
        can_shrink = {i for group in groups if group.desired > group.least for i in group.instances}
        found = [
            node
            for node in nodes
            if node.instance in can_shrink and node.usable and not needed(node, pods, nodes, budgets, self._rules)
        ]
        self._unneeded = {node.name: self._unneeded.get(node.name, now) for node in found}
        if now - self._grown_at < self._pace.after_add:
            return
        ripe = [node for node in found if now - self._unneeded[node.name] >= self._pace.unneeded]
        if not ripe:
            return
        going = min(ripe, key=lambda node: (len(movable(p for p in pods if p.node == node.name)), node.name))
        log("a node is not needed any more", node=going.name, seconds=round(now - self._unneeded[going.name], 1))
        self._cluster.mark(going, leaving=True)
        self._leaving = _Leaving(going.name, now)

    def _empty(self, leaving: _Leaving, nodes: Sequence[Node], pods: Sequence[Pod]) -> None:
        """Evict what is still on it; terminate it when nothing is."""
        node = next((node for node in nodes if node.name == leaving.name), None)
        left = movable(pod for pod in pods if pod.node == leaving.name)
        if node is None:
            self._leaving = None
        elif not left:
            self._groups.terminate(node.instance)
            log("a node is terminated", node=node.name, instance=node.instance)
            self._cluster.event("Node", "", node.name, "ScaleDown", "node removed by cluster autoscaler")
            self._leaving = None
        elif self._clock() - leaving.since > self._pace.patience:
            log("a node cannot be emptied, and stays", level="warning", node=node.name, pods=[p.key for p in left])
            self._cluster.mark(node, leaving=False)
            self._leaving = None
        else:
            self._evict(leaving, left)

    def _evict(self, leaving: _Leaving, left: Sequence[Pod]) -> None:
        for pod in left:
            if not pod.deleting and pod.key not in leaving.asked and self._cluster.evict(pod):
                leaving.asked.add(pod.key)
