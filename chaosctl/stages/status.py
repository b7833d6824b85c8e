"""What exists of a deployment, in which state, where. Looks only; works however much or little is there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chaosctl.adapters.aws import Cluster
from chaosctl.adapters.elb import LoadBalancer, TargetHealth
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.kube import DEPLOYMENTS, INGRESSES, NODES, Kube, Object
from chaosctl.errors import ChaosctlError
from chaosctl.stages import controller, entrance
from chaosctl.stages.access import Access
from chaosctl.stages.destroy import remains
from chaosctl.stages.readiness import rolled_out
from chaosctl.stages.stage import Context

ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Node:
    """A node of the cluster."""

    name: str
    zone: str
    ready: bool
    version: str


@dataclass(frozen=True)
class Workload:
    """A Deployment. `lacks` says in words what is missing; empty when it is as it should be."""

    name: str
    namespace: str
    ready: int
    wanted: int
    lacks: str


@dataclass(frozen=True)
class PodLine:
    """A pod of the app."""

    name: str
    node: str
    ready: bool
    restarts: int
    trouble: str


@dataclass(frozen=True)
class Status:
    """All of it. `remains` is what AWS holds when there is no cluster; `problems` is what could not be asked."""

    target: str
    environment: str
    region: str
    cluster: Cluster | None = None
    nodes: tuple[Node, ...] = ()
    workloads: tuple[Workload, ...] = ()
    pods: tuple[PodLine, ...] = ()
    url: str = ""
    balancer: LoadBalancer | None = None
    targets: tuple[TargetHealth, ...] = ()
    remains: tuple[Leftover, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        """Whether everything is there and as it should be; of a foreign deployment, all that was found of it."""
        wanted = bool(self.cluster and self.url and len(self.workloads) == 2)
        found = self.target == "context" and bool(self.workloads and self.pods)
        return (wanted or found) and not self.problems and not any(w.lacks for w in self.workloads)


def look(context: Context) -> Status:
    """Ask AWS and the cluster. What does not answer becomes a problem in the result, not an error."""
    settings = context.settings
    seen = Status(settings.target, settings.environment, context.target.region)
    access = Access(context)
    try:
        if context.target.kubeconfig is None:
            seen = replace(seen, cluster=access.aws.cluster(settings.cluster_name))
            if seen.cluster is None:
                return replace(seen, remains=tuple(remains(context)))
        return _in_cluster(access, context, seen)
    except ChaosctlError as error:
        return replace(seen, problems=(*seen.problems, f"{error.what}: {error.why}" if error.why else error.what))


def _in_cluster(access: Access, context: Context, seen: Status) -> Status:
    """What Kubernetes shows; of a foreign cluster the app alone, which is all that we may be allowed to see."""
    settings, kube = context.settings, access.kube
    ours = context.target.kubeconfig is None
    served = kube.get(DEPLOYMENTS, controller.RELEASE, controller.NAMESPACE) if ours else None
    app = kube.list(DEPLOYMENTS, settings.namespace, labels=settings.app_selector)
    ingress = kube.get(INGRESSES, settings.release, settings.namespace)
    seen = replace(
        seen,
        nodes=tuple(_node(n) for n in kube.list(NODES)) if ours else (),
        workloads=tuple(_workload(d) for d in (served, *app) if d),
        pods=_pods(kube, settings.namespace, settings.app_selector),
        url=settings.url or entrance.url_of(ingress),
    )
    if ingress is None or not ours:
        return seen
    door = entrance.entrance(access.aws, ingress)
    return replace(seen, balancer=door.balancer, targets=door.targets) if door else seen


def _node(obj: Object) -> Node:
    meta, status = obj["metadata"], obj.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    version = status.get("nodeInfo", {}).get("kubeletVersion", "")
    return Node(meta["name"], (meta.get("labels") or {}).get(ZONE, ""), ready, version)


def _workload(deployment: Object) -> Workload:
    meta = deployment["metadata"]
    return Workload(
        name=meta["name"],
        namespace=meta["namespace"],
        ready=deployment.get("status", {}).get("readyReplicas", 0),
        wanted=deployment["spec"].get("replicas", 1),
        lacks=rolled_out(deployment),
    )


def _pods(kube: Kube, namespace: str, selector: str) -> tuple[PodLine, ...]:
    return tuple(
        PodLine(p.name, p.node, p.ready and not p.deleting, p.restarts, "going away" if p.deleting else p.trouble)
        for p in kube.pods(namespace, selector)
    )
