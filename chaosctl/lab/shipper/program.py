"""How the shipper of a cluster is run: one process for all of its nodes.

The add-on has a pod on each node. Here that would be 30 MB for each; and what one process sees of a node's disk is gone
with the node all the same.
"""

from __future__ import annotations

import sys

from chaosctl.lab.desired import Cluster
from chaosctl.lab.layout import Layout
from chaosctl.lab.supervisor import Program

AUDIENCE = "pods.eks.amazonaws.com"
NAMESPACE, SERVICE_ACCOUNT = "amazon-cloudwatch", "cloudwatch-agent"  # of the add-on amazon-cloudwatch-observability


def program(layout: Layout, cluster: Cluster) -> Program:
    """What the supervisor is to run."""
    argv = (sys.executable, "-m", "chaosctl.lab.shipper", "--root", str(layout.root))
    return Program(
        name=f"{cluster.name}.log-shipper",
        argv=(*argv, "--cluster", cluster.name, "--region", cluster.region),
        env={"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"},
        group=f"cluster:{cluster.name}",
        stop_seconds=5,
    )
