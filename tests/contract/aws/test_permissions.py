"""What the policies of a principal allow, and nothing else."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore import xform_name
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import get_session

import chaosctl.lab.standins.controller as controller_package
from tests.contract.aws.conftest import OWN_TRUST, REGION, Lab, MakeCluster

ALLOWED, DENIED = "Allow", "Deny"
Actor = Callable[..., Any]  # a client of a service
POLICY = Path(__file__).parents[3] / "terraform" / "policies" / "load-balancer-controller.json.tftpl"


def statement(effect: str, action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def acting(lab: Lab) -> Callable[..., Actor]:
    """A session of a role with these statements as its policy: `acting(statement(...))("iam").list_users()`."""

    def act(*statements: dict[str, Any], text: str = "") -> Actor:
        granted = session(lab, text or document(*statements))
        key = {
            "aws_access_key_id": granted["AccessKeyId"],
            "aws_secret_access_key": granted["SecretAccessKey"],
            "aws_session_token": granted["SessionToken"],
        }
        return lambda service, **options: lab.client(service, **key, **options)

    return act


def session(lab: Lab, policy: str = "", name: str = "worker") -> Any:
    iam = lab.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(OWN_TRUST))["Role"]["Arn"]
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="its", PolicyDocument=policy)
    return lab.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]


# One operation of each protocol, the right that it takes, and how a denial is called.
RIGHTS = [
    ("iam", "list_users", {}, "iam:ListUsers", "AccessDenied"),
    ("ec2", "describe_vpcs", {}, "ec2:DescribeVpcs", "UnauthorizedOperation"),
    ("elbv2", "describe_load_balancers", {}, "elasticloadbalancing:DescribeLoadBalancers", "AccessDenied"),
    ("logs", "describe_log_groups", {}, "logs:DescribeLogGroups", "AccessDeniedException"),
    ("eks", "list_clusters", {}, "eks:ListClusters", "AccessDeniedException"),
    ("eks", "describe_cluster", {"name": "demo"}, "eks:DescribeCluster", "AccessDeniedException"),
    ("cloudwatch", "describe_alarms", {}, "cloudwatch:DescribeAlarms", "AccessDeniedException"),
    ("resourcegroupstaggingapi", "get_resources", {}, "tag:GetResources", "AccessDeniedException"),
    ("s3", "list_buckets", {}, "s3:ListAllMyBuckets", "AccessDenied"),
]


@pytest.mark.parametrize(("service", "operation", "arguments", "action", "code"), RIGHTS)
def test_a_right_is_needed_and_is_enough(
    lab: Lab,
    acting: Callable[..., Actor],
    make_cluster: MakeCluster,
    service: str,
    operation: str,
    arguments: Any,
    action: str,
    code: str,
) -> None:
    make_cluster()
    call = getattr(acting(statement(ALLOWED, "sts:Nothing"))(service), operation)
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    said = f"assumed-role/worker/me is not authorized to perform: {action}"
    assert said in error.value.response["Error"]["Message"]
    assert f"because no identity-based policy allows the {action} action" in error.value.response["Error"]["Message"]

    policy = document(statement(ALLOWED, action))
    lab.client("iam").put_role_policy(RoleName="worker", PolicyName="its", PolicyDocument=policy)
    call(**arguments)


def test_whoever_has_no_rights_may_still_ask_who_he_is(acting: Callable[..., Actor]) -> None:
    assert acting(statement(DENIED, "*"))("sts").get_caller_identity()["Arn"].endswith("/worker/me")


def test_a_denial_wins_even_over_an_administrators_rights(lab: Lab, acting: Callable[..., Actor]) -> None:
    iam = acting(statement(ALLOWED, "*"), statement(DENIED, ["iam:Create*"]))("iam")
    iam.list_users()
    with pytest.raises(ClientError, match="explicit deny") as error:
        iam.create_access_key(UserName="chaosctl-operator")
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_all_but_some_actions(acting: Callable[..., Actor]) -> None:
    iam = acting({"Effect": "Allow", "NotAction": ["iam:List*"], "Resource": "*"})("iam")
    iam.get_user(UserName="chaosctl-operator")
    with pytest.raises(ClientError, match="iam:ListUsers"):
        iam.list_users()


def test_a_condition_that_is_known_counts(acting: Callable[..., Actor]) -> None:
    there = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        acting(statement(ALLOWED, "ec2:*", Condition=there))("ec2").describe_vpcs()


def test_a_user_has_the_rights_of_its_groups(lab: Lab) -> None:
    iam = lab.client("iam")
    iam.create_user(UserName="alice")
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    hers = lab.client("iam", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    with pytest.raises(ClientError, match="AccessDenied"):
        hers.list_users()
    iam.add_user_to_group(GroupName="readers", UserName="alice")
    hers.list_users()
    with pytest.raises(ClientError, match="AccessDenied"):
        hers.create_user(UserName="bob")


def test_the_rights_go_with_the_role(lab: Lab, acting: Callable[..., Actor]) -> None:
    iam = acting(statement(ALLOWED, "iam:*"))("iam")
    iam.list_users()
    lab.client("iam").delete_role_policy(RoleName="worker", PolicyName="its")
    lab.client("iam").delete_role(RoleName="worker")
    with pytest.raises(ClientError, match="AccessDenied"):
        iam.list_users()


@pytest.mark.parametrize("trusted", [True, False])
def test_a_role_is_assumed_by_whom_it_trusts(lab: Lab, acting: Callable[..., Actor], trusted: bool) -> None:
    sts = acting(statement(ALLOWED, "sts:AssumeRole", "arn:aws:iam::123456789012:role/wanted"))("sts")
    for name in ("wanted", "other"):
        trust = OWN_TRUST if trusted else json.loads(json.dumps(OWN_TRUST).replace("123456789012", "210987654321"))
        lab.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))

    def assume(name: str) -> None:
        sts.assume_role(RoleArn=f"arn:aws:iam::123456789012:role/{name}", RoleSessionName="xx")

    with pytest.raises(ClientError, match="AccessDenied"):
        assume("other")
    if trusted:
        assume("wanted")
        return
    with pytest.raises(ClientError, match="AccessDenied"):
        assume("wanted")


# --- S3


@pytest.fixture
def bucket(lab: Lab) -> str:
    for name in ("mine", "theirs"):
        lab.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        lab.client("s3").put_object(Bucket=name, Key="a/b c", Body=b"content")
    return "mine"


def test_buckets_and_objects_are_told_apart(acting: Callable[..., Actor], bucket: str) -> None:
    s3 = acting(
        statement(ALLOWED, "s3:ListBucket", "arn:aws:s3:::mine"),
        statement(ALLOWED, "s3:GetObject", "arn:aws:s3:::mine/a/*"),
    )("s3")
    assert s3.list_objects_v2(Bucket="mine")["KeyCount"] == 1
    assert s3.get_object(Bucket="mine", Key="a/b c")["Body"].read() == b"content"
    s3.head_object(Bucket="mine", Key="a/b c")
    for call, arguments in (
        (s3.list_objects_v2, {"Bucket": "theirs"}),
        (s3.get_object, {"Bucket": "theirs", "Key": "a/b c"}),
        (s3.get_object, {"Bucket": "mine", "Key": "other"}),
        (s3.get_object_acl, {"Bucket": "mine", "Key": "a/b c"}),
        (s3.put_object, {"Bucket": "mine", "Key": "a/b c", "Body": b""}),
        (s3.delete_object, {"Bucket": "mine", "Key": "a/b c"}),
        (s3.get_bucket_policy, {"Bucket": "mine"}),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call(**arguments)


def test_a_presigned_request_does_what_its_signer_may(acting: Callable[..., Actor], bucket: str) -> None:
    signing = Config(signature_version="s3v4")
    s3 = acting(statement(ALLOWED, "s3:GetObject", "arn:aws:s3:::mine/*"))("s3", config=signing)
    mine, theirs = (
        s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "a/b c"}) for name in ("mine", "theirs")
    )
    with urllib.request.urlopen(mine) as answer:
        assert answer.read() == b"content"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(theirs)


def test_who_copies_has_to_be_allowed_to_read(acting: Callable[..., Actor], bucket: str) -> None:
    s3 = acting(
        statement(ALLOWED, "s3:PutObject", "arn:aws:s3:::mine/*"),
        statement(ALLOWED, "s3:GetObject", "arn:aws:s3:::mine/a/*"),
    )("s3")
    s3.copy_object(Bucket="mine", Key="copy", CopySource={"Bucket": "mine", "Key": "a/b c"})
    with pytest.raises(ClientError, match=r"s3:GetObject on resource: arn:aws:s3:::theirs/a/b c"):
        s3.copy_object(Bucket="mine", Key="copy", CopySource={"Bucket": "theirs", "Key": "a/b c"})


def test_who_deletes_many_has_to_be_allowed_to_delete_any(acting: Callable[..., Actor], bucket: str) -> None:
    many = {"Objects": [{"Key": "a/b c"}]}
    s3 = acting(
        statement(ALLOWED, "s3:DeleteObject", "arn:aws:s3:::mine/*"),
        statement(ALLOWED, "s3:DeleteObject", "arn:aws:s3:::theirs/other"),
    )("s3")
    assert s3.delete_objects(Bucket="mine", Delete=many)["Deleted"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_objects(Bucket="theirs", Delete=many)


def test_two_operations_on_an_object_in_one_request_are_neither(lab: Lab, bucket: str) -> None:
    granted = session(lab, document(statement(ALLOWED, ["s3:PutObject", "s3:PutObjectTagging"])))
    said = ask(lab, granted, "s3", "/mine/a?acl&tagging", b"", {"X-Amz-Acl": "public-read"})
    assert "not authorized to perform: s3:?" in said


# --- requests that say one thing and mean another


def ask(lab: Lab, granted: Any, service: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    request = AWSRequest("POST", lab.url + path, headers, body)
    key = Credentials(granted["AccessKeyId"], granted["SecretAccessKey"], granted["SessionToken"])
    SigV4Auth(key, service, REGION).add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(str(request.url), body, dict(request.headers))) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode(errors="replace"))


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MADE = b"Action=CreateUser&UserName=eve&Version=2010-05-08"


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/?Action=ListUsers", MADE, FORM),
        ("/?Action=CreateUser&UserName=eve", b"Action=ListUsers", FORM),
        ("/", b"Action=ListUsers&" + MADE, FORM),
        ("/", MADE, {**FORM, "X-Amz-Target": "IAM.ListUsers"}),
        ("/?Action=CreateUser&UserName=eve", b"", {"X-Amz-Target": "IAM.ListUsers"}),
        ("/", MADE, {**FORM, "Action": "ListUsers"}),
        ("/", MADE, {"Content-Type": "text/plain", "Action": "ListUsers"}),
        ("/service/IAM/operation/ListUsers", MADE, FORM),
    ],
)
def test_a_request_does_what_it_was_permitted_for(lab: Lab, path: str, body: bytes, headers: dict[str, str]) -> None:
    granted = session(lab, document(statement(ALLOWED, "iam:ListUsers")))
    ask(lab, granted, "iam", path, body, headers)
    assert [user["UserName"] for user in lab.client("iam").list_users()["Users"]] == ["chaosctl-operator"]


def test_a_role_that_is_named_twice_is_not_assumed(lab: Lab) -> None:
    mine, theirs = (f"arn:aws:iam::123456789012:role/{name}" for name in ("mine", "theirs"))
    for name in ("mine", "theirs"):
        lab.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(OWN_TRUST))
    granted = session(lab, document(statement(ALLOWED, "sts:AssumeRole", mine)))
    asked = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me&RoleArn="
    assert "AccessDenied" in ask(
        lab, granted, "sts", f"/?RoleArn={quote(mine, safe='')}", f"{asked}{theirs}".encode(), FORM
    )
    assert "<AccessKeyId>" in ask(lab, granted, "sts", "/", f"{asked}{mine}".encode(), FORM)


@pytest.mark.parametrize(
    ("path", "more"), [("/?SecretId=theirs", ""), ("/", "&SecretId=theirs&"), ("/", ""), ("/?SecretId=mine", "")]
)
def test_a_secret_that_is_named_elsewhere_is_not_read(lab: Lab, path: str, more: str) -> None:
    secrets = lab.client("secretsmanager")
    arn = secrets.create_secret(Name="mine", SecretString="my own")["ARN"]
    secrets.create_secret(Name="theirs", SecretString="hidden")
    granted = session(lab, document(statement(ALLOWED, "secretsmanager:GetSecretValue", arn)))
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    said = ask(lab, granted, "secretsmanager", path, json.dumps({"SecretId": "mine", "x": more}).encode(), headers)
    assert "hidden" not in said
    assert ("my own" in said) is (path == "/" and not more)


def test_a_right_to_one_service_is_none_to_another(lab: Lab) -> None:
    lab.client("logs").create_log_group(logGroupName="group")
    granted = session(lab, document(statement(ALLOWED, ["secretsmanager:*", "s3:*"])))
    for service in ("secretsmanager", "s3"):
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328.DescribeLogStreams"}
        assert "logStreams" not in ask(lab, granted, service, "/", b'{"logGroupName": "group"}', headers)


def test_what_is_denied_is_not_done_under_another_name(lab: Lab) -> None:
    granted = session(lab, document(statement(ALLOWED, "*"), statement(DENIED, "iam:CreateUser")))
    for name in ("CreateUser", "create_user", "createUser", "CREATEUser", "Create-User"):
        ask(lab, granted, "iam", "/", f"Action={name}&UserName=eve".encode(), FORM)
    assert [user["UserName"] for user in lab.client("iam").list_users()["Users"]] == ["chaosctl-operator"]


@pytest.mark.parametrize("where", ["path", "body", "header"])
def test_so_does_one_to_a_service_with_paths(lab: Lab, make_cluster: MakeCluster, where: str) -> None:
    make_cluster()
    granted = session(lab, document(statement(ALLOWED, "eks:CreateAccessEntry")))
    path, action = "/clusters/demo/access-entries", "DeleteCluster"
    ask(
        lab,
        granted,
        "eks",
        f"{path}?Action={action}" if where == "path" else path,
        f"x&Action={action}".encode() if where == "body" else b"{}",
        {"X-Amz-Target": f"EKS.{action}"} if where == "header" else {"Content-Type": "application/json"},
    )
    assert lab.client("eks").list_clusters()["clusters"] == ["demo"]


# --- the controller's policy


@pytest.fixture
def controller(acting: Callable[..., Actor]) -> Actor:
    values = {"partition": "aws", "region": REGION, "account_id": "123456789012", "cluster_name": "demo"}
    return acting(text=re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], POLICY.read_text()))


def test_the_controllers_role_makes_a_load_balancer_and_no_more(lab: Lab, network: Any, controller: Actor) -> None:
    tags = [{"Key": "elbv2.k8s.aws/cluster", "Value": "demo"}]
    group = controller("ec2").create_security_group(
        GroupName="k8s",
        Description="x",
        VpcId=network.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    elbv2 = controller("elbv2")
    balancer = elbv2.create_load_balancer(Name="one", Subnets=network.subnets, SecurityGroups=[group], Tags=tags)
    elbv2.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"])
    for service, operation, arguments in (
        ("iam", "create_access_key", {"UserName": "chaosctl-operator"}),
        ("eks", "create_access_entry", {"clusterName": "demo", "principalArn": "arn:aws:iam::123456789012:role/x"}),
        ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}),
        ("sts", "assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/worker", "RoleSessionName": "xx"}),
    ):
        with pytest.raises(ClientError, match=r"AccessDenied|UnauthorizedOperation"):
            getattr(controller(service), operation)(**arguments)


@pytest.mark.parametrize("right", [["AddTags"], []])
def test_who_makes_something_with_tags_has_to_be_allowed_to_tag(
    lab: Lab, network: Any, acting: Callable[..., Actor], right: list[str]
) -> None:
    actions = [f"elasticloadbalancing:{name}" for name in ["CreateTargetGroup", *right]]
    elbv2 = acting(statement(ALLOWED, actions))("elbv2")
    given = {"Name": "a", "Protocol": "HTTP", "Port": 80, "VpcId": network.vpc}
    if right:
        elbv2.create_target_group(**given, Tags=[{"Key": "a", "Value": "b"}])
        return
    elbv2.create_target_group(**given)
    with pytest.raises(ClientError, match="elasticloadbalancing:AddTags"):
        elbv2.create_target_group(**given, Tags=[{"Key": "a", "Value": "b"}])


def test_the_policy_has_all_that_the_stand_in_asks_for() -> None:
    """What it asks seldom, no test of a lab would see refused."""
    operations = {
        xform_name(name): f"{prefix}:{name}"
        for service, prefix in (("ec2", "ec2"), ("elbv2", "elasticloadbalancing"))
        for name in get_session().get_service_model(service).operation_names
    }
    source = "".join(file.read_text() for file in Path(controller_package.__path__[0]).glob("*.py"))
    asked = set(re.findall(r"self\._(?:elb|ec2)\.(?:get_paginator\(\")?(\w+)", source))
    assert len(asked) > 25
    policy = POLICY.read_text()
    assert [operations[name] for name in sorted(asked) if f'"{operations[name]}"' not in policy] == []
