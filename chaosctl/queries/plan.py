"""`plan`: what `up` would change in AWS and in the cluster, and what that costs. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.adapters import pricing
from chaosctl.adapters.aws import Aws, Cluster
from chaosctl.adapters.helm import Helm, Release
from chaosctl.adapters.kube import Kube, Object
from chaosctl.adapters.terraform_plan import ResourceChange
from chaosctl.errors import StageFailed
from chaosctl.queries import costs, redaction
from chaosctl.queries.costs import Item, Resource
from chaosctl.stages import alarms, app, autoscaler, certificate, controller, infra, naming, nodes
from chaosctl.stages.access import Access
from chaosctl.stages.release import drift_of
from chaosctl.stages.stage import Context
from chaosctl.target import ChartSource
from chaosctl.waiting import heartbeat

LATER = "known-after-infra"
Key = tuple[str, str]  # kind and name


@dataclass(frozen=True)
class ObjectChange:
    """What happens to an object of a release: create, update, delete, or restore what was changed by hand.

    `diff` are lines of a unified diff, secrets replaced.
    """

    kind: str
    name: str
    action: str
    diff: tuple[str, ...]


@dataclass(frozen=True)
class ReleaseChange:
    """What happens to a Helm release: install, upgrade, recover (a run was interrupted in it) or nothing."""

    name: str
    namespace: str
    action: str
    objects: tuple[ObjectChange, ...]


@dataclass(frozen=True)
class RequestChange:
    """What a stage changes by a request of its own, since Terraform cannot, or must leave it alone."""

    object: str
    what: str


@dataclass(frozen=True)
class Forecast:
    """All of it. Costs are dollars a month by the table of prices; items before and after."""

    resources: tuple[ResourceChange, ...]
    requests: tuple[RequestChange, ...]
    releases: tuple[ReleaseChange, ...]
    before: tuple[Item, ...]
    after: tuple[Item, ...]
    prices: costs.Prices

    @property
    def different(self) -> bool:
        """Whether `up` would change anything."""
        return bool(self.resources or self.requests) or any(r.action != "nothing" for r in self.releases)


@dataclass(frozen=True)
class _Rendered:
    """A release as it is and as it would become."""

    change: ReleaseChange
    current: Release | None
    wanted: Release


def forecast(context: Context) -> Forecast:
    """Ask Terraform, Helm and the cluster. The caller holds the lock of the environment."""
    prices = _prices(context)
    resources = [*infra.examine_infra(context), *alarms.examine(context)]
    access = Access(context)
    there = bool((found := access.aws.cluster(context.settings.cluster_name)) and found.endpoint)
    resizes = list(nodes.resizes(context))
    releases = list(_releases(context, access, there=there))
    before, after = ([Resource(r.type, v) for r in resources if (v := _values(r, side))] for side in (0, 1))
    after = _resized(after, {each.group.name: each.wanted.desired for each in resizes})
    zones = context.settings.infra.az_count
    doors = [_ingresses(r.current) for r in releases], [_ingresses(r.wanted) for r in releases]
    return Forecast(
        tuple(r for r in resources if r.matters),
        (
            *(RequestChange(f"node group {each.group.name}", str(each)) for each in resizes),
            *_requests(context, access, there=there),
        ),
        tuple(r.change for r in releases),
        tuple(costs.bill(before, balancers=sum(doors[0]), zones=zones, prices=prices)),
        tuple(costs.bill(after, balancers=sum(doors[1]), zones=zones, prices=prices)),
        prices,
    )


def _prices(context: Context) -> costs.Prices:
    """The table; where somebody pays, and has no table of their own, today's prices go before it."""
    settings, table = context.settings, costs.load(context.settings.prices)
    if not context.target.billed_to or settings.prices:
        return table
    aws = Aws(context.target.aws_env, pricing.REGION)
    return costs.current(table, aws, context.target.region, settings.infra.node_instance_types)


def _values(resource: ResourceChange, side: int) -> Mapping[str, Any] | None:
    return (resource.before, resource.after)[side]


def _ingresses(release: Release | None) -> int:
    return sum(o["kind"] == "Ingress" for o in release.objects()) if release else 0


