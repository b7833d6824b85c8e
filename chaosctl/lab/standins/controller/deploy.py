"""Makes AWS hold what a stack says, and removes it again. Idempotent: it looks at what is there, by name and by tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from chaosctl.lab.standins.controller.model import (
    CLUSTER_TAG,
    RESOURCE_TAG,
    STACK_TAG,
    Action,
    BadIngress,
    Forward,
    Listener,
    RedirectToHttps,
    Rule,
    Stack,
    Tags,
    TargetGroup,
    resource_name,
)

ROLE_TAGS = {"internet-facing": "kubernetes.io/role/elb", "internal": "kubernetes.io/role/internal-elb"}


@dataclass(frozen=True)
class Deployed:
    """What exists now: the load balancer's name in DNS, and the ARNs of the target groups by name."""

    dns_name: str
    target_groups: Mapping[str, str]


class NotYet(Exception):
    """AWS needs time: something that was deleted is still in use. Try again in a moment."""


def code(error: ClientError) -> str:
    """AWS's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Deployer:
    """Acts on one VPC of one region for one cluster. `ec2` and `elbv2` are botocore clients."""

    def __init__(self, ec2: Any, elbv2: Any, vpc_id: str, cluster: str) -> None:
        self._ec2 = ec2
        self._elb = elbv2
        self._vpc = vpc_id
        self._cluster = cluster

    def deploy(self, stack: Stack) -> Deployed:
        """Create and change what differs. Raises ClientError and BadIngress (no suitable subnets)."""
        subnets = self._subnets(stack)
        groups = list(stack.security_groups) or [self._security_group(stack)]
        arns = {group.name: self._target_group(stack, group) for group in stack.target_groups}
        balancer = self._load_balancer(stack, subnets, groups)
        self._listeners(stack, balancer["LoadBalancerArn"], arns)
        return Deployed(balancer["DNSName"], arns)

    def prune(self, stack: Stack) -> None:
        """Delete what an earlier form of the stack left: target groups that no rule names any more."""
        wanted = {group.name for group in stack.target_groups}
        for group in self._owned_target_groups(stack.id):
            if group["TargetGroupName"] not in wanted:
                self._elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])

    def delete_load_balancers(self, stack_id: str) -> None:
        """Delete the load balancers of a stack, with their listeners and rules."""
        for arn in self._owned(self._balancers(), "LoadBalancerArn", stack_id):
            self._elb.delete_load_balancer(LoadBalancerArn=arn)

    def delete_rest(self, stack_id: str) -> None:
        """Delete target groups and security groups of a stack. Raises NotYet while they are in use."""
        for group in self._owned_target_groups(stack_id):
            self._unless_in_use(self._elb.delete_target_group, TargetGroupArn=group["TargetGroupArn"])
        for group in self._owned_security_groups(stack_id):
            self._unless_in_use(self._ec2.delete_security_group, GroupId=group["GroupId"])

    @staticmethod
    def _unless_in_use(delete: Any, **what: str) -> None:
        try:
            delete(**what)
        except ClientError as error:
            if code(error) in ("ResourceInUse", "DependencyViolation"):
                raise NotYet(str(error)) from error
            if "NotFound" not in code(error):
                raise

    # -- subnets and security groups ------------------------------------------------------------------------------

    def _subnets(self, stack: Stack) -> list[str]:
        if stack.subnets:
            return list(stack.subnets)
        tag = ROLE_TAGS[stack.scheme]
        filters = [{"Name": "vpc-id", "Values": [self._vpc]}, {"Name": f"tag:{tag}", "Values": ["", "1"]}]
        found = self._ec2.describe_subnets(Filters=filters)["Subnets"]
        by_zone = {
            s["AvailabilityZone"]: s["SubnetId"] for s in sorted(found, key=lambda s: s["SubnetId"], reverse=True)
        }
        if len(by_zone) < 2:
            raise BadIngress(
                f"couldn't auto-discover subnets: {len(by_zone)} availability zones of {self._vpc} have a subnet "
                f"with the tag {tag}=1, at least 2 are needed"
            )
        return sorted(by_zone.values())

    def _security_group(self, stack: Stack) -> str:
        name = resource_name(stack.namespace, stack.ingress, self._cluster, stack.id, "sg")
        owned = self._owned_security_groups(stack.id)
        if owned:
            group = owned[0]
        else:
            tags = _tag_list({**stack.tags, RESOURCE_TAG: "ManagedLBSecurityGroup"})
            created = self._ec2.create_security_group(
                GroupName=name,
                Description="[k8s] Managed SecurityGroup for LoadBalancer",
                VpcId=self._vpc,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
            )
            group = {"GroupId": created["GroupId"], "IpPermissions": []}
        self._admit(stack, group)
        return str(group["GroupId"])

    def _admit(self, stack: Stack, group: Mapping[str, Any]) -> None:
        wanted = {(listener.port, cidr) for listener in stack.listeners for cidr in stack.inbound_cidrs}
        present = {
            (permission["FromPort"], network["CidrIp"])
            for permission in group["IpPermissions"]
            if "FromPort" in permission
            for network in permission.get("IpRanges", ())
        }
        if wanted - present:
            self._ec2.authorize_security_group_ingress(
                GroupId=group["GroupId"], IpPermissions=[_permission(*rule) for rule in sorted(wanted - present)]
            )
        if present - wanted:
            self._ec2.revoke_security_group_ingress(
                GroupId=group["GroupId"], IpPermissions=[_permission(*rule) for rule in sorted(present - wanted)]
            )

    def _owned_security_groups(self, stack_id: str) -> list[dict[str, Any]]:
        filters = [
            {"Name": f"tag:{CLUSTER_TAG}", "Values": [self._cluster]},
            {"Name": f"tag:{STACK_TAG}", "Values": [stack_id]},
            {"Name": "vpc-id", "Values": [self._vpc]},
        ]
        return list(self._ec2.describe_security_groups(Filters=filters)["SecurityGroups"])

    # -- target groups --------------------------------------------------------------------------------------------

    def _target_group(self, stack: Stack, group: TargetGroup) -> str:
        try:
            found = self._elb.describe_target_groups(Names=[group.name])["TargetGroups"][0]
        except ClientError as error:
            if code(error) != "TargetGroupNotFound":
                raise
            found = self._elb.create_target_group(
                Name=group.name,
                TargetType="ip",
                Port=group.port,
                Protocol=group.protocol,
                ProtocolVersion="HTTP1",
                VpcId=self._vpc,
                Tags=_tag_list({**stack.tags, RESOURCE_TAG: group.resource}),
                **group.check,
            )["TargetGroups"][0]
        arn = str(found["TargetGroupArn"])
        changed = {key: value for key, value in group.check.items() if found.get(key) != value}
        if changed:
            self._elb.modify_target_group(TargetGroupArn=arn, **changed)
        attributes = self._elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        different = _different(attributes, group.attributes)
        if different:
            self._elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=different)
        return arn

    def _owned_target_groups(self, stack_id: str) -> list[dict[str, Any]]:
        pages = self._elb.get_paginator("describe_target_groups").paginate()
        groups = [group for page in pages for group in page["TargetGroups"]]
        owned = set(self._owned(groups, "TargetGroupArn", stack_id))
        return [group for group in groups if group["TargetGroupArn"] in owned]

    def _owned(self, resources: Iterable[Mapping[str, Any]], arn: str, stack_id: str) -> Iterator[str]:
        wanted = {CLUSTER_TAG: self._cluster, STACK_TAG: stack_id}
        for some in _batches([resource[arn] for resource in resources], 20):
            for described in self._elb.describe_tags(ResourceArns=some)["TagDescriptions"]:
                tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
                if wanted.items() <= tags.items():
                    yield described["ResourceArn"]

    # -- load balancer --------------------------------------------------------------------------------------------

    def _balancers(self) -> list[dict[str, Any]]:
        pages = self._elb.get_paginator("describe_load_balancers").paginate()
        return [balancer for page in pages for balancer in page["LoadBalancers"]]

    def _load_balancer(self, stack: Stack, subnets: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
        found = self._named_balancer(stack)
        if found and found["Scheme"] != stack.scheme:  # cannot be changed
            self._elb.delete_load_balancer(LoadBalancerArn=found["LoadBalancerArn"])
            found = None
        if found is None:
            found = self._create_balancer(stack, subnets, groups)
        arn = found["LoadBalancerArn"]
        if set(found.get("SecurityGroups", ())) != set(groups):
            self._elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=list(groups))
        if {zone["SubnetId"] for zone in found["AvailabilityZones"]} != set(subnets):
            self._elb.set_subnets(LoadBalancerArn=arn, SubnetMappings=[{"SubnetId": s} for s in subnets])
        attributes = self._elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        different = _different(attributes, stack.attributes)
        if different:
            self._elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=different)
        return found

    def _named_balancer(self, stack: Stack) -> dict[str, Any] | None:
        try:
            return dict(self._elb.describe_load_balancers(Names=[stack.name])["LoadBalancers"][0])
        except ClientError as error:
            if code(error) != "LoadBalancerNotFound":
                raise
            return None

    def _create_balancer(self, stack: Stack, subnets: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
        created = self._elb.create_load_balancer(
            Name=stack.name,
            Type="application",
            Scheme=stack.scheme,
            IpAddressType="ipv4",
            SubnetMappings=[{"SubnetId": subnet} for subnet in subnets],
            SecurityGroups=list(groups),
            Tags=_tag_list({**stack.tags, RESOURCE_TAG: "LoadBalancer"}),
        )
        return dict(created["LoadBalancers"][0])

    # -- listeners and rules --------------------------------------------------------------------------------------

    def _listeners(self, stack: Stack, balancer: str, groups: Mapping[str, str]) -> None:
        found = {item["Port"]: item for item in self._elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]}
        for port in found.keys() - {listener.port for listener in stack.listeners}:
            self._elb.delete_listener(ListenerArn=found[port]["ListenerArn"])
        for listener in stack.listeners:
            arn = self._listener(stack, balancer, listener, found.get(listener.port), groups)
            self._certificates(arn, listener)
            self._attributes(arn, listener)
            self._rules(stack, arn, listener, groups)

    def _listener(
        self, stack: Stack, balancer: str, wanted: Listener, found: Mapping[str, Any] | None, groups: Mapping[str, str]
    ) -> str:
        settings: dict[str, Any] = {"Protocol": wanted.protocol, "DefaultActions": [_action(wanted.default, groups)]}
        if wanted.protocol == "HTTPS":
            settings |= {"SslPolicy": wanted.ssl_policy, "Certificates": [{"CertificateArn": wanted.certificates[0]}]}
        if found is None:
            tags = _tag_list({**stack.tags, RESOURCE_TAG: str(wanted.port)})
            created = self._elb.create_listener(LoadBalancerArn=balancer, Port=wanted.port, Tags=tags, **settings)
            return str(created["Listeners"][0]["ListenerArn"])
        if not _includes(found, settings):
            self._elb.modify_listener(ListenerArn=found["ListenerArn"], **settings)
        return str(found["ListenerArn"])

    def _certificates(self, listener: str, wanted: Listener) -> None:
        if wanted.protocol != "HTTPS":
            return
        answer = self._elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
        present = {item["CertificateArn"] for item in answer if not item.get("IsDefault")}
        further = set(wanted.certificates[1:])
        if further - present:
            added = [{"CertificateArn": arn} for arn in sorted(further - present)]
            self._elb.add_listener_certificates(ListenerArn=listener, Certificates=added)
        if present - further - {wanted.certificates[0]}:
            removed = [{"CertificateArn": arn} for arn in sorted(present - further - {wanted.certificates[0]})]
            self._elb.remove_listener_certificates(ListenerArn=listener, Certificates=removed)

    def _attributes(self, listener: str, wanted: Listener) -> None:
        if not wanted.attributes:
            return
        found = self._elb.describe_listener_attributes(ListenerArn=listener)["Attributes"]
        different = _different(found, wanted.attributes)
        if different:
            self._elb.modify_listener_attributes(ListenerArn=listener, Attributes=different)

    def _rules(self, stack: Stack, listener: str, wanted: Listener, groups: Mapping[str, str]) -> None:
        answer = self._elb.describe_rules(ListenerArn=listener)["Rules"]
        found = {rule["Priority"]: rule for rule in answer if not rule["IsDefault"]}
        for rule in wanted.rules:
            self._rule(stack, listener, wanted.port, rule, found.pop(str(rule.priority), None), groups)
        for obsolete in found.values():
            self._elb.delete_rule(RuleArn=obsolete["RuleArn"])

    def _rule(
        self,
        stack: Stack,
        listener: str,
        port: int,
        wanted: Rule,
        found: Mapping[str, Any] | None,
        groups: Mapping[str, str],
    ) -> None:
        settings = {"Conditions": list(wanted.conditions), "Actions": [_action(wanted.action, groups)]}
        if found is None:
            tags = _tag_list({**stack.tags, RESOURCE_TAG: f"{port}:{wanted.priority}"})
            self._elb.create_rule(ListenerArn=listener, Priority=wanted.priority, Tags=tags, **settings)
        elif not _includes(found, settings):
            self._elb.modify_rule(RuleArn=found["RuleArn"], **settings)


def _permission(port: int, cidr: str) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}


def _action(action: Action, groups: Mapping[str, str]) -> dict[str, Any]:
    """In the words of the elbv2 API."""
    if isinstance(action, Forward):
        return {"Type": "forward", "TargetGroupArn": groups[action.target_group]}
    if isinstance(action, RedirectToHttps):
        redirect = {"Protocol": "HTTPS", "Port": str(action.port), "StatusCode": "HTTP_301"}
        return {"Type": "redirect", "RedirectConfig": redirect}
    return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"}}


def _includes(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; AWS adds defaults of its own to what it is given."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_includes(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        pairs = zip(found or (), wanted, strict=False)
        return len(found or ()) == len(wanted) and all(_includes(have, want) for have, want in pairs)
    return bool(found == wanted)


def _different(found: Iterable[Mapping[str, str]], wanted: Tags) -> list[dict[str, str]]:
    present = {attribute["Key"]: attribute["Value"] for attribute in found}
    return [{"Key": key, "Value": value} for key, value in wanted.items() if present.get(key) != value]


def _tag_list(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _batches(items: Sequence[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
