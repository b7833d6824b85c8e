"""Ingresses: from what they say to what AWS holds, and back to their status and events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chaosctl.lab.standins.controller import model
from chaosctl.lab.standins.controller.cluster import BINDINGS, INGRESSES, Cluster, path_of
from chaosctl.lab.standins.controller.deploy import Deployed, Deployer, NotYet
from chaosctl.lab.standins.incluster.journal import log, why
from chaosctl.lab.standins.incluster.kube import ApiError, Key, Object, key_of

FINALIZER = "ingress.k8s.aws/resources"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
RESYNC_SECONDS = 36_000.0  # the real one's --sync-period: what somebody changes in AWS stays for so long
FIRST_RETRY_SECONDS = 1.0
CONFLICT_SECONDS = 0.2
LAST_RETRY_SECONDS = 30.0


@dataclass
class Progress:
    """What happened to an Ingress so far: when to look again, and what was said last."""

    due: float = 0.0
    attempted: model.Stack | None = None
    reached: model.Stack | None = None
    failures: int = 0
    leaving: bool = False
    said: tuple[str, str] = ("", "")

    def failed(self) -> None:
        """Look again later, and later each time."""
        self.due = time.monotonic() + min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**self.failures)
        self.failures += 1

    def succeeded(self) -> None:
        """Look again when something changes, or in a while."""
        self.due = time.monotonic() + RESYNC_SECONDS
        self.reached = self.attempted
        self.failures = 0

    @property
    def waiting(self) -> bool:
        """Whether it is too early to try the same again."""
        return time.monotonic() < self.due


class Ingresses:
    """Reconciles all Ingresses of one class."""

    def __init__(
        self, cluster: Cluster, deployer: Deployer, cluster_name: str, ingress_class: str, default_tags: model.Tags
    ) -> None:
        self._cluster = cluster
        self._deployer = deployer
        self._name = cluster_name
        self._class = ingress_class
        self._tags = default_tags
        self._progress: dict[Key, Progress] = {}

    def is_ours(self, ingress: Object) -> bool:
        """Whether an Ingress asks for this controller."""
        annotation = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
        return self._class in ((ingress.get("spec") or {}).get("ingressClassName"), annotation)

    def reconcile(self) -> float:
        """Look at every Ingress; returns the seconds after which to look again."""
        present = {key_of(ingress): ingress for ingress in self._cluster.ingresses.objects()}
        for gone in self._progress.keys() - present.keys():
            del self._progress[gone]
        for key, ingress in present.items():
            self._guarded(key, ingress)
        due = min((progress.due for progress in self._progress.values()), default=float("inf"))
        return max(0.1, min(due - time.monotonic(), RESYNC_SECONDS))

    def _guarded(self, key: Key, ingress: Object) -> None:
        """One that fails must not keep the others waiting."""
        leaving = bool(ingress["metadata"].get("deletionTimestamp")) or not self.is_ours(ingress)
        if leaving and FINALIZER not in (ingress["metadata"].get("finalizers") or ()):
            return
        progress = self._progress.setdefault(key, Progress())
        try:
            if leaving:
                self._leave(key, ingress, progress)
            else:
                self._keep(ingress, progress)
        except NotYet as error:
            log("waiting", ingress="/".join(key), error=str(error))
            progress.due = time.monotonic() + FIRST_RETRY_SECONDS
        except model.BadIngress as error:
            self._say(ingress, progress, "FailedBuildModel", f"Failed build model due to {error}")
            progress.failed()
        except (ClientError, BotoCoreError) as error:
            code, text = why(error)
            log("AWS refused", level="error", ingress="/".join(key), code=code, error=text)
            self._say(ingress, progress, "FailedDeployModel", f"Failed deploy model due to {code}: {text}")
            progress.failed()
        except Exception as error:  # the API server is away, somebody else wrote first: the next pass tries again
            if isinstance(error, ApiError) and error.status == 409:
                progress.due = time.monotonic() + CONFLICT_SECONDS
                progress.attempted = None
                return
            code, text = why(error)
            log("cannot reconcile", level="error", ingress="/".join(key), code=code, error=text)
            progress.failed()

    def _keep(self, ingress: Object, progress: Progress) -> None:
        namespace = ingress["metadata"]["namespace"]
        services = self._cluster.services
        port_of = model.port_finder(lambda name: services.get((namespace, name)))
        stack = model.build(ingress, port_of, self._name, self._tags)
        if stack == progress.attempted and progress.waiting:
            return
        progress.attempted = stack
        # Before anything exists that would have to be removed.
        self._finalize(ingress, present=True)
        deployed = self._deployer.deploy(stack)
        self._bind(ingress, stack, deployed)
        self._deployer.prune(stack)
        self._cluster.set_hostname(self._cluster.ingresses.get(key_of(ingress)) or ingress, deployed.dns_name)
        if stack != progress.reached:
            log("reconciled", ingress=stack.id, load_balancer=stack.name, dns_name=deployed.dns_name)
            self._say(ingress, progress, "SuccessfullyReconciled", "Successfully reconciled", warning=False)
        progress.succeeded()

    def _leave(self, key: Key, ingress: Object, progress: Progress) -> None:
        if not progress.leaving:  # what failed before has nothing to do with it
            progress.leaving, progress.failures, progress.attempted = True, 0, None
        if progress.failures and progress.waiting:
            return
        stack_id = "/".join(key)
        self._deployer.delete_load_balancers(stack_id)
        if self._unbind(key, keep=()):
            raise NotYet("target group bindings are being finalized")
        self._deployer.delete_rest(stack_id)
        if not ingress["metadata"].get("deletionTimestamp"):
            self._cluster.set_hostname(ingress, "")
        self._finalize(self._cluster.ingresses.get(key) or ingress, present=False)
        log("removed", ingress=stack_id)
        progress.leaving = False
        progress.succeeded()

    def _finalize(self, ingress: Object, *, present: bool) -> None:
        path = path_of(INGRESSES, "ingresses", key_of(ingress))
        self._cluster.set_finalizer(self._cluster.ingresses, path, ingress, FINALIZER, present=present)

    def _bind(self, ingress: Object, stack: model.Stack, deployed: Deployed) -> None:
        key = key_of(ingress)
        if self._unbind(key, keep=[group.name for group in stack.target_groups]):
            log("removing target group bindings that nothing names any more", ingress=stack.id)
        for group in stack.target_groups:
            binding = _binding(stack, group, deployed.target_groups[group.name])
            held = self._cluster.bindings.get((stack.namespace, group.name))
            path = f"{BINDINGS}/namespaces/{stack.namespace}/targetgroupbindings"
            if held is None:
                self._cluster.bindings.put(self._cluster.api.create(path, binding))
            elif held["spec"].get("targetGroupARN") != binding["spec"]["targetGroupARN"]:
                # The ARN of a binding cannot change: the target group was deleted behind our back.
                self._cluster.api.delete(f"{path}/{group.name}")
                raise NotYet(f"the target group of {group.name} is another one now")

    def _unbind(self, key: Key, keep: Any) -> list[Object]:
        """Delete the bindings of an Ingress except those to keep; returns what is not gone yet."""
        labels = _labels(key)
        obsolete = [
            binding
            for binding in self._cluster.bindings.objects()
            if labels.items() <= (binding["metadata"].get("labels") or {}).items()
            and binding["metadata"]["name"] not in keep
        ]
        for binding in obsolete:
            if not binding["metadata"].get("deletionTimestamp"):
                self._cluster.api.delete(path_of(BINDINGS, "targetgroupbindings", key_of(binding)))
        return obsolete

    def _say(self, ingress: Object, progress: Progress, reason: str, message: str, *, warning: bool = True) -> None:
        """An event, unless it is the one of last time."""
        if progress.said == (reason, message) and warning:
            return
        progress.said = (reason, message)
        if warning:
            log(message, level="error", ingress="/".join(key_of(ingress)), reason=reason)
        self._cluster.event("Ingress", "networking.k8s.io/v1", ingress, warning=warning, reason=reason, message=message)


def _labels(key: Key) -> dict[str, str]:
    return {"ingress.k8s.aws/stack-namespace": key[0], "ingress.k8s.aws/stack-name": key[1]}


def _binding(stack: model.Stack, group: model.TargetGroup, arn: str) -> Mapping[str, Any]:
    return {
        "apiVersion": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": {
            "name": group.name,
            "namespace": stack.namespace,
            "labels": _labels((stack.namespace, stack.ingress)),
        },
        "spec": {
            "targetGroupARN": arn,
            "targetType": "ip",
            "serviceRef": {"name": group.service, "port": group.service_port},
        },
    }
