"""When the stand-in for the Cluster Autoscaler adds a node, when it takes one away, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto import mock_aws

from chaosctl.lab.standins.autoscaler.__main__ import flags
from chaosctl.lab.standins.autoscaler.autoscaler import Autoscaler, Pace
from chaosctl.lab.standins.autoscaler.capacity import SAFE, TO_BE_DELETED, Budget, Node, Pod, Room, quantity
from chaosctl.lab.standins.autoscaler.decisions import Rules, growth, needed
from chaosctl.lab.standins.autoscaler.groups import Group, Groups

TAGS = ["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/demo"]
SELECTED = {"app": "shop"}


def node(name: str, cpu: str = "2", *, ready: bool = True, **spec: Any) -> Node:
    return Node.of(
        {
            "metadata": {"name": name, "labels": {"zone": "a"}},
            "spec": {"providerID": f"aws:///a/i-{name}", **spec},
            "status": {
                "allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "30"},
                "conditions": [{"type": "Ready", "status": str(ready)}],
            },
        }
    )


def pod(
    name: str, on: str = "", cpu: str = "500m", *, kind: str = "ReplicaSet", space: str = "shop", **more: Any
) -> Pod:
    """A pod that waits for a node when it is on none."""
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    owner = [{"kind": kind, "name": "x", "controller": True}] if kind else []
    return Pod.of(
        {
            "metadata": {"namespace": space, "name": name, "labels": SELECTED, "ownerReferences": owner, **more},
            "spec": {
                "nodeName": on,
                "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
            "status": {"conditions": [] if on else [unscheduled]},
        }
    )


@pytest.mark.parametrize(
    ("text", "value"), [("2", 2), ("1930m", 1.93), ("64Mi", 64 * 2**20), ("3884Ki", 3884 * 1024), ("1k", 1000)]
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity("much")


def grown(pods: list[Pod], nodes: list[Node], upcoming: int = 0, most: int = 9) -> int:
    return growth(pods, nodes, nodes[0], upcoming, most).nodes


@pytest.mark.parametrize(
    ("waiting", "upcoming", "most", "added"),
    [
        (0, 0, 9, 0),
        (1, 0, 9, 1),
        (4, 0, 9, 1),  # four of half a processor on one node
        (5, 0, 9, 2),
        (5, 1, 9, 1),  # one is on its way already
        (4, 1, 9, 0),
        (9, 0, 1, 1),  # the group has room for one only
    ],
)
def test_as_many_nodes_come_as_the_waiting_pods_need(waiting: int, upcoming: int, most: int, added: int) -> None:
    full = [pod("old", on="a", cpu="1900m")]
    assert grown(full + [pod(f"new-{n}") for n in range(waiting)], [node("a")], upcoming, most) == added


def test_pods_that_fit_on_a_node_that_is_there_get_no_other() -> None:
    assert grown([pod("old", on="a", cpu="1"), pod("new")], [node("a")]) == 0


def test_pods_that_fit_on_no_node_of_the_group_get_none() -> None:
    assert grown([pod("old", on="a", cpu="1900m"), pod("giant", cpu="3")], [node("a")]) == 0


def test_what_every_node_runs_takes_room_on_a_new_one_too() -> None:
    own = pod("agent", on="a", cpu="1", kind="DaemonSet")
    assert grown([own, pod("old", on="a", cpu="900m"), pod("new", cpu="1100m")], [node("a")]) == 0
    assert grown([own, pod("old", on="a", cpu="900m"), pod("new", cpu="900m")], [node("a")]) == 1


def test_nodes_that_take_no_pods_do_not_count() -> None:
    cordoned, tainted = node("b", unschedulable=True), node("c", taints=[{"key": "x", "effect": "NoSchedule"}])
    full = pod("old", on="a", cpu="1900m")
    assert grown([full, pod("new")], [node("a"), cordoned, tainted, node("d", ready=False)]) == 1


def test_a_pod_that_is_only_not_looked_at_yet_gets_no_node() -> None:
    fresh = Pod.of({"metadata": {"namespace": "shop", "name": "x"}, "spec": {"containers": []}})
    assert not fresh.waits and fresh.request == Room(pods=1)


BUDGET = Budget("shop", SELECTED, 1)


@pytest.mark.parametrize(
    ("on_it", "elsewhere", "budgets", "why"),
    [
        ([], [], [], ""),
        ([pod("p", on="b")], [], [BUDGET], ""),
        ([pod("p", on="b", cpu="1")], [], [BUDGET], "50% of it is requested"),
        ([pod("p", on="b")], [pod("q", on="a", cpu="1800m")], [BUDGET], "fits nowhere else"),
        ([pod("p", on="b")], [], [Budget("shop", SELECTED, 0)], "allows none to go"),
        ([pod("p", on="b")], [], [BUDGET, BUDGET], "more than one disruption budget"),
        ([pod("p", on="b", kind="")], [], [], "nobody would replace it"),
        ([pod("p", on="b", kind="DaemonSet")], [], [], ""),
        ([pod("p", on="b", space="kube-system")], [], [], "without a disruption budget"),
        ([pod("p", on="b", annotations={SAFE: "false"})], [], [BUDGET], "=false"),
    ],
)
def test_why_a_node_stays(on_it: list[Pod], elsewhere: list[Pod], budgets: list[Budget], why: str) -> None:
    nodes = [node("a"), node("b")]
    told = needed(nodes[1], [*on_it, *elsewhere], nodes, budgets, Rules(skip_local_storage=False))
    assert why in told and bool(why) == bool(told)


def test_by_default_what_keeps_something_on_its_node_keeps_the_node() -> None:
    nodes = [node("a"), node("b")]
    assert "keeps something" in needed(nodes[1], [pod("p", on="b")], nodes, [], Rules())


class FakeCluster:
    """Nodes and pods as lists; an eviction ends the pod at once, if its budget lets it."""

    def __init__(self, nodes: list[Node], pods: list[Pod]) -> None:
        self.all, self.running = {n.name: n for n in nodes}, {p.key: p for p in pods}
        self.blocked = False
        self.said: list[str] = []

    def nodes(self) -> list[Node]:
        return list(self.all.values())

    def pods(self) -> list[Pod]:
        return list(self.running.values())

    def budgets(self) -> list[Budget]:
        return [BUDGET]

    def mark(self, one: Node, *, leaving: bool) -> None:
        self.said.append(f"{'mark' if leaving else 'clear'} {one.name}")
        taints = [{"key": TO_BE_DELETED, "effect": "NoSchedule"}] if leaving else []
        self.all[one.name] = node(one.name, taints=taints)

    def evict(self, one: Pod) -> bool:
        self.said.append(f"evict {one.key[1]}")
        return not self.blocked and bool(self.running.pop(one.key))

    def event(self, kind: str, namespace: str, name: str, reason: str, message: str) -> None:
        self.said.append(reason)


class FakeGroups:
    """One group."""

    def __init__(self, *instances: str, least: int = 1, most: int = 3) -> None:
        self.group = Group("main", least, most, len(instances), frozenset(instances))
        self.terminated: list[str] = []

    def all(self) -> list[Group]:
        return [self.group]

    def grow(self, group: Group, nodes: int) -> None:
        self.group = Group("main", group.least, group.most, group.desired + nodes, group.instances)

    def terminate(self, instance: str) -> None:
        self.terminated.append(instance)


class Scene:
    """The autoscaler between a cluster, a group and a clock."""

    def __init__(self, cluster: FakeCluster, groups: FakeGroups) -> None:
        self.cluster, self.groups, self.now = cluster, groups, 1000.0
        rules, pace = Rules(skip_local_storage=False), Pace(unneeded=30, after_add=60, patience=100)
        self.autoscaler = Autoscaler(cluster, groups, rules, pace, lambda: self.now)  # type: ignore[arg-type]

    def look(self, after: float = 0.0) -> None:
        self.now += after
        self.autoscaler.look()


def test_a_group_grows_once_for_the_same_pods() -> None:
    full = [pod("old", on="a", cpu="1900m"), pod("new")]
    scene = Scene(FakeCluster([node("a")], full), FakeGroups("i-a"))
    for _ in range(3):
        scene.look(after=2)
    assert scene.groups.group.desired == 2
    assert scene.cluster.said == ["TriggeredScaleUp"]


def two_nodes(least: int = 1) -> Scene:
    """The first has two pods, the second one; both are hardly used."""
    pods = [pod("p", on="a", cpu="200m"), pod("q", on="a", cpu="200m"), pod("r", on="b", cpu="200m")]
    return Scene(FakeCluster([node("a"), node("b")], pods), FakeGroups("i-a", "i-b", least=least))


def test_the_node_with_the_fewest_pods_goes_when_it_was_superfluous_for_long_enough() -> None:
    scene = two_nodes()
    scene.look()
    scene.look(after=29)
    assert scene.cluster.said == []
    scene.look(after=1)
    assert scene.cluster.said == ["mark b"]
    scene.look(after=2)
    assert (scene.cluster.said[1:], scene.groups.terminated) == (["evict r"], [])
    scene.look(after=2)
    assert (scene.cluster.said[2:], scene.groups.terminated) == (["ScaleDown"], ["i-b"])


def test_a_group_never_gets_smaller_than_its_least() -> None:
    scene = two_nodes(least=2)
    scene.look()
    scene.look(after=1000)
    assert scene.cluster.said == []


def test_a_node_that_was_needed_in_between_is_superfluous_from_then_on_only() -> None:
    scene = two_nodes()
    scene.look()
    busy = {p.key: p for p in (pod("big-a", on="a", cpu="1500m"), pod("big-b", on="b", cpu="1500m"))}
    scene.cluster.running |= busy
    scene.look(after=20)
    for key in busy:
        del scene.cluster.running[key]
    scene.look(after=20)
    assert scene.cluster.said == []


def test_no_node_goes_soon_after_one_came() -> None:
    scene = two_nodes()
    scene.cluster.running[("shop", "new")] = pod("new", cpu="1900m")
    scene.look()
    del scene.cluster.running[("shop", "new")]
    scene.look(after=1)
    scene.look(after=50)
    assert scene.cluster.said == ["TriggeredScaleUp"]
    scene.look(after=10)
    assert scene.cluster.said[1:] == ["mark b"]


def test_a_node_that_cannot_be_emptied_stays() -> None:
    scene = two_nodes()
    scene.look()
    scene.cluster.blocked = True
    scene.look(after=30)
    scene.look(after=50)
    scene.look(after=51)
    assert scene.cluster.said == ["mark b", "evict r", "clear b"]
    assert scene.groups.terminated == []


def test_what_a_process_before_this_one_began_is_forgotten() -> None:
    scene = two_nodes()
    scene.cluster.mark(node("b"), leaving=True)
    scene.look()
    assert scene.cluster.said == ["mark b", "clear b"]


def test_only_groups_with_all_tags_are_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("autoscaling", region_name="us-west-2")
        client.create_launch_configuration(LaunchConfigurationName="lc", ImageId="ami-1", InstanceType="t3.medium")
        for name, tags in (("ours", TAGS), ("theirs", TAGS[:1])):
            client.create_auto_scaling_group(
                AutoScalingGroupName=name,
                LaunchConfigurationName="lc",
                MinSize=1,
                MaxSize=3,
                DesiredCapacity=2,
                AvailabilityZones=["us-west-2a"],
                Tags=[{"Key": tag, "Value": "owned", "PropagateAtLaunch": True} for tag in tags],
            )
        groups = Groups(client, TAGS)
        (group,) = groups.all()
        assert (group.name, group.least, group.most, group.desired, len(group.instances)) == ("ours", 1, 3, 2, 2)
        groups.grow(group, 1)
        (bigger,) = groups.all()
        assert bigger.desired == len(bigger.instances) == 3
        gone = min(bigger.instances)
        groups.terminate(gone)
        (smaller,) = groups.all()
        assert smaller.desired == 2 and gone not in smaller.instances


NEEDED = ["--cloud-provider=aws", "--node-group-auto-discovery=asg:tag=a,b"]


def test_durations_and_tags_are_read_as_the_real_one_reads_them() -> None:
    options = flags([*NEEDED, "--scale-down-unneeded-time=1m30s", "--scan-interval=500ms"])
    assert options.node_group_auto_discovery == ["a", "b"]
    assert (options.scale_down_unneeded_time, options.scan_interval) == (90, 0.5)


@pytest.mark.parametrize("wrong", ["--scan-interval=10", "--skip-nodes-with-local-storage=no", "--cloud-provider=gce"])
def test_what_it_does_not_understand_ends_it(wrong: str) -> None:
    with pytest.raises(SystemExit):
        flags([*NEEDED, wrong])
