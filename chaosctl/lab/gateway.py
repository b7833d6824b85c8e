"""What joins a cluster's VPC to this machine: one HAProxy with a foot in each of the two network namespaces."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import jinja2

from chaosctl.lab.desired import Cluster
from chaosctl.lab.endpoint import Endpoint
from chaosctl.lab.layout import AWS_IN_VPC, CLUSTERS, POD_IDENTITY_IN_VPC, Layout
from chaosctl.lab.pki import Pki, write_private
from chaosctl.lab.supervisor import Program

TEMPLATE = Path(__file__).parent / "templates" / "gateway.cfg.j2"


def address(layout: Layout, cluster: str) -> str:
    """Loopback address on which this machine reaches a cluster's API server; chosen once, kept in its directory."""
    file = layout.cluster(cluster) / "loopback"
    if not file.exists():
        taken = {other.read_text() for other in layout.cluster("x").parent.glob("*/loopback")}
        candidates = (layout.loopback(index) for index in CLUSTERS)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(file, next(candidate for candidate in candidates if candidate not in taken))
    return file.read_text()


def render(layout: Layout, cluster: Cluster, loopback: str, aws: str) -> str:
    """HAProxy's configuration."""
    template = jinja2.Template(TEMPLATE.read_text(), undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    text: str = template.render(
        cluster=cluster.name,
        loopback=loopback,
        address=cluster.address,
        netns=layout.vpc_netns(cluster.vpc_id),
        aws_in_vpc=AWS_IN_VPC,
        pod_identity_in_vpc=POD_IDENTITY_IN_VPC,
        aws_endpoint=aws,
        certificate=_certificate(layout, cluster.name),
    )
    return text


def program(layout: Layout, cluster: Cluster, tools: Mapping[str, Path]) -> Program:
    """Write the configuration and say how to run it. The cluster's certificates and its VPC must be there."""
    config = layout.cluster(cluster.name) / "gateway.cfg"
    text = render(layout, cluster, address(layout, cluster.name), Endpoint(layout).address)
    pair = Pki.of(layout, cluster.name).pair("aws")
    certificate = pair.certificate.read_bytes() + pair.key.read_bytes()
    write_private(_certificate(layout, cluster.name), certificate)
    write_private(config, text)
    return Program(
        name=f"{cluster.name}.gateway",
        argv=(str(tools["haproxy"]), "-db", "-f", str(config)),
        group=f"cluster:{cluster.name}",
        stop_seconds=2,
        revision=hashlib.sha256(text.encode() + certificate).hexdigest()[:16],
    )


def _certificate(layout: Layout, cluster: str) -> Path:
    return layout.cluster(cluster) / "pki" / "aws.pem"