class _Future(Access):
    """A cluster that does not exist yet, for what only wants to know its name and network."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.__dict__["cluster"] = Cluster(context.settings.cluster_name, "", "", "", "", "", LATER)


def _of_group(resize: nodes.Resize) -> RequestChange:
    return RequestChange(f"node group {resize.group.name}", str(resize))


def _requests(context: Context, access: Access, *, there: bool) -> Iterator[RequestChange]:
    """What `infra` and `app` do besides, of what they look at in a cluster that is there."""
    if wrong := infra.unprotected(context):
        yield RequestChange("deletion protection", wrong)
    if not there:
        return
    if wrong := naming.astray(context, access):
        yield RequestChange(f"DNS name {context.settings.tls.domain}", wrong)
    if retired := naming.retired(context, access):
        yield RequestChange(f"DNS name {retired}", "is not the app's any more, and goes")


def _resized(resources: list[Resource], desired: Mapping[str, int]) -> list[Resource]:
    """With the numbers of nodes that the groups are going to have: a plan of Terraform's has those that they have."""
    return [
        Resource(r.type, {**r.values, "scaling_config": [{"desired_size": desired[r.values["node_group_name"]]}]})
        if r.type == "aws_eks_node_group" and r.values.get("node_group_name") in desired
        else r
        for r in resources
    ]


def _releases(context: Context, access: Access, *, there: bool) -> Iterator[_Rendered]:
    """The controller's, the autoscaler's if wanted, and the app's, compared with what is installed."""
    settings = context.settings
    values = {
        (controller.RELEASE, controller.NAMESPACE): controller.values(context, access if there else _Future(context)),
    }
    if autoscaler.wanted(context):
        values[autoscaler.RELEASE, autoscaler.NAMESPACE] = autoscaler.values(context)
    values[settings.release, settings.namespace] = app.values(context, certificate.expected(context, access.aws))
    for (name, namespace), given in values.items():
        chart = context.target.charts[name]
        with heartbeat(f"helm to render {name}", context.emit):
            if there:
                yield _compared(access.helm, access.kube, name, namespace, chart, given)
            else:
                yield _first(Helm(context.tool("helm"), Path("/dev/null")), name, namespace, chart, given)


def _first(helm: Helm, name: str, namespace: str, chart: ChartSource, values: Mapping[str, Any]) -> _Rendered:
    wanted = helm.render(name, namespace, chart, values)
    return _Rendered(ReleaseChange(name, namespace, "install", tuple(_objects(None, wanted))), None, wanted)


def _compared(
    helm: Helm, kube: Kube, name: str, namespace: str, chart: ChartSource, values: Mapping[str, Any]
) -> _Rendered:
    current = helm.release(name, namespace)
    if current is None:
        return _first(helm, name, namespace, chart, values)
    try:
        wanted = helm.preview(name, namespace, chart, values)
    except StageFailed:
        if not current.stuck:
            raise
        wanted = helm.render(name, namespace, chart, values)  # helm does not even preview a release in that state
    objects = [*_objects(current, wanted), *_restored(kube, current)]
    action = "recover" if current.stuck else "upgrade" if objects or not _as_it_is(current, wanted) else "nothing"
    return _Rendered(ReleaseChange(name, namespace, action, tuple(objects)), current, wanted)


def _as_it_is(current: Release, wanted: Release) -> bool:
    return current.status == "deployed" and current.renders_like(wanted)


def _objects(current: Release | None, wanted: Release) -> Iterator[ObjectChange]:
    """The objects that differ between two revisions, hooks included."""
    old, new = _by_key(current), _by_key(wanted)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            action = "create" if key not in old else "delete" if key not in new else "update"
            yield ObjectChange(*key, action, tuple(redaction.diff(old.get(key), new.get(key))))
    if current and current.hooks != wanted.hooks:
        for hook in _hooks_that_differ(current.hooks, wanted.hooks):
            yield ObjectChange("Hook", hook, "update", ())


def _by_key(release: Release | None) -> dict[Key, Object]:
    return {(o["kind"], o["metadata"]["name"]): o for o in release.objects()} if release else {}


def _hooks_that_differ(old: str, new: str) -> list[str]:
    before, after = ({h["name"]: h for h in json.loads(text)} for text in (old, new))
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _restored(kube: Kube, current: Release) -> Iterator[ObjectChange]:
    """What somebody changed in the cluster by hand, and `up` would put back."""
    for manifest in current.objects():
        if drift := drift_of(kube, current, manifest):
            yield ObjectChange(drift.kind, drift.name, "restore", tuple(redaction.diff(drift.live, drift.wanted)))
