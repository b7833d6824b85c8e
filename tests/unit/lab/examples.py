"""One VPC, one cluster and one instance, as the lab's AWS would describe them."""

from __future__ import annotations

from dataclasses import replace

from chaosctl.lab.desired import Cluster, Instance, Subnet, Vpc

PRIVATE_A = Subnet("subnet-a", "vpc-1", "us-west-2a", "10.0.10.0/24")
PRIVATE_B = Subnet("subnet-b", "vpc-1", "us-west-2b", "10.0.11.0/24")
PUBLIC_A = Subnet("subnet-c", "vpc-1", "us-west-2a", "10.0.0.0/24")
VPC = Vpc("vpc-1", "10.0.0.0/16", (PRIVATE_A, PRIVATE_B, PUBLIC_A))
HEX = "0123456789ABCDEF" * 2
CLUSTER = Cluster(
    name="demo",
    hex_id=HEX,
    arn="arn:aws:eks:us-west-2:123456789012:cluster/demo",
    region="us-west-2",
    version="1.36",
    vpc_id="vpc-1",
    subnets=(PRIVATE_A, PRIVATE_B),
    service_cidr="172.20.0.0/16",
    issuer=f"https://oidc.eks.us-west-2.amazonaws.com/id/{HEX}",
)
INSTANCE = Instance(
    id="i-0123456789abcdef0",
    cluster="demo",
    nodegroup="default",
    vpc_id="vpc-1",
    subnet=PRIVATE_A,
    private_ip="10.0.10.20",
    private_dns_name="ip-10-0-10-20.us-west-2.compute.internal",
    instance_type="t3.medium",
    pod_prefixes=("10.0.10.32/28", "10.0.10.48/28"),
    labels={"team": "blue"},
    taints=({"key": "dedicated", "value": "app", "effect": "NO_SCHEDULE"},),
)
SECOND_INSTANCE = replace(
    INSTANCE,
    id="i-0fedcba9876543210",
    subnet=PRIVATE_B,
    private_ip="10.0.11.20",
    private_dns_name="ip-10-0-11-20.us-west-2.compute.internal",
    pod_prefixes=("10.0.11.32/28", "10.0.11.48/28"),
    taints=(),
)
