"""What a deployment left behind in AWS: asked by tag, and by describing each kind of thing that it is made of.

Both are needed: the tagging API lags and does not know every kind, and what AWS makes by itself (network interfaces,
log groups) carries none of our tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters import cloudwatch, elb
from chaosctl.adapters.aws import Aws, AwsRefused

ENVIRONMENT_TAG = "chaosctl:environment"
GONE_STATES = {"deleted", "deleting", "terminated", "shutting-down"}
IGNORED_TAGGED = (":kms:", ":secretsmanager:")  # deleted with a waiting period: their tags stay that long


@dataclass(frozen=True)
class Leftover:
    """Something that still exists. `id` is an ARN or an id that the AWS command line takes."""

    kind: str
    id: str
    why: str = ""  # how it was recognised
    ours: bool = True  # surely, so that it may be deleted; False when only its name says so


@dataclass(frozen=True)
class Deployment:
    """What to look for. `tags` are on everything that was made for it; `vpc_id` is empty when not known any more."""

    cluster: str
    tags: Mapping[str, str]
    vpc_id: str = ""


def leftovers(aws: Aws, deployment: Deployment) -> list[Leftover]:
    """All that is left of a deployment, each thing once."""
    found: dict[str, Leftover] = {}
    for probe in PROBES:
        for leftover in probe(aws, deployment):
            found.setdefault(leftover.id.rpartition("/")[2], leftover)
    return sorted(found.values(), key=lambda left: (left.kind, left.id))


def vpc_of(aws: Aws, deployment: Deployment) -> str:
    """Id of the deployment's VPC by its tags, or empty."""
    vpcs = aws.pages("ec2", "describe_vpcs", "Vpcs", Filters=by_tags(deployment))
    return next((str(vpc["VpcId"]) for vpc in vpcs), "")


