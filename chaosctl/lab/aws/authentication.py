"""The authenticator of the lab's clusters: from an EKS token to a Kubernetes user, by the cluster's access entries."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Any

from moto.eks.models import eks_backends

from chaosctl.lab.aws.eks.access import NODE_TYPES
from chaosctl.lab.aws.eks.models import LabCluster
from chaosctl.lab.aws.signatures import Identity, Refused, identify

log = logging.getLogger(__name__)

MARK = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
LONGEST = 900  # seconds of lifetime that EKS accepts in a token


def review(cluster_name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a TokenReview. A token that proves nothing, or nobody with access, is not authenticated."""
    try:
        token = str(request.get("spec", {}).get("token", ""))
        user = authenticate(cluster_name, token)
        status: dict[str, Any] = {"authenticated": True, "user": user}
    except Refused as why:
        log.info("cluster %s refused a token: %s", cluster_name, why)
        status = {"authenticated": False, "error": str(why)}
    return {
        "apiVersion": request.get("apiVersion", "authentication.k8s.io/v1"),
        "kind": "TokenReview",
        "status": status,
    }


def authenticate(cluster_name: str, token: str) -> dict[str, Any]:
    """The user of a TokenReview's status: username, uid, groups, extra. Raises Refused."""
    identity = identify(presigned_url(token), {CLUSTER_HEADER: cluster_name}, longest=LONGEST)
    cluster = _cluster(cluster_name)
    entry = cluster.access_entries.get(identity.principal)
    if entry is None or cluster.access_config["authenticationMode"] == "CONFIG_MAP":
        raise Refused(f"{identity.principal} has no access entry")
    if entry.type in NODE_TYPES:
        raise Refused(f"{identity.principal} is the role of nodes, which use certificates in the lab")
    return {
        "username": entry.kubernetes_user(identity.session_name),
        "uid": f"aws-iam-authenticator:{identity.account}:{identity.user_id}",
        "groups": entry.all_groups(),
        "extra": _extra(identity),
    }


def presigned_url(token: str) -> str:
    """The URL inside an EKS token. Raises Refused when it is none."""
    if not token.startswith(MARK):
        raise Refused(f"a token begins with {MARK}")
    encoded = token.removeprefix(MARK)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise Refused("the token is not base64") from error


def _cluster(name: str) -> LabCluster:
    for _, _, backend in list(eks_backends.iter_backends()):
        if name in backend.clusters:
            cluster: LabCluster = backend.clusters[name]
            return cluster
    raise Refused(f"there is no cluster {name}")


def _extra(identity: Identity) -> dict[str, list[str]]:
    return {
        "arn": [identity.arn],
        "canonicalArn": [identity.principal],
        "principalId": [identity.user_id],
        "accessKeyId": [identity.access_key],
        "sessionName": [identity.session_name],
    }
