"""What exists of a deployment, in which state, where: the page that an on-call person opens first.

Looks only. Everything is asked at once, and what does not answer is said to be unknown, so that the page comes quickly
however much or little is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from chaosctl import __version__
from chaosctl.adapters import acm, cloudwatch, elb, kubeconfig
from chaosctl.adapters.acm import Certificate
from chaosctl.adapters.aws import Cluster
from chaosctl.adapters.cloudwatch import Alarm
from chaosctl.adapters.elb import LoadBalancer, TargetHealth
from chaosctl.adapters.http import Site
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.kube import DEPLOYMENTS, INGRESSES, NODES, Object
from chaosctl.errors import ChaosctlError, Unreachable
from chaosctl.once import once
from chaosctl.queries import costs, setups
from chaosctl.stages import autoscaler, certificate, controller, entrance
from chaosctl.stages.access import Access
from chaosctl.stages.inquiry import Outcome, ask
from chaosctl.stages.kubeconfig import entry_name
from chaosctl.stages.readiness import rolled_out
from chaosctl.stages.rollback import RolledBack, last_rollback
from chaosctl.stages.stage import Context

ZONE = "topology.kubernetes.io/zone"
DEADLINE = 8.0  # seconds for the whole page
ANSWER_SECONDS = 3.0  # users do not wait longer
GOING = {"draining", "initial"}  # states that targets pass through in a rollout

T = TypeVar("T")


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
    image: str = ""


@dataclass(frozen=True)
class PodLine:
    """A pod of the app."""

    name: str
    node: str
    ready: bool
    restarts: int
    trouble: str


@dataclass(frozen=True)
class Answer:
    """What a user gets now: `status` 0 when nothing, and then `problem` says why. Milliseconds, connecting included."""

    path: str
    status: int
    milliseconds: float
    problem: str = ""


@dataclass(frozen=True)
class Spent:
    """US dollars since the cluster was made, by the table of prices and what stands there now; usage is not in it."""

    hours: float
    dollars: float
    a_month: float


@dataclass(frozen=True)
class Status:
    """All of it. `remains` is what AWS holds when there is no cluster; `problems` is what could not be asked.

    `rolled_back` is what became of the last upgrade of the app, when it failed.
    `stages` says of each stage of `up` whether what it makes is there: done, incomplete, missing or unknown.
    """

    target: str
    environment: str
    region: str
    chaosctl: str = __version__
    stages: tuple[tuple[str, str, str], ...] = ()  # name, state, what was seen
    cluster: Cluster | None = None
    nodes: tuple[Node, ...] = ()
    workloads: tuple[Workload, ...] = ()
    pods: tuple[PodLine, ...] = ()
    url: str = ""
    answer: Answer | None = None
    balancer: LoadBalancer | None = None
    targets: tuple[TargetHealth, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    spent: Spent | None = None
    rolled_back: RolledBack | None = None
    remains: tuple[Leftover, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def deployed(self) -> bool:
        """Whether there is anything that could be healthy: a cluster, or in a foreign one the app."""
        return bool(self.workloads or self.pods) if self.target == "context" else self.cluster is not None

    @property
    def troubles(self) -> list[str]:
        """What somebody should look at, the users' view first; empty when there is nothing."""
        if not self.deployed:
            return [f"what should be gone is still there: {len(self.remains)} things"] if self.remains else []
        bad = [t for t in self.targets if t.state not in {"healthy", *GOING}]
        found = [f"GET {self.answer.path}: {self.answer.problem}"] if self.answer and self.answer.problem else []
        found += [f"the alarm {a.short} fires" for a in self.alarms if a.state == "ALARM" and not a.settling]
        blind = ", ".join(a.short for a in self.alarms if a.blind)
        found += [f"no data, so that nobody watches: {blind}"] if blind else []
        found += [f"{len(bad)} of {len(self.targets)} targets not healthy"] if bad else []
        found += [f"{w.name}: {w.lacks}" for w in self.workloads if w.lacks]
        found += [f"the node {n.name} is not ready" for n in self.nodes if not n.ready]
        found += filter(None, map(certificate.trouble, self.certificates))
        missing = [(name, seen) for name, state, seen in self.stages if state == "missing" and name != "kubeconfig"]
        found += [f"{name} is missing: {seen}" for name, seen in missing]
        return found

    @property
    def healthy(self) -> bool:
        """Whether everything is there and as it should be, as far as could be asked."""
        return self.deployed and bool(self.url) and not self.problems and not self.troubles


def look(context: Context) -> Status:
    """Ask everything at once. What does not answer becomes a problem in the result, not an error."""
    began = time.monotonic()
    page = _Page(context)
    outcomes = ask(page.questions(), DEADLINE)
    return page.put_together(outcomes, time.monotonic() - began)


