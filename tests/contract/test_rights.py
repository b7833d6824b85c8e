"""docs/deployer-policy.json allows what chaosctl asks of AWS and what terraform/ makes, and fits into a policy."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

ROOT = Path(__file__).parents[2]
POLICY = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())
PREFIXES = {"elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag", "service-quotas": "servicequotas"}
ASKED_BY = {"call", "pages", "_by_call"}  # functions whose first two arguments are a service and an operation
# Of operations that have a right of another name, or need none.
OTHERS = {"s3:HeadObject": "s3:GetObject", "sts:GetCallerIdentity": None}
# kind of resource -> what its creation needs, at least
MAKES = {
    "aws_acm_certificate": "acm:RequestCertificate acm:AddTagsToCertificate",
    "aws_acm_certificate_validation": "acm:DescribeCertificate",
    "aws_budgets_budget": "budgets:ModifyBudget budgets:ViewBudget budgets:TagResource",
    "aws_cloudwatch_dashboard": "cloudwatch:PutDashboard",
    "aws_cloudwatch_log_group": "logs:CreateLogGroup logs:PutRetentionPolicy logs:AssociateKmsKey logs:TagResource",
    "aws_cloudwatch_metric_alarm": "cloudwatch:PutMetricAlarm cloudwatch:TagResource",
    "aws_default_security_group": "ec2:RevokeSecurityGroupIngress ec2:RevokeSecurityGroupEgress ec2:CreateTags",
    "aws_eip": "ec2:AllocateAddress ec2:ReleaseAddress",
    "aws_eks_access_entry": "eks:CreateAccessEntry eks:DeleteAccessEntry",
    "aws_eks_access_policy_association": "eks:AssociateAccessPolicy eks:DisassociateAccessPolicy",
    "aws_eks_addon": "eks:CreateAddon eks:UpdateAddon eks:DeleteAddon iam:PassRole",
    "aws_eks_cluster": "eks:CreateCluster eks:UpdateClusterVersion eks:TagResource iam:PassRole kms:CreateGrant "
    "iam:CreateServiceLinkedRole",
    "aws_eks_node_group": "eks:CreateNodegroup eks:UpdateNodegroupVersion ec2:RunInstances iam:PassRole",
    "aws_eks_pod_identity_association": "eks:CreatePodIdentityAssociation iam:PassRole",
    "aws_flow_log": "ec2:CreateFlowLogs ec2:DeleteFlowLogs iam:PassRole",
    "aws_iam_role": "iam:CreateRole iam:TagRole iam:UpdateAssumeRolePolicy",
    "aws_iam_role_policy": "iam:PutRolePolicy iam:DeleteRolePolicy",
    "aws_iam_role_policy_attachment": "iam:AttachRolePolicy iam:DetachRolePolicy",
    "aws_internet_gateway": "ec2:CreateInternetGateway ec2:AttachInternetGateway",
    "aws_kms_alias": "kms:CreateAlias kms:DeleteAlias",
    "aws_kms_key": "kms:CreateKey kms:EnableKeyRotation kms:PutKeyPolicy kms:TagResource",
    "aws_launch_template": "ec2:CreateLaunchTemplate ec2:CreateLaunchTemplateVersion ec2:ModifyLaunchTemplate",
    "aws_nat_gateway": "ec2:CreateNatGateway ec2:DeleteNatGateway",
    "aws_route": "ec2:CreateRoute ec2:ReplaceRoute ec2:DeleteRoute",
    "aws_route53_record": "route53:ChangeResourceRecordSets route53:GetChange",
    "aws_route_table": "ec2:CreateRouteTable ec2:DeleteRouteTable",
    "aws_route_table_association": "ec2:AssociateRouteTable ec2:DisassociateRouteTable",
    "aws_s3_bucket": "s3:CreateBucket s3:PutLifecycleConfiguration s3:PutBucketTagging",
    "aws_s3_bucket_ownership_controls": "s3:PutBucketOwnershipControls",
    "aws_s3_bucket_policy": "s3:PutBucketPolicy",
    "aws_s3_bucket_public_access_block": "s3:PutBucketPublicAccessBlock",
    "aws_s3_bucket_server_side_encryption_configuration": "s3:PutEncryptionConfiguration",
    "aws_s3_bucket_versioning": "s3:PutBucketVersioning",
    "aws_s3_object": "s3:PutObject s3:PutObjectTagging",
    "aws_sns_topic": "sns:CreateTopic sns:SetTopicAttributes sns:TagResource",
    "aws_sns_topic_policy": "sns:SetTopicAttributes",
    "aws_sns_topic_subscription": "sns:Subscribe sns:Unsubscribe",
    "aws_subnet": "ec2:CreateSubnet ec2:ModifySubnetAttribute",
    "aws_vpc": "ec2:CreateVpc ec2:ModifyVpcAttribute",
    "aws_vpc_endpoint": "ec2:CreateVpcEndpoint ec2:ModifyVpcEndpoint ec2:DeleteVpcEndpoints",
}


def patterns() -> list[str]:
    told = [statement["Action"] for statement in POLICY["Statement"] if statement["Effect"] == "Allow"]
    return [pattern for each in told for pattern in ([each] if isinstance(each, str) else each)]


def refused(actions: set[str]) -> list[str]:
    return sorted(action for action in actions if not any(fnmatchcase(action, pattern) for pattern in patterns()))


@cache
def operations(service: str) -> dict[str, str]:
    """Names in the API by those in Python."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


def asked() -> Iterator[str]:
    """Every operation that the source names, the lab's own AWS apart."""
    for path in (ROOT / "chaosctl").rglob("*.py"):
        if (ROOT / "chaosctl" / "lab") in path.parents:
            continue
        tree = ast.parse(path.read_text())
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            words = [a.value for a in call.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if name in ASKED_BY and len(words) == 2 and not words[1].startswith("/"):
                yield f"{PREFIXES.get(words[0], words[0])}:{operations(words[0])[words[1]]}"
        if path.name in ("existing.py", "inventory.py"):  # these have tables of operations of EC2
            texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            yield from (f"ec2:{operations('ec2')[text]}" for text in texts if text in operations("ec2"))


def test_what_chaosctl_asks_is_allowed() -> None:
    wanted = {right for action in asked() if (right := OTHERS.get(action, action))}
    assert {"ec2:DescribeSubnets", "eks:UpdateNodegroupConfig", "servicequotas:GetServiceQuota"} <= wanted
    assert refused(wanted) == []


def test_what_terraform_makes_is_allowed() -> None:
    texts = "\n".join(path.read_text() for path in (ROOT / "terraform").rglob("*.tf"))
    kinds = set(re.findall(r'^resource "(\w+)"', texts, re.MULTILINE))
    assert kinds == set(MAKES), "say here what a new kind of resource needs"
    assert refused({action for kind in kinds for action in MAKES[kind].split()}) == []


@pytest.mark.parametrize("action", ["ec2:*", "iam:CreateUser", "s3:DeleteBucket", "secretsmanager:GetSecretValue"])
def test_what_is_not_needed_is_not_allowed(action: str) -> None:
    assert refused({action}) == [action]


def test_it_fits_into_a_managed_policy() -> None:
    assert len(re.sub(r"\s", "", json.dumps(POLICY))) < 6144, "IAM's limit, without white space"


def test_the_controllers_own_rights_are_not_the_deployers() -> None:
    """It makes load balancers; whoever deploys only removes what it left."""
    assert refused({"elasticloadbalancing:CreateLoadBalancer"})
