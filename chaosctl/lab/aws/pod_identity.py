"""EKS Pod Identity: what its webhook does to pods, and what its agent answers them."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from moto.eks.models import eks_backends
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from chaosctl.lab.layout import AWS_IN_VPC, POD_IDENTITY_IN_VPC, Layout

AUDIENCE = "pods.eks.amazonaws.com"
VOLUME = "eks-pod-identity-token"
MOUNT = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
SESSION_SECONDS = 6 * 3600


class Denied(Exception):
    """No credentials for this pod; the text says why."""


# --- the webhook


def mutate(cluster: str, review: dict[str, Any]) -> dict[str, Any]:
    """Answer an AdmissionReview of a pod: a patch when its service account has an association, else as it is."""
    request = review.get("request") or {}
    pod = request.get("object") or {}
    namespace = request.get("namespace") or pod.get("metadata", {}).get("namespace", "default")
    account = pod.get("spec", {}).get("serviceAccountName") or "default"
    response: dict[str, Any] = {"uid": request.get("uid", ""), "allowed": True}
    found = association(cluster, namespace, account)
    if found is not None:
        patch = json.dumps(injection(pod, region_of(cluster))).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def injection(pod: dict[str, Any], region: str) -> list[dict[str, Any]]:
    """The JSON patch that gives every container of the pod a token, and tells its SDK where to trade it in."""
    spec = pod.get("spec", {})
    patch = _append(spec, "/spec", "volumes", [_volume()], key="name")
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or []):
            path = f"/spec/{kind}/{index}"
            patch += _append(container, path, "env", _environment(region), key="name")
            mount = {"name": VOLUME, "mountPath": MOUNT, "readOnly": True}
            patch += _append(container, path, "volumeMounts", [mount], key="mountPath")
    return patch


def _volume() -> dict[str, Any]:
    token = {"audience": AUDIENCE, "expirationSeconds": 86400, "path": VOLUME}
    return {"name": VOLUME, "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": token}]}}


def _environment(region: str) -> list[dict[str, str]]:
    values = {
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{POD_IDENTITY_IN_VPC}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{MOUNT}/{VOLUME}",
        "AWS_ENDPOINT_URL": f"http://{AWS_IN_VPC}",  # not EKS's: the lab's AWS is not at the SDK's default place
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def _append(
    owner: dict[str, Any], path: str, member: str, items: list[dict[str, Any]], *, key: str
) -> list[dict[str, Any]]:
    """Operations that add `items` to a list which may not exist; what is there under the same `key` wins."""
    present = owner.get(member) or []
    new = [item for item in items if item[key] not in {known.get(key) for known in present}]
    if not present:
        return [{"op": "add", "path": f"{path}/{member}", "value": new}]
    return [{"op": "add", "path": f"{path}/{member}/-", "value": item} for item in new]


# --- the agent


def credentials(layout: Layout, cluster: str, token: str) -> dict[str, Any]:
    """Temporary credentials for the pod that holds the service account `token`. Raises Denied."""
    claims = verified(token, layout.cluster(cluster) / "pki" / "sa.pub")
    pod = claims.get("kubernetes.io") or {}
    namespace, account = pod.get("namespace", ""), pod.get("serviceaccount", {}).get("name", "")
    found = association(cluster, namespace, account)
    if found is None:
        raise Denied(f"the service account {namespace}/{account} has no Pod Identity association")
    name = pod.get("pod", {}).get("name", account)
    return assume(found["roleArn"], f"eks-{cluster}-{name}-{uuid.uuid4()}", region_of(cluster))


def verified(token: str, key_file: Path) -> dict[str, Any]:
    """The claims of a service account token for this audience. Raises Denied."""
    try:
        key = key_file.read_bytes()
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=["RS256", "ES256"], audience=AUDIENCE, options={"require": ["exp", "sub"]}
        )
    except OSError as error:
        raise Denied("the cluster has no service account key yet") from error
    except jwt.PyJWTError as error:
        raise Denied(f"the service account token is not valid: {error}") from error
    return claims


def assume(role_arn: str, session_name: str, region: str) -> dict[str, Any]:
    """Credentials of a session of the role, if that trusts Pod Identity. Raises Denied."""
    account = role_arn.split(":")[4]
    role = next((one for one in iam_backends[account]["aws"].roles.values() if one.arn == role_arn), None)
    if role is None:
        raise Denied(f"the role {role_arn} does not exist")
    if not trusts_pod_identity(json.loads(role.assume_role_policy_document)):
        raise Denied(f"the role {role_arn} does not let {AUDIENCE} use sts:AssumeRole and sts:TagSession")
    backend = sts_backends[account]["aws"]
    _forget_expired(backend)
    session = backend.assume_role(region, session_name[:64], role_arn, "", SESSION_SECONDS, "")
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "AccountId": account,
        "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def trusts_pod_identity(policy: dict[str, Any]) -> bool:
    """Whether a trust policy lets EKS Pod Identity assume the role and tag its session."""
    granted: set[str] = set()
    for statement in _listed(policy.get("Statement")):
        services = _listed(statement.get("Principal", {}).get("Service"))
        if statement.get("Effect") == "Allow" and AUDIENCE in services:
            granted |= set(_listed(statement.get("Action")))
    return {"sts:AssumeRole", "sts:TagSession"} <= granted or "sts:*" in granted


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _forget_expired(backend: Any) -> None:
    now = datetime.now(UTC)
    backend.assumed_roles = [one for one in backend.assumed_roles if one.expiration.replace(tzinfo=UTC) > now]


# --- both


def association(cluster: str, namespace: str, account: str) -> dict[str, Any] | None:
    """The association of a service account, or None."""
    for _, _, backend in list(eks_backends.iter_backends()):
        known = backend.clusters.get(cluster)
        for one in known.pod_identities.values() if known else ():
            if (one["namespace"], one["serviceAccount"]) == (namespace, account):
                found: dict[str, Any] = one
                return found
    return None


def region_of(cluster: str) -> str:
    """The region in which the cluster is. Raises Denied when there is none of that name."""
    for _, region, backend in list(eks_backends.iter_backends()):
        if cluster in backend.clusters:
            return str(region)
    raise Denied(f"there is no cluster {cluster}")
