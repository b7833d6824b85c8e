"""What stands in the way of `down`, as it was met in the field. Each function puts one such thing into a deployment."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.user import User

CLUSTER, APP = "chaotic-backend-cluster", "chaotic-backend"
CONTROLLER = ("-n", "kube-system", "deployment", "aws-load-balancer-controller")


def balancer_in_another_namespace(user: User) -> None:
    _apply(user, SECOND, _service("there"), _ingress("balanced", service="there"))
    deadline = time.monotonic() + 60
    while "elb.amazonaws.com" not in user.kubectl("-n", "second", "get", "ingress", "balanced"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def ingress_without_hostname(user: User) -> None:
    _apply(user, SECOND, _ingress("never", service="missing"))


def stuck_finalizer(user: User) -> None:
    stuck = _ingress("stuck", service="there")
    stuck["metadata"]["finalizers"] = ["example.com/nobody-serves-it"]
    _apply(user, SECOND, _service("there"), stuck)


def budget_that_blocks(user: User) -> None:
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app.kubernetes.io/name": APP}}}
    meta = {"name": "strict", "namespace": APP}
    _apply(user, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec})


def interface_left_available(user: User) -> None:
    """Also possible in a half-built network: nothing happens when there is no private subnet yet."""
    ec2 = user.aws("ec2")
    private = [{"Name": "tag:kubernetes.io/role/internal-elb", "Values": ["1"]}]
    for subnet in ec2.describe_subnets(Filters=private)["Subnets"][:1]:
        ec2.create_network_interface(SubnetId=subnet["SubnetId"], Description="left available")


def deletion_protection(user: User) -> None:
    """Also possible in a half-built deployment: nothing happens when there is no cluster yet."""
    eks = user.aws("eks")
    for name in eks.list_clusters()["clusters"]:
        eks.update_cluster_config(name=name, deletionProtection=True)


def balancer_protected(user: User) -> None:
    """As the Ingress's annotation wishes it: the controller sets the attribute, and would set it again."""
    wish = "alb.ingress.kubernetes.io/load-balancer-attributes=deletion_protection.enabled=true"
    user.kubectl("-n", APP, "annotate", "ingress", APP, wish, "--overwrite")
    elb, deadline = user.aws("elbv2"), time.monotonic() + 60
    protected = {"Key": "deletion_protection.enabled", "Value": "true"}
    while not any(
        protected in elb.describe_load_balancer_attributes(LoadBalancerArn=lb["LoadBalancerArn"])["Attributes"]
        for lb in elb.describe_load_balancers()["LoadBalancers"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def controller_scaled_to_nothing(user: User) -> None:
    user.kubectl("scale", "--replicas=0", *CONTROLLER)


def controller_deleted(user: User) -> None:
    user.kubectl("delete", *CONTROLLER)


Obstacle = Callable[[User], None]
ANYWHERE: Mapping[str, Obstacle] = {
    "interface left available": interface_left_available,
    "deletion protection": deletion_protection,
}
DEPLOYED: Mapping[str, Obstacle] = {
    "balancer in another namespace": balancer_in_another_namespace,
    "Ingress without hostname": ingress_without_hostname,
    "stuck finalizer": stuck_finalizer,
    "budget that blocks": budget_that_blocks,
    "load balancer protected": balancer_protected,
    **ANYWHERE,
}


def put(user: User, obstacles: Mapping[str, Obstacle]) -> None:
    """All of them at once: they do not disturb each other."""
    for obstacle in obstacles.values():
        obstacle(user)


SECOND = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "second"}}


def _apply(user: User, *objects: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    argv = (user.tools["kubectl"], "--context", CLUSTER, "apply", "-f", "-")
    subprocess.run(argv, input=text, env=user.env, text=True, check=True, capture_output=True)


def _ingress(name: str, *, service: str) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "second"},
        "spec": {"ingressClassName": "alb", "defaultBackend": backend},
    }


def _service(name: str) -> dict[str, Any]:
    spec = {"ports": [{"port": 80}], "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "second"}, "spec": spec}
