"""etcd, API server, controller manager and scheduler of one cluster, and what EKS puts into every cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaosctl.lab.desired import Cluster
from chaosctl.lab.layout import AWS_IN_VPC, Layout
from chaosctl.lab.pki import Pki, kubeconfig, write_private
from chaosctl.lab.supervisor import Program

ETCD = "http://127.0.0.1:2379"
API_PORT = 6443
TOKEN_CACHE = "5s"  # noqa: S105 - how long the answer of the token webhook is believed, so that a revoked entry is out soon

# Access policies of EKS and the cluster role that comes closest; the groups are made by the token webhook.
ACCESS_POLICIES = {
    "AmazonEKSClusterAdminPolicy": "cluster-admin",
    "AmazonEKSAdminPolicy": "admin",
    "AmazonEKSAdminViewPolicy": "chaosctl:admin-view",
    "AmazonEKSEditPolicy": "edit",
    "AmazonEKSViewPolicy": "view",
}

# By how many per cent the heap may outgrow what lives in it; the runtime would let it double. No GOMEMLIMIT: with ten
# thousand pods more than that lives, and then half of all processors collect garbage for ever.
MEMORY = {
    "etcd": {"GOGC": "50"},
    "kube-apiserver": {"GOGC": "60"},
    "kube-controller-manager": {"GOGC": "60"},
    "kube-scheduler": {"GOGC": "60"},
}


def group(cluster: str) -> str:
    """Supervisor group of a cluster's programs."""
    return f"cluster:{cluster}"


def write_files(layout: Layout, cluster: Cluster, loopback: str) -> None:
    """Write kubeconfigs and configuration files; the certificates must be there."""
    pki = Pki.of(layout, cluster.name)
    home = layout.cluster(cluster.name)
    inside = f"https://{cluster.address}:{API_PORT}"
    for identity in ("controller-manager", "scheduler"):
        write_private(home / f"{identity}.kubeconfig", pki.kubeconfig(inside, identity))
    write_private(home / "admin.kubeconfig", pki.kubeconfig(f"https://{loopback}:443", "admin"))
    write_private(home / "token-webhook.kubeconfig", token_webhook(cluster.name, pki.ca.certificate))
    write_private(home / "authentication.json", json.dumps(ANONYMOUS, indent=1))


# As in EKS: without credentials one sees whether the server is well, and nothing else.
ANONYMOUS: Mapping[str, Any] = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AuthenticationConfiguration",
    "anonymous": {
        "enabled": True,
        "conditions": [{"path": "/healthz"}, {"path": "/livez"}, {"path": "/readyz"}, {"path": "/version"}],
    },
}


def token_webhook(cluster: str, ca: Path) -> str:
    """Kubeconfig with which the API server asks the lab's AWS about bearer tokens."""
    server = f"https://{AWS_IN_VPC}/chaosctl/clusters/{cluster}/authenticate"
    return kubeconfig({"server": server, "certificate-authority": str(ca)}, {})


def store(layout: Layout, cluster: Cluster, tools: Mapping[str, Path]) -> Program:
    """etcd."""
    arguments = {
        "name": "lab",
        "data-dir": layout.cluster(cluster.name) / "etcd",
        "listen-client-urls": ETCD,
        "advertise-client-urls": ETCD,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "initial-advertise-peer-urls": "http://127.0.0.1:2380",
        "initial-cluster": "lab=http://127.0.0.1:2380",
        "snapshot-count": 5000,
        "unsafe-no-fsync": "true",  # this machine's crash ends the lab anyway
    }
    return _program(layout, cluster, "etcd", tools, arguments, stop_signal="TERM")


def api_server(layout: Layout, cluster: Cluster, tools: Mapping[str, Path]) -> Program:
    """kube-apiserver."""
    return _program(layout, cluster, "kube-apiserver", tools, _api_server_arguments(layout, cluster))


def controllers(layout: Layout, cluster: Cluster, tools: Mapping[str, Path]) -> tuple[Program, ...]:
    """kube-controller-manager and kube-scheduler, which want an API server that is ready."""
    home, pki = layout.cluster(cluster.name), Pki.of(layout, cluster.name)
    common = {"leader-elect": "false", "secure-port": 0, "profiling": "false"}
    manager = {
        **common,
        "kubeconfig": home / "controller-manager.kubeconfig",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki.service_account_key,
        "root-ca-file": pki.ca.certificate,
        "cluster-signing-cert-file": pki.ca.certificate,
        "cluster-signing-key-file": pki.ca.key,
        "cluster-name": cluster.name,
        "allocate-node-cidrs": "false",
    }
    scheduler = {**common, "kubeconfig": home / "scheduler.kubeconfig"}
    return (
        _program(layout, cluster, "kube-controller-manager", tools, manager),
        _program(layout, cluster, "kube-scheduler", tools, scheduler),
    )


