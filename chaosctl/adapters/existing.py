"""What exists in AWS of the things that terraform/ makes, each under its address there and the id to import it by.

A Terraform that was killed forgets what it made since it last stored its state. Everything in terraform/ can be told by
its name, or by its tag `Name` beside the tags of the deployment; what AWS makes again without complaint (attachments
and inline policies of roles, access policies, the default security group, topic and subscriptions) needs no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chaosctl.adapters import acm
from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.inventory import GONE_STATES, Deployment, by_tags, is_ours, keys, log_groups, roles

ANYWHERE = "0.0.0.0/0"
ADDONS = {  # terraform/addons.tf: which resource makes which
    "coredns": "on_nodes",
    "metrics-server": "on_nodes",
    "amazon-cloudwatch-observability": "on_nodes",
    "eks-pod-identity-agent": "before_nodes",
    "kube-proxy": "before_nodes",
    "vpc-cni": "before_nodes",
}
APP_ASSOCIATION = "aws_eks_pod_identity_association.app[0]"
KEYS = {"Logs": "logs", "Messages of the alarms": "alarms"}  # what describes each; all others are for secrets
CONTROLLER_ASSOCIATION = "aws_eks_pod_identity_association.load_balancer_controller"

Found = Iterator[tuple[str, str]]


def found(aws: Aws, deployment: Deployment) -> dict[str, str]:
    """Import id by address. Of two that would have the same address, one."""
    return {address: identifier for probe in PROBES for address, identifier in probe(aws, deployment)}


def _keyed(address: str, key: str) -> str:
    return f'{address}["{key}"]'


def _named(aws: Aws, deployment: Deployment, operation: str, key: str, argument: str = "Filters") -> Iterator[Any]:
    """What EC2 describes of ours, with the rest of its tag `Name` behind the cluster's name."""
    for item in aws.pages("ec2", operation, key, **{argument: by_tags(deployment)}):
        name = next((t["Value"] for t in item.get("Tags", ()) if t["Key"] == "Name"), "")
        if name.startswith(deployment.cluster) and str(item.get("State", "")) not in GONE_STATES | {"failed"}:
            yield name.removeprefix(deployment.cluster).removeprefix("-"), item


def _network(aws: Aws, deployment: Deployment) -> Found:
    for operation, key, identifier, address, argument in (
        ("describe_vpcs", "Vpcs", "VpcId", "aws_vpc.main", "Filters"),
        ("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "aws_internet_gateway.main", "Filters"),
        ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "aws_vpc_endpoint.s3", "Filters"),
        ("describe_flow_logs", "FlowLogs", "FlowLogId", "aws_flow_log.vpc", "Filter"),
    ):
        for _, item in _named(aws, deployment, operation, key, argument):
            yield address, item[identifier]


def _zonal(aws: Aws, deployment: Deployment) -> Found:
    for name, subnet in _named(aws, deployment, "describe_subnets", "Subnets"):
        side, _, zone = name.partition("-")
        yield _keyed(f"aws_subnet.{side}", zone), subnet["SubnetId"]
    for name, address in _named(aws, deployment, "describe_addresses", "Addresses"):
        yield _keyed("aws_eip.nat", name.removeprefix("nat-")), address["AllocationId"]
    for name, gateway in _named(aws, deployment, "describe_nat_gateways", "NatGateways", "Filter"):
        yield _keyed("aws_nat_gateway.main", name), gateway["NatGatewayId"]


def _routing(aws: Aws, deployment: Deployment) -> Found:
    zones = {s["SubnetId"]: s["AvailabilityZone"] for _, s in _named(aws, deployment, "describe_subnets", "Subnets")}
    for name, table in _named(aws, deployment, "describe_route_tables", "RouteTables"):
        identifier = table["RouteTableId"]
        side, _, zone = name.partition("-")
        yield (_keyed("aws_route_table.private", zone) if zone else "aws_route_table.public"), identifier
        if any(route.get("DestinationCidrBlock") == ANYWHERE for route in table.get("Routes", ())):
            route = _keyed("aws_route.private_internet", zone) if zone else "aws_route.public_internet"
            yield route, f"{identifier}_{ANYWHERE}"
        for association in table.get("Associations", ()):
            if subnet := association.get("SubnetId"):
                address = _keyed(f"aws_route_table_association.{side}", zones.get(subnet, ""))
                yield address, f"{subnet}/{identifier}"


def _nodes_template(aws: Aws, deployment: Deployment) -> Found:
    filters = by_tags(deployment)
    for template in aws.pages("ec2", "describe_launch_templates", "LaunchTemplates", Filters=filters):
        if template["LaunchTemplateName"].startswith(f"{deployment.cluster}-nodes-"):
            yield "aws_launch_template.nodes", template["LaunchTemplateId"]