def by_tags(deployment: Deployment) -> list[dict[str, Any]]:
    """A filter of EC2 for the tags of a deployment."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in deployment.tags.items()]


def environments(aws: Aws) -> set[str]:
    """Names of all environments that something is deployed in: roles are in no region, a VPC is among the first."""
    found = [role_tags(aws, role["RoleName"]) for role in aws.pages("iam", "list_roles", "Roles")]
    vpcs = aws.pages("ec2", "describe_vpcs", "Vpcs", Filters=[{"Name": "tag-key", "Values": [ENVIRONMENT_TAG]}])
    found += [{tag["Key"]: tag["Value"] for tag in vpc["Tags"]} for vpc in vpcs]
    return {tags[ENVIRONMENT_TAG] for tags in found if ENVIRONMENT_TAG in tags}


def role_tags(aws: Aws, name: str) -> dict[str, str]:
    """Tags of a role; none when it has just gone."""
    try:
        listed = aws.call("iam", "list_role_tags", RoleName=name)["Tags"]
    except AwsRefused as error:
        if error.not_found:
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in listed}


def is_ours(tags: Mapping[str, str], deployment: Deployment) -> bool:
    """Whether something with these tags belongs to the deployment."""
    return deployment.tags.items() <= tags.items()


def cluster(aws: Aws, deployment: Deployment) -> list[Leftover]:
    """The EKS cluster and its node groups."""
    return list(_cluster(aws, deployment))


def _cluster(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    try:
        found = aws.call("eks", "describe_cluster", name=deployment.cluster)["cluster"]
        ours = is_ours(found.get("tags", {}), deployment)
        for group in aws.pages("eks", "list_nodegroups", "nodegroups", clusterName=deployment.cluster):
            yield Leftover("EKS node group", f"{deployment.cluster}/{group}", "in the cluster", ours)
        yield Leftover("EKS cluster", found["arn"], f"status {found['status']}", ours)
    except AwsRefused as error:
        if not error.not_found:
            raise


def _balancing(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    tagged = f"tag {elb.CLUSTER_TAG}"
    for balancer in elb.load_balancers(aws, deployment.cluster):
        yield Leftover("load balancer", balancer.arn, tagged)
    for group in elb.target_groups(aws, deployment.cluster):
        yield Leftover("target group", group, tagged)
    for security_group in elb.security_groups(aws, deployment.cluster):
        yield Leftover("security group", security_group, tagged)


def _in_vpc(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    if not deployment.vpc_id:
        return
    for kind, operation, key, identifier, filter_name in IN_VPC:
        filters = [{"Name": filter_name, "Values": [deployment.vpc_id]}]
        argument = "Filter" if operation in ("describe_nat_gateways", "describe_flow_logs") else "Filters"
        for item in _described(aws, operation, key, argument, filters):
            if not _harmless(kind, item):
                yield Leftover(kind, item[identifier], f"in {deployment.vpc_id}")


# kind, operation, key of the answer, key of the id, filter for the VPC
IN_VPC: Sequence[tuple[str, str, str, str, str]] = (
    ("VPC", "describe_vpcs", "Vpcs", "VpcId", "vpc-id"),
    ("subnet", "describe_subnets", "Subnets", "SubnetId", "vpc-id"),
    ("NAT gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId", "vpc-id"),
    ("internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId", "attachment.vpc-id"),
    ("VPC endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "vpc-id"),
    ("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId", "vpc-id"),
    ("security group", "describe_security_groups", "SecurityGroups", "GroupId", "vpc-id"),
    ("route table", "describe_route_tables", "RouteTables", "RouteTableId", "vpc-id"),
    ("flow log", "describe_flow_logs", "FlowLogs", "FlowLogId", "resource-id"),
)


def unattached_interfaces(aws: Aws, deployment: Deployment) -> list[Leftover]:
    """Network interfaces in the VPC that nothing uses: they would keep their subnet from being deleted."""
    if not deployment.vpc_id:
        return []
    filters = [{"Name": "vpc-id", "Values": [deployment.vpc_id]}, {"Name": "status", "Values": ["available"]}]
    found = aws.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    return [Leftover("network interface", i["NetworkInterfaceId"], f"in {deployment.vpc_id}") for i in found]


def _harmless(kind: str, item: Mapping[str, Any]) -> bool:
    """Going already, or part of the VPC itself (it is listed by itself while it exists)."""
    if str(item.get("State", "")) in GONE_STATES:
        return True
    main = any(a.get("Main") for a in item.get("Associations", ()) if isinstance(a, Mapping))
    return (kind == "security group" and item.get("GroupName") == "default") or (kind == "route table" and main)


def _described(aws: Aws, operation: str, key: str, argument: str, filters: object) -> Iterator[Any]:
    try:
        yield from aws.pages("ec2", operation, key, **{argument: filters})
    except AwsRefused as error:
        if not error.not_found:
            raise


def _machines(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    owned = [{"Name": "tag-key", "Values": [f"kubernetes.io/cluster/{deployment.cluster}"]}]
    for reservation in aws.pages("ec2", "describe_instances", "Reservations", Filters=owned):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in GONE_STATES:
                yield Leftover("instance", instance["InstanceId"], "tag kubernetes.io/cluster/" + deployment.cluster)
    for volume in aws.pages("ec2", "describe_volumes", "Volumes", Filters=owned):
        yield Leftover("volume", volume["VolumeId"], "tag kubernetes.io/cluster/" + deployment.cluster)
    for address in aws.pages("ec2", "describe_addresses", "Addresses", Filters=by_tags(deployment)):
        yield Leftover("Elastic IP", address["AllocationId"], "our tags")
    templates = aws.pages("ec2", "describe_launch_templates", "LaunchTemplates", Filters=by_tags(deployment))
    for template in templates:
        yield Leftover("launch template", template["LaunchTemplateId"], "our tags")


def log_groups(aws: Aws, cluster: str) -> list[str]:
    """Names of the log groups of a cluster: Terraform's, and those that EKS and Container Insights make themselves."""
    prefixes = [f"/aws/{kind}/{cluster}/" for kind in ("eks", "containerinsights", "vpc")]
    return [
        group["logGroupName"]
        for prefix in prefixes
        for group in aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    ]


