"""EKS: moto has 17 of 70 operations; the lab brings its own backend."""

from __future__ import annotations

from moto.eks.models import eks_backends

from chaosctl.lab.aws.eks.models import LabEKSBackend


def apply() -> None:
    """Use it for every account and region from now on."""
    eks_backends.backend = LabEKSBackend
