"""What plain moto 5.2.5 gets wrong. Each of these fails when its correction is not applied."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.aws.conftest import Lab, Network


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("ec2", "describe_ipam_pools", {}),
        ("waf-regional", "list_web_acls", {}),
        ("globalaccelerator", "list_accelerators", {}),
        ("eks", "describe_insight", {"id": "1", "clusterName": "x"}),
        ("sns", "get_sms_sandbox_account_status", {}),
    ],
)
def test_what_is_not_there_is_refused_at_once(lab: Lab, service: str, operation: str, arguments: Any) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(lab.client(service), operation)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_it_is_healthy(lab: Lab) -> None:
    with urllib.request.urlopen(f"{lab.url}/chaosctl/health") as answer:
        assert json.load(answer)["status"] == "ok"


def test_a_launch_template_does_not_hold_its_own_tags(lab: Lab) -> None:
    ec2 = lab.client("ec2")
    tags = [{"Key": "owner", "Value": "me"}]
    both = [{"ResourceType": kind, "Tags": tags} for kind in ("launch-template", "instance")]
    ec2.create_launch_template(
        LaunchTemplateName="mine",
        LaunchTemplateData={"TagSpecifications": both},
    )
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateName="mine")["LaunchTemplateVersions"]
    kept = [spec["ResourceType"] for spec in version["LaunchTemplateData"]["TagSpecifications"]]
    assert kept == ["instance"]


def test_a_rule_between_groups_keeps_its_description(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=network.vpc)["GroupId"]
    pair = {"GroupId": group, "Description": "among us"}
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [pair]}]
    )
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert "among us" in [rule.get("Description") for rule in rules]


def test_a_gateway_endpoint_with_added_route_tables_is_deleted(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    first, second = (ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    endpoint = ec2.create_vpc_endpoint(
        VpcId=network.vpc, ServiceName="com.amazonaws.us-west-2.s3", RouteTableIds=[first]
    )["VpcEndpoint"]["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[second])
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"] == []


def test_an_interface_gets_an_address_of_its_subnet_that_is_not_reserved(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    made = [ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"] for _ in range(2)]
    assert [eni["PrivateIpAddress"] for eni in made] == ["10.0.1.4", "10.0.1.5"]


def test_an_interface_is_found_by_its_second_address(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    eni = ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
    ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=["10.0.1.77"])
    wanted = [{"Name": "addresses.private-ip-address", "Values": ["10.0.1.77"]}]
    found = ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    assert [one["NetworkInterfaceId"] for one in found] == [eni]


def test_prefixes_are_assigned_and_given_back(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    eni = ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
    given = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4PrefixCount=1)["AssignedIpv4Prefixes"]
    assert given == [{"Ipv4Prefix": "10.0.1.224/28"}]
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4Prefixes=["10.0.1.224/28"])
    (shown,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
    assert shown.get("Ipv4Prefixes", []) == []


def test_a_subnet_can_go_when_its_instances_went(lab: Lab, network: Network) -> None:
    ec2 = lab.client("ec2")
    image = ec2.describe_images(Owners=["602401143452"])["Images"][0]["ImageId"]
    started = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=network.subnets[0])["Instances"][0]
    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_managed_policies_are_there_when_named(lab: Lab) -> None:
    iam = lab.client("iam")
    arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    iam.create_role(RoleName="cluster", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="cluster", PolicyArn=arn)
    (attached,) = iam.list_attached_role_policies(RoleName="cluster")["AttachedPolicies"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    assert attached["PolicyArn"] == arn
    assert iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]["Statement"]


def test_an_invented_managed_policy_is_not_there(lab: Lab) -> None:
    with pytest.raises(ClientError, match="NoSuchEntity"):
        lab.client("iam").get_policy(PolicyArn="arn:aws:iam::aws:policy/AmazonEKSNothing")


@pytest.fixture
def bucket(lab: Lab) -> Any:
    s3 = lab.client("s3")
    s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_bucket_versioning(Bucket="state", VersioningConfiguration={"Status": "Enabled"})
    return s3


def test_a_bucket_that_wants_tls_can_be_used(bucket: Any) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::state", "arn:aws:s3:::state/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    bucket.put_bucket_policy(Bucket="state", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    bucket.put_object(Bucket="state", Key="k", Body=b"v")
    assert bucket.get_object(Bucket="state", Key="k")["Body"].read() == b"v"


def test_other_denials_of_a_bucket_hold(bucket: Any) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::state/*"]}
    bucket.put_bucket_policy(Bucket="state", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    with pytest.raises(ClientError, match="Forbidden"):
        bucket.get_object(Bucket="state", Key="k")


def test_a_lock_is_taken_and_its_remains_are_removed(bucket: Any) -> None:
    bucket.put_object(Bucket="state", Key="lock", Body=b"me", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        bucket.put_object(Bucket="state", Key="lock", Body=b"you", IfNoneMatch="*")
    bucket.delete_object(Bucket="state", Key="lock")
    bucket.put_object(Bucket="state", Key="lock", Body=b"you", IfNoneMatch="*")
    bucket.delete_object(Bucket="state", Key="lock")
    versions = bucket.list_object_versions(Bucket="state")
    gone = [
        {"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions["Versions"] + versions["DeleteMarkers"]
    ]
    assert "Errors" not in bucket.delete_objects(Bucket="state", Delete={"Objects": gone})


def test_the_node_images_have_their_parameters(lab: Lab) -> None:
    name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/"
    ssm = lab.client("ssm")
    image = ssm.get_parameter(Name=name + "image_id")["Parameter"]["Value"]
    assert lab.client("ec2").describe_images(ImageIds=[image])["Images"][0]["Architecture"] == "x86_64"
    assert ssm.get_parameter(Name=name + "release_version")["Parameter"]["Value"].startswith("1.36.")


def test_composite_alarms_exist(lab: Lab) -> None:
    cloudwatch = lab.client("cloudwatch")
    cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("a") AND ALARM("b")')
    found = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert found[0]["AlarmRule"] == 'ALARM("a") AND ALARM("b")'


def test_budgets_keep_tags_and_subscribers(lab: Lab) -> None:
    account, name = "123456789012", "monthly"
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    subscriber = {"SubscriptionType": "EMAIL", "Address": "ops@example.com"}
    budgets = lab.client("budgets")
    limit = {"Amount": "100", "Unit": "USD"}
    budgets.create_budget(
        AccountId=account,
        Budget={"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit},
        NotificationsWithSubscribers=[{"Notification": notification, "Subscribers": [subscriber]}],
        ResourceTags=[{"Key": "a", "Value": "1"}],
    )
    arn = f"arn:aws:budgets::{account}:budget/{name}"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "a", "Value": "1"}]
    found = budgets.describe_subscribers_for_notification(AccountId=account, BudgetName=name, Notification=notification)
    assert found["Subscribers"] == [subscriber]