def _logs(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    for name in log_groups(aws, deployment.cluster):
        yield Leftover("log group", name, "its name")


def roles(aws: Aws, deployment: Deployment) -> Iterator[Mapping[str, Any]]:
    """Roles with our tags; only those whose name could be ours are asked for them."""
    for role in aws.pages("iam", "list_roles", "Roles"):
        ours = deployment.cluster[:20] in role["RoleName"]
        if ours and is_ours(role_tags(aws, role["RoleName"]), deployment):
            yield role


def _identity(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    for role in roles(aws, deployment):
        yield Leftover("IAM role", role["Arn"], "our tags")
    for policy in aws.pages("iam", "list_policies", "Policies", Scope="Local"):
        if deployment.cluster[:20] in policy["PolicyName"]:
            yield Leftover("IAM policy", policy["Arn"], "its name", ours=False)


def keys(aws: Aws, deployment: Deployment) -> Iterator[Mapping[str, Any]]:
    """Metadata of the KMS keys with our tags that nobody has given up yet."""
    filters = [{"Key": key, "Values": [value]} for key, value in deployment.tags.items()]
    found = aws.pages(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        TagFilters=filters,
        ResourceTypeFilters=["kms:key"],
        ResourcesPerPage=100,
    )
    for mapping in found:
        key = aws.call("kms", "describe_key", KeyId=mapping["ResourceARN"])["KeyMetadata"]
        if key["KeyState"] != "PendingDeletion":
            yield key


def _secrets(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    for key in keys(aws, deployment):
        yield Leftover("KMS key", key["Arn"], "our tags")


def watching(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    """Alarms and the dashboard. A dashboard has no tags, but says to which environment it belongs."""
    for alarm, tags in cloudwatch.tagged_alarms(aws, deployment.cluster):
        yield Leftover("alarm", alarm.name, "our tags", is_ours(tags, deployment))
    text = cloudwatch.dashboard(aws, deployment.cluster)
    if text is not None:
        environment = f"environment {deployment.tags.get('chaosctl:environment', '')}"
        yield Leftover("dashboard", deployment.cluster, "its name", environment in text)


def _topics(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    for topic in aws.pages("sns", "list_topics", "Topics"):
        arn = topic["TopicArn"]
        if arn.endswith(f":{deployment.cluster}-alarms"):
            tags = aws.call("sns", "list_tags_for_resource", ResourceArn=arn)["Tags"]
            yield Leftover("SNS topic", arn, "our tags", is_ours({t["Key"]: t["Value"] for t in tags}, deployment))


def _tagged(aws: Aws, deployment: Deployment) -> Iterator[Leftover]:
    filters = [{"Key": key, "Values": [value]} for key, value in deployment.tags.items()]
    found = aws.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters, ResourcesPerPage=100
    )
    for mapping in found:
        arn = mapping["ResourceARN"]
        if not any(part in arn for part in IGNORED_TAGGED) and _still_there(aws, arn):
            service = arn.split(":")[2]
            yield Leftover("certificate" if service == "acm" else service, arn, "our tags")


def _still_there(aws: Aws, arn: str) -> bool:
    """The tagging API names deleted instances and NAT gateways for up to an hour; ask EC2 itself for those."""
    kind, _, identifier = arn.rpartition(":")[2].partition("/")
    try:
        if kind == "instance":
            found = aws.call("ec2", "describe_instances", InstanceIds=[identifier])["Reservations"]
            return any(i["State"]["Name"] not in GONE_STATES for r in found for i in r["Instances"])
        if kind == "natgateway":
            found = aws.call("ec2", "describe_nat_gateways", NatGatewayIds=[identifier])["NatGateways"]
            return any(n["State"] not in GONE_STATES for n in found)
    except AwsRefused as error:
        if error.not_found:
            return False
        raise
    return True


PROBES: Sequence[Callable[[Aws, Deployment], Iterator[Leftover]]] = (
    _cluster,
    _balancing,
    _machines,
    _in_vpc,
    _logs,
    _identity,
    _secrets,
    watching,
    _topics,
    _tagged,
)
