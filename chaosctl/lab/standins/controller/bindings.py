"""TargetGroupBindings: pods become targets, and what the load balancer sees becomes the pods' readiness gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chaosctl.lab.standins.controller.cluster import BINDINGS, Cluster, path_of
from chaosctl.lab.standins.controller.deploy import code
from chaosctl.lab.standins.controller.targets import Target, gate, has_gate, wanted
from chaosctl.lab.standins.incluster.journal import log, why
from chaosctl.lab.standins.incluster.kube import Object, key_of

FINALIZER = "elbv2.k8s.aws/resources"
PENDING_SECONDS = 0.5  # look at the targets' health that often while a pod waits for it
SETTLED_SECONDS = 10.0
BATCH = 200  # targets in one request

Health = Mapping[tuple[str, int], Mapping[str, str]]  # by address: State, Reason, Description as in the elbv2 API


class Bindings:
    """Reconciles all TargetGroupBindings."""

    def __init__(self, cluster: Cluster, elbv2: Any) -> None:
        self._cluster = cluster
        self._elb = elbv2
        self._said: dict[tuple[str, str], str] = {}

    def reconcile(self) -> float:
        """Look at every binding; returns the seconds after which to look again."""
        again = [self._guarded(binding) for binding in self._cluster.bindings.objects()]
        return min(again, default=SETTLED_SECONDS)

    def _guarded(self, binding: Object) -> float:
        key = key_of(binding)
        try:
            seconds = self._leave(binding) if binding["metadata"].get("deletionTimestamp") else self._keep(binding)
            self._said.pop(key, None)
            return seconds
        except Exception as error:  # one that fails must not keep the others waiting
            reason, text = why(error)
            if self._said.get(key) != text:
                self._said[key] = text
                log("cannot reconcile", level="error", binding="/".join(key), code=reason, error=text)
                if isinstance(error, ClientError | BotoCoreError):
                    self._tell(binding, f"{reason}: {text}")
            return 1.0

    def _tell(self, binding: Object, message: str) -> None:
        self._cluster.event(
            "TargetGroupBinding",
            "elbv2.k8s.aws/v1beta1",
            binding,
            warning=True,
            reason="FailedReconcile",
            message=message,
        )

    def _keep(self, binding: Object) -> float:
        path = path_of(BINDINGS, "targetgroupbindings", key_of(binding))
        self._cluster.set_finalizer(self._cluster.bindings, path, binding, FINALIZER, present=True)
        arn = binding["spec"]["targetGroupARN"]
        kind = gate(binding["metadata"]["name"])
        targets = self._wanted(binding, kind)
        health = self._health(arn)
        registered = {address for address, state in health.items() if state["State"] != "draining"}
        self._register(arn, [target for target in sorted(targets) if target.id not in registered])
        self._deregister(arn, sorted(registered - {target.id for target in targets}))
        pending = [target for target in targets if not self._settled(target, health.get(target.id, {}), kind)]
        return PENDING_SECONDS if pending else SETTLED_SECONDS

    def _leave(self, binding: Object) -> float:
        if FINALIZER in (binding["metadata"].get("finalizers") or ()):
            arn = binding["spec"]["targetGroupARN"]
            try:
                health = self._health(arn)
                self._deregister(arn, sorted(a for a, state in health.items() if state["State"] != "draining"))
            except ClientError as error:
                if code(error) != "TargetGroupNotFound":
                    raise
            path = path_of(BINDINGS, "targetgroupbindings", key_of(binding))
            self._cluster.set_finalizer(self._cluster.bindings, path, binding, FINALIZER, present=False)
        return SETTLED_SECONDS

    def _wanted(self, binding: Object, kind: str) -> set[Target]:
        namespace = binding["metadata"]["namespace"]
        reference = binding["spec"]["serviceRef"]
        service = self._cluster.services.get((namespace, reference["name"]))
        ports = service["spec"].get("ports", ()) if service else ()
        port = next((p for p in ports if reference["port"] in (p.get("name"), p["port"])), None)
        if port is None:
            return set()
        pods = {key_of(pod): pod for pod in self._cluster.pods.objects() if key_of(pod)[0] == namespace}
        return wanted(self._cluster.slices_of((namespace, reference["name"])), port, pods, kind)

    def _health(self, arn: str) -> Health:
        answer = self._elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {(item["Target"]["Id"], item["Target"]["Port"]): item["TargetHealth"] for item in answer}

    def _register(self, arn: str, targets: list[Target]) -> None:
        for start in range(0, len(targets), BATCH):
            some = [{"Id": target.ip, "Port": target.port} for target in targets[start : start + BATCH]]
            self._elb.register_targets(TargetGroupArn=arn, Targets=some)
            log("registered targets", target_group=arn, targets=[f"{t['Id']}:{t['Port']}" for t in some])

    def _deregister(self, arn: str, addresses: list[tuple[str, int]]) -> None:
        for start in range(0, len(addresses), BATCH):
            some = [{"Id": ip, "Port": port} for ip, port in addresses[start : start + BATCH]]
            self._elb.deregister_targets(TargetGroupArn=arn, Targets=some)
            log("deregistered targets", target_group=arn, targets=[f"{t['Id']}:{t['Port']}" for t in some])

    def _settled(self, target: Target, health: Mapping[str, str], kind: str) -> bool:
        """Copy a target's health into its pod's readiness gate; False while it may soon be another."""
        healthy = health.get("State") == "healthy"
        pod = self._cluster.pods.get(target.pod) if target.pod else None
        if pod is not None and has_gate(pod, kind):
            reason = "" if healthy else health.get("Reason", "Elb.RegistrationInProgress")
            message = "" if healthy else health.get("Description", "Target registration is in progress")
            self._cluster.set_condition(pod, kind, true=healthy, reason=reason, message=message)
        return healthy
