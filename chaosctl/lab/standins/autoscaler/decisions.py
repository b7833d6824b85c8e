"""How many nodes are to be added, and which one can go. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass

from chaosctl.lab.standins.autoscaler.capacity import LOCAL, Bin, Budget, Node, Pod, Room, bins

SYSTEM = "kube-system"


@dataclass(frozen=True)
class Rules:
    """By the real one's flags: what share of a node may be requested when it goes, and which pods keep it."""

    utilization: float = 0.5
    skip_local_storage: bool = True
    skip_system_pods: bool = True


@dataclass(frozen=True)
class Growth:
    """How many nodes to add, and the pods for which that is done."""

    nodes: int = 0
    helped: tuple[Pod, ...] = ()


def growth(pods: Sequence[Pod], nodes: Sequence[Node], template: Node, upcoming: int, most: int) -> Growth:
    """What it takes for the pods that wait, beside nodes that are there and `upcoming` ones; not more than `most`.

    template  a node of the group: another one will be like it, with its DaemonSets' pods and nothing else on it
    """
    own = sum((pod.request for pod in pods if pod.node == template.name and pod.of_node), Room())
    empty = Bin(_new(template), template.room - own)
    there = [*bins(nodes, pods), *(copy(empty) for _ in range(upcoming))]
    added: list[Bin] = []
    helped = []
    for pod in sorted((pod for pod in pods if pod.waits), key=lambda pod: (-pod.request.cpu, pod.key)):
        if any(one.put(pod) for one in there):
            continue  # it waits for something else than room, or the node that it goes to is on its way
        if not any(one.put(pod) for one in added):
            another = copy(empty)
            if len(added) >= most or not another.put(pod):
                continue
            added.append(another)
        helped.append(pod)
    return Growth(len(added), tuple(helped))


def _new(template: Node) -> Node:
    return Node("", "", template.room, template.labels, (), ready=True, cordoned=False, leaving=False)


def needed(node: Node, pods: Sequence[Pod], nodes: Iterable[Node], budgets: Sequence[Budget], rules: Rules) -> str:
    """Why a node cannot go; empty when its pods fit elsewhere, and may be moved."""
    on_it = [pod for pod in pods if pod.node == node.name]
    share = sum((pod.request for pod in on_it), Room()).share_of(node.room)
    if share >= rules.utilization:
        return f"{share:.0%} of it is requested"
    others = bins((other for other in nodes if other.name != node.name), pods)
    going = movable(on_it)
    for pod in going:
        if why := _kept(pod, budgets, rules):
            return f"{'/'.join(pod.key)}: {why}"
    for pod in going:
        if not any(one.put(pod) for one in others):
            return f"{'/'.join(pod.key)} fits nowhere else"
    return ""


def movable(pods: Iterable[Pod]) -> list[Pod]:
    """Those that have to go before their node does, the largest first."""
    return sorted((pod for pod in pods if not pod.of_node), key=lambda pod: (-pod.request.cpu, pod.key))


def _kept(pod: Pod, budgets: Sequence[Budget], rules: Rules) -> str:
    if pod.stays and (pod.stays != LOCAL or rules.skip_local_storage):
        return pod.stays
    covering = [budget for budget in budgets if budget.covers(pod)]
    if len(covering) > 1:
        return "it has more than one disruption budget, and the API server evicts no such pod"
    if any(budget.allowed < 1 for budget in covering):
        return "its disruption budget allows none to go"
    if pod.key[0] == SYSTEM and not covering and rules.skip_system_pods:
        return "a system pod without a disruption budget"
    return ""