class _Page:
    """The questions, and what is made of their answers."""

    def __init__(self, context: Context) -> None:
        self._context, self._settings = context, context.settings
        self._access = Access(context)
        self._ours = context.target.kubeconfig is None
        self._autoscaled = autoscaler.wanted(context)

    def questions(self) -> dict[str, Callable[[], Any]]:
        """By the names under which they are said to be unknown."""
        of_app: dict[str, Callable[[], Any]] = {"app": self._app, "pods": self._pods, "address": self._address}
        if not self._ours:
            return of_app
        return {
            "cluster": self._cluster,
            "nodes": self._nodes,
            "controller": self._controller,
            "autoscaler": self._autoscaler,
            **of_app,
            "last upgrade": self._last_upgrade,
            "targets": self._targets,
            "certificates": self._certificates,
            "alarms": self._alarms,
            "kubeconfig": self._kubeconfig,
        }

    def put_together(self, outcomes: Mapping[str, Outcome], seconds: float) -> Status:
        """The page. What is unknown only because there is no cluster is not a problem."""

        def told(name: str, default: T) -> T:
            outcome = outcomes.get(name)
            return outcome.answer if outcome and outcome.answered else default

        cluster, left = told("cluster", (None, ()))
        gone = outcomes.get("cluster", Outcome(late=True)).answered and cluster is None
        url, answer = told("address", ("", None))
        nodes: tuple[Node, ...] = told("nodes", ())
        served: Workload | None = told("controller", None)
        scaler: Workload | None = told("autoscaler", None)
        app: tuple[Workload, ...] = told("app", ())
        return Status(
            self._settings.target,
            self._settings.environment,
            self._context.target.region,
            stages=_stages(outcomes, autoscaled=self._autoscaled or scaler is not None) if self._ours else (),
            cluster=cluster,
            nodes=nodes,
            workloads=(*filter(None, (served, scaler)), *app),
            pods=told("pods", ()),
            url=url,
            answer=answer,
            balancer=self._balancer_if_known(outcomes),
            targets=told("targets", ()),
            certificates=told("certificates", ()),
            alarms=told("alarms", ()),
            spent=self._spent(cluster, len(nodes)) if cluster else None,
            rolled_back=told("last upgrade", None),
            remains=left,
            problems=_problems(outcomes, without_cluster=gone),
            seconds=round(seconds, 2),
        )

    def _cluster(self) -> tuple[Cluster | None, tuple[Leftover, ...]]:
        found = self._access.aws.cluster(self._settings.cluster_name)
        return found, () if found else _left(self._context)

    def _nodes(self) -> tuple[Node, ...]:
        return tuple(_node(n) for n in self._access.kube.list(NODES))

    def _controller(self) -> Workload | None:
        found = self._access.kube.get(DEPLOYMENTS, controller.RELEASE, controller.NAMESPACE)
        return _workload(found) if found else None

    def _autoscaler(self) -> Workload | None:
        found = self._access.kube.get(DEPLOYMENTS, autoscaler.RELEASE, autoscaler.NAMESPACE)
        return _workload(found) if found else None

    def _app(self) -> tuple[Workload, ...]:
        settings = self._settings
        found = self._access.kube.list(DEPLOYMENTS, settings.namespace, labels=settings.app_selector)
        return tuple(_workload(d) for d in found)

    def _last_upgrade(self) -> RolledBack | None:
        return last_rollback(self._access.kube, self._settings.namespace, self._settings.release)

    def _pods(self) -> tuple[PodLine, ...]:
        return tuple(
            PodLine(p.name, p.node, p.ready and not p.deleting, p.restarts, "going away" if p.deleting else p.trouble)
            for p in self._access.kube.pods(self._settings.namespace, self._settings.app_selector)
        )

    def _address(self) -> tuple[str, Answer | None]:
        """Where users come in, and what they get there now; the load balancer's own name if Kubernetes is silent."""
        settings = self._settings
        try:
            url = settings.url or entrance.url_of(
                self._access.kube.get(INGRESSES, settings.release, settings.namespace)
            )
        except ChaosctlError:
            if not (self._ours and self._balancer):
                raise
            url = f"https://{settings.tls.domain}" if settings.tls.domain else f"http://{self._balancer.dns_name}"
        return url, _asked(url, settings.chaos.path, self._context.target.ca_file) if url else None

    @once
    def _balancer(self) -> LoadBalancer | None:
        """By the controller's tags, so that it is found without Kubernetes."""
        found = elb.load_balancers(self._access.aws, self._settings.cluster_name)
        return next(iter(found), None)

    def _balancer_if_known(self, outcomes: Mapping[str, Outcome]) -> LoadBalancer | None:
        return self._balancer if self._ours and outcomes["targets"].answered else None

    def _targets(self) -> tuple[TargetHealth, ...]:
        balancer = self._balancer
        return tuple(elb.target_health(self._access.aws, balancer)) if balancer else ()

    def _certificates(self) -> tuple[Certificate, ...]:
        aws, balancer = self._access.aws, self._balancer
        described = (acm.describe(aws, arn) for arn in (elb.certificates(aws, balancer) if balancer else ()))
        return tuple(found for found in described if found)

    def _alarms(self) -> tuple[Alarm, ...]:
        return tuple(cloudwatch.alarms(self._access.aws, self._settings.cluster_name))

    def _kubeconfig(self) -> str:
        """The file of the user's that has our context, or empty."""
        name = entry_name(self._context)
        return next((str(path) for path in kubeconfig.files() if kubeconfig.has(path, name)), "")

    def _spent(self, cluster: Cluster, nodes: int) -> Spent | None:
        if cluster.created is None:
            return None
        prices = costs.load(self._settings.prices)
        items = setups.fixed(self._settings.infra, prices, nodes=nodes or None)
        hours = (datetime.now(UTC) - cluster.created).total_seconds() / 3600
        a_month = costs.total(items)
        return Spent(round(hours, 2), round(a_month * hours / prices.hours_per_month, 2), a_month)