def _api_server_arguments(layout: Layout, cluster: Cluster) -> dict[str, object]:
    home, pki = layout.cluster(cluster.name), Pki.of(layout, cluster.name)
    serving, kubelet, front = pki.pair("apiserver"), pki.pair("kubelet-client"), pki.pair("front-proxy")
    return {
        "etcd-servers": ETCD,
        "bind-address": cluster.address,
        "advertise-address": cluster.address,
        "secure-port": API_PORT,
        "tls-cert-file": serving.certificate,
        "tls-private-key-file": serving.key,
        "client-ca-file": pki.ca.certificate,
        "authentication-config": home / "authentication.json",
        "authentication-token-webhook-config-file": home / "token-webhook.kubeconfig",
        "authentication-token-webhook-version": "v1",
        "authentication-token-webhook-cache-ttl": TOKEN_CACHE,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "service-account-issuer": cluster.issuer,
        "service-account-jwks-uri": f"{cluster.issuer}/keys",
        "service-account-key-file": pki.service_account_public,
        "service-account-signing-key-file": pki.service_account_key,
        "api-audiences": f"https://kubernetes.default.svc,{cluster.issuer}",
        "service-cluster-ip-range": cluster.service_cidr,
        "kubelet-client-certificate": kubelet.certificate,
        "kubelet-client-key": kubelet.key,
        "kubelet-certificate-authority": pki.ca.certificate,
        "kubelet-preferred-address-types": "InternalIP",
        "requestheader-client-ca-file": pki.ca.certificate,
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": front.certificate,
        "proxy-client-key-file": front.key,
        # It is in the VPC but not on a node, where service addresses would work: it talks to endpoints.
        "enable-aggregator-routing": "true",
        "allow-privileged": "true",
        "profiling": "false",
    }


def _program(
    layout: Layout,
    cluster: Cluster,
    name: str,
    tools: Mapping[str, Path],
    arguments: Mapping[str, object],
    stop_signal: str = "KILL",  # only etcd has something to put in order; an API server would wait for its watches
) -> Program:
    return Program(
        name=f"{cluster.name}.{name}",
        argv=(str(tools[name]), *(f"--{key}={value}" for key, value in arguments.items())),
        env=MEMORY[name],
        netns=layout.vpc_netns(cluster.vpc_id),
        group=group(cluster.name),
        stop_signal=stop_signal,
    )


def bootstrap_objects(cluster: Cluster, ca_bundle: str) -> Sequence[Mapping[str, Any]]:
    """What EKS puts into every cluster: roles for access policies, the Pod Identity webhook. `ca_bundle` is base64."""
    return (
        _cluster_role("chaosctl:admin-view", [{"apiGroups": ["*"], "resources": ["*"], "verbs": READ}]),
        *(
            _cluster_role_binding(f"chaosctl:{policy}", role, "Group", f"chaosctl:{policy}")
            for policy, role in ACCESS_POLICIES.items()
        ),
        _cluster_role_binding(
            "chaosctl:kubelet-client", "system:kubelet-api-admin", "User", "kube-apiserver-kubelet-client"
        ),
        _pod_identity_webhook(cluster.name, ca_bundle),
    )


READ = ("get", "list", "watch")


def _cluster_role(name: str, rules: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def _cluster_role_binding(name: str, role: str, kind: str, subject: str) -> Mapping[str, Any]:
    api_group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{api_group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": api_group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": api_group, "kind": kind, "name": subject}],
    }


def _pod_identity_webhook(cluster: str, ca_bundle: str) -> Mapping[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "pod-identity-webhook"},  # the name and the policy that it has in EKS
        "webhooks": [
            {
                "name": "iam-for-pods.amazonaws.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": f"https://{AWS_IN_VPC}/chaosctl/clusters/{cluster}/mutate-pods",
                    "caBundle": ca_bundle,
                },
                "failurePolicy": "Ignore",
                "reinvocationPolicy": "IfNeeded",
                "sideEffects": "None",
                "timeoutSeconds": 5,
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }
        ],
    }
