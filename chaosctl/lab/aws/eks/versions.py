"""What EKS offers late in 2026: Kubernetes versions, node images and add-ons. Collected from AWS's documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class KubernetesVersion:
    """A minor version with the ends of its standard and of its extended support."""

    version: str
    patch: str
    released: datetime
    standard_until: datetime
    extended_until: datetime

    @property
    def release(self) -> str:
        """Release of the node image, as `releaseVersion` and in SSM parameters."""
        return f"{self.patch}-20261105"


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


KUBERNETES = {
    version.version: version
    for version in (
        KubernetesVersion("1.34", "1.34.9", _day("2025-10-02"), _day("2026-12-02"), _day("2027-12-02")),
        KubernetesVersion("1.35", "1.35.6", _day("2026-01-27"), _day("2027-03-27"), _day("2028-03-27")),
        KubernetesVersion("1.36", "1.36.3", _day("2026-06-02"), _day("2027-08-02"), _day("2028-08-02")),
    )
}
DEFAULT_VERSION = "1.36"

# Default version first. For what the lab runs itself, the default names the version that really runs there.
ADDONS: dict[str, tuple[str, ...]] = {
    "vpc-cni": ("v1.21.2-eksbuild.1", "v1.20.4-eksbuild.1"),
    "coredns": ("v1.15.0-eksbuild.1", "v1.14.2-eksbuild.4"),
    "kube-proxy": ("v1.36.3-eksbuild.1", "v1.36.0-eksbuild.2"),
    "eks-pod-identity-agent": ("v1.3.10-eksbuild.2", "v1.3.9-eksbuild.3"),
    "metrics-server": ("v0.9.0-eksbuild.1", "v0.8.1-eksbuild.2"),
    "amazon-cloudwatch-observability": ("v5.3.0-eksbuild.1", "v4.10.0-eksbuild.1"),
    "aws-ebs-csi-driver": ("v1.56.0-eksbuild.1", "v1.55.0-eksbuild.2"),
}

# Where an add-on's service accounts live, when it is not kube-system.
ADDON_NAMESPACES = {"amazon-cloudwatch-observability": "amazon-cloudwatch"}

IMAGE_PARAMETER = re.compile(
    r"/aws/service/eks/optimized-ami/(?P<version>1\.\d+)/amazon-linux-2023/(?P<arch>x86_64|arm64)/(?P<variant>[^/]+)"
    r"/(?:recommended/)?(?P<leaf>image_id|release_version|image_name)"
)


def addon_versions(name: str, kubernetes: str) -> tuple[str, ...]:
    """Versions of the add-on for that Kubernetes version, the default one first; empty for an unknown add-on."""
    versions = ADDONS.get(name, ())
    if name == "kube-proxy" and kubernetes in KUBERNETES:
        return (f"v{KUBERNETES[kubernetes].patch}-eksbuild.1", f"v{kubernetes}.0-eksbuild.2")
    return versions


def image_id(version: str, arch: str = "x86_64") -> str:
    """The node image for that Kubernetes version; always the same, so that a plan stays empty."""
    return f"ami-0{int(version.replace('.', '')):08x}{'a64' if arch == 'arm64' else '864':0>8}"


def image_parameter(name: str) -> str | None:
    """Value of one of EKS's public SSM parameters, or None when there is no such parameter."""
    match = IMAGE_PARAMETER.fullmatch(name)
    if match is None or match["version"] not in KUBERNETES:
        return None
    version = KUBERNETES[match["version"]]
    return {
        "image_id": image_id(version.version, match["arch"]),
        "release_version": version.release,
        "image_name": f"amazon-eks-node-al2023-{match['arch']}-{match['variant']}-{version.version}-v20261105",
    }[match["leaf"]]