def _left(context: Context) -> tuple[Leftover, ...]:
    from chaosctl.stages.destroy import remains  # with Terraform, for what is seldom asked

    return tuple(remains(context))


def _asked(url: str, path: str, ca_file: Path | None) -> Answer:
    site = Site(url, timeout=ANSWER_SECONDS, ca_file=ca_file)
    try:
        reply = site.get(path)
    except Unreachable as error:
        return Answer(path, 0, 0.0, error.why or error.what)
    finally:
        site.close()
    problem = "" if reply.status == 200 else f"status {reply.status}"
    return Answer(path, reply.status, round(reply.total * 1000, 1), problem)


def _stages(outcomes: Mapping[str, Outcome], *, autoscaled: bool) -> tuple[tuple[str, str, str], ...]:
    """What each stage of `up` makes, and whether it is there."""
    made: tuple[tuple[str, str, Callable[[Any], tuple[str, str]]], ...] = (
        ("infra", "cluster", lambda found: _of_cluster(found[0])),
        ("kubeconfig", "kubeconfig", lambda file: ("done", file) if file else ("missing", "no entry for kubectl")),
        ("controller", "controller", lambda found: _of_workloads((found,) if found else ())),
        ("autoscaler", "autoscaler", lambda found: _of_workloads((found,) if found else ())),
        ("app", "app", _of_workloads),
        (
            "alarms",
            "alarms",
            lambda found: ("done", f"{len(found)} alarms") if found else ("missing", "nobody is told"),
        ),
        ("smoke", "address", lambda found: _of_answer(found[1])),
    )
    made = tuple(one for one in made if autoscaled or one[0] != "autoscaler")
    answers = {stage: outcomes[name] for stage, name, _ in made}
    return tuple(
        (stage, *(judge(answers[stage].answer) if answers[stage].answered else ("unknown", "")))
        for stage, _, judge in made
    )


def _of_cluster(cluster: Cluster | None) -> tuple[str, str]:
    if cluster is None:
        return "missing", "no cluster"
    return "done" if cluster.status == "ACTIVE" else "incomplete", f"Kubernetes {cluster.version}, {cluster.status}"


def _of_workloads(found: tuple[Workload, ...]) -> tuple[str, str]:
    if not found:
        return "missing", "not installed"
    lacking = [w.lacks for w in found if w.lacks]
    seen = ", ".join(f"{w.ready} of {w.wanted} ready, {w.image}" for w in found)
    return "incomplete" if lacking else "done", seen


def _of_answer(answer: Answer | None) -> tuple[str, str]:
    if answer is None:
        return "missing", "no address"
    seen = answer.problem or f"{answer.status} in {answer.milliseconds:.0f} ms"
    return "incomplete" if answer.problem else "done", f"GET {answer.path}: {seen}"


def _problems(outcomes: Mapping[str, Outcome], *, without_cluster: bool) -> tuple[str, ...]:
    """What could not be asked, and why; what has the same reason is said once."""
    whose: dict[str, tuple[str, list[str]]] = {}
    for name, outcome in outcomes.items():
        error = outcome.error
        if outcome.answered or (without_cluster and error and error.code == "CLUSTER-MISSING"):
            continue
        why = "" if error is None else ": ".join(filter(None, [error.what, error.why]))
        # Of an API that does not answer, each request tells it a little differently.
        same = error.what if isinstance(error, Unreachable) else why
        whose.setdefault(same, (why or f"no answer within {DEADLINE:.0f} s", []))[1].append(name)
    return tuple(f"{', '.join(names)}: {why}" for why, names in whose.values())


def _node(obj: Object) -> Node:
    meta, status = obj["metadata"], obj.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    version = status.get("nodeInfo", {}).get("kubeletVersion", "")
    return Node(meta["name"], (meta.get("labels") or {}).get(ZONE, ""), ready, version)


def _workload(deployment: Object) -> Workload:
    meta, spec = deployment["metadata"], deployment["spec"]
    containers = spec.get("template", {}).get("spec", {}).get("containers") or [{}]
    return Workload(
        name=meta["name"],
        namespace=meta["namespace"],
        ready=deployment.get("status", {}).get("readyReplicas", 0),
        wanted=spec.get("replicas", 1),
        lacks=rolled_out(deployment),
        image=containers[0].get("image", ""),
    )
