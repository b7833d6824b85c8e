"""Pods that call AWS: their service account has a role, and they got its credentials."""

from __future__ import annotations

from datetime import UTC, datetime

from chaosctl.adapters.kube import Kube
from chaosctl.adapters.pod import Pod
from chaosctl.errors import StageFailed
from chaosctl.events import Step
from chaosctl.stages.access import Access
from chaosctl.stages.readiness import restart, wait_for_rollout
from chaosctl.stages.stage import Context
from chaosctl.waiting import TimedOut, wait_until

IDENTITY_SECONDS = 30.0
CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_FULL_URI"  # what EKS puts into a pod that has a Pod Identity association


def require_association(access: Access, context: Context, namespace: str, account: str) -> None:
    """It must be there before the first pod of that service account is admitted, or that pod never gets credentials."""

    def associated() -> tuple[bool, str]:
        return bool(access.aws.pod_identity_role(access.cluster.name, namespace, account)), ""

    try:
        wait_until(associated, "its Pod Identity association", timeout=IDENTITY_SECONDS, emit=context.emit, interval=1)
    except TimedOut:
        raise StageFailed(
            f"the service account {namespace}/{account} has no AWS role",
            code="POD-IDENTITY-MISSING",
            why="EKS knows no Pod Identity association for it, so its pods could not call AWS",
            remedy="run `chaosctl infra`, which makes it",
        ) from None


def require_credentials(
    kube: Kube, pods: list[Pod], context: Context, namespace: str, deployment: str, patience: float
) -> bool:
    """Restart once when pods were admitted without credentials. True when that was needed."""
    if all(CREDENTIALS in pod.environment for pod in pods):
        return False
    context.emit(Step(f"the pods of {deployment} came up before their credentials: restarting them once"))
    restart(kube, namespace, deployment, datetime.now(UTC).isoformat(timespec="seconds"))
    pods = wait_for_rollout(kube, namespace, deployment, timeout=patience, emit=context.emit)
    without = [pod.name for pod in pods if CREDENTIALS not in pod.environment]
    if without:
        raise StageFailed(
            f"the pods of {deployment} get no AWS credentials",
            code="POD-IDENTITY-NOT-INJECTED",
            why=f"{CREDENTIALS} is not set in {', '.join(without)}",
            remedy="check the add-on eks-pod-identity-agent with `aws eks describe-addon`",
        )
    return True