def _roles(aws: Aws, deployment: Deployment) -> Found:
    prefix = deployment.cluster[:24]  # local.role_prefix
    addresses = {f"{prefix}-{name}-": f"aws_iam_role.{name}" for name in ("cluster", "node", "flow")} | {
        f"{prefix[:20]}-{name}-": _keyed("aws_iam_role.pod", name)
        for name in ("load-balancer", "vpc-cni", "cloudwatch-agent")
    }
    addresses[f"{prefix[:20]}-app-"] = "aws_iam_role.app[0]"
    for role in roles(aws, deployment):
        name = role["RoleName"]
        for start, address in addresses.items():
            if name.startswith(start) and "-" not in name.removeprefix(start):
                yield address, name


def _keys(aws: Aws, deployment: Deployment) -> Found:
    for key in keys(aws, deployment):
        name = KEYS.get(key.get("Description", "").removesuffix(f" of {deployment.cluster}"), "secrets")
        yield f"aws_kms_key.{name}", key["KeyId"]
        for alias in aws.pages("kms", "list_aliases", "Aliases", KeyId=key["KeyId"]):
            yield f"aws_kms_alias.{name}", alias["AliasName"]


def _certificate(aws: Aws, deployment: Deployment) -> Found:
    for arn in acm.tagged(aws, deployment.tags):
        if found := acm.describe(aws, arn):
            yield _keyed("aws_acm_certificate.main", found.domain), arn


def _log_groups(aws: Aws, deployment: Deployment) -> Found:
    for name in log_groups(aws, deployment.cluster):
        _, _, kind, _, last = name.split("/", 4)
        if kind == "containerinsights":
            yield _keyed("aws_cloudwatch_log_group.containers", last), name
        else:
            yield f"aws_cloudwatch_log_group.{'flow' if kind == 'vpc' else 'control_plane'}", name


def _cluster(aws: Aws, deployment: Deployment) -> Found:
    name = deployment.cluster
    try:
        if not is_ours(aws.call("eks", "describe_cluster", name=name)["cluster"].get("tags", {}), deployment):
            return
        yield "aws_eks_cluster.main", name
        yield from _in_cluster(aws, name)
        yield from _access_entries(aws, deployment)
    except AwsRefused as error:
        if not error.not_found:
            raise


def _in_cluster(aws: Aws, name: str) -> Found:
    for group in aws.pages("eks", "list_nodegroups", "nodegroups", clusterName=name):
        if group == "main":
            yield "aws_eks_node_group.main", f"{name}:{group}"
    for addon in aws.pages("eks", "list_addons", "addons", clusterName=name):
        if addon in ADDONS:
            yield _keyed(f"aws_eks_addon.{ADDONS[addon]}", addon), f"{name}:{addon}"
    associations = aws.pages("eks", "list_pod_identity_associations", "associations", clusterName=name)
    for association in associations:
        identifier = f"{name},{association['associationId']}"
        if association["serviceAccount"] == "aws-load-balancer-controller":
            yield CONTROLLER_ASSOCIATION, identifier
        elif association["namespace"] != "kube-system":  # where the add-ons' own are, which come with them
            yield APP_ASSOCIATION, identifier


def _access_entries(aws: Aws, deployment: Deployment) -> Found:
    """Under both addresses that one may have: only one of them is in the module."""
    name = deployment.cluster
    for principal in aws.pages("eks", "list_access_entries", "accessEntries", clusterName=name):
        entry = aws.call("eks", "describe_access_entry", clusterName=name, principalArn=principal)["accessEntry"]
        if is_ours(entry.get("tags", {}), deployment):
            yield _keyed("aws_eks_access_entry.admin", principal), f"{name}:{principal}"
            yield _keyed("aws_eks_access_entry.developer", principal), f"{name}:{principal}"


def changing(aws: Aws, deployment: Deployment) -> str:
    """What is just being made or removed, so that it cannot be taken over now; empty when nothing is."""
    cluster = aws.cluster(deployment.cluster)
    states = {f"NAT gateway {n}": g["State"] for n, g in _nat_gateways(aws, deployment)}
    if cluster:
        states["cluster"] = cluster.status
        for name in aws.pages("eks", "list_nodegroups", "nodegroups", clusterName=cluster.name):
            group = aws.call("eks", "describe_nodegroup", clusterName=cluster.name, nodegroupName=name)
            states[f"node group {name}"] = group["nodegroup"]["status"]
    return ", ".join(f"{what}: {state}" for what, state in states.items() if state in UNDER_WAY)


UNDER_WAY = {"CREATING", "UPDATING", "DELETING", "PENDING", "pending", "deleting"}


def _nat_gateways(aws: Aws, deployment: Deployment) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for gateway in aws.pages("ec2", "describe_nat_gateways", "NatGateways", Filter=by_tags(deployment)):
        yield gateway["NatGatewayId"], gateway


PROBES: Sequence[Callable[[Aws, Deployment], Found]] = (
    _network,
    _zonal,
    _routing,
    _nodes_template,
    _roles,
    _keys,
    _certificate,
    _log_groups,
    _cluster,
)
