"""What IAM policies say, where all of it can be told and where not."""

from __future__ import annotations

from typing import Any

import pytest

from chaosctl.lab.aws.authorization import permitted, unrestricted
from chaosctl.lab.aws.operations import Asked, Need

KNOWN = {"aws:requestedregion": "us-west-2", "aws:securetransport": "true"}
MINE = "arn:aws:s3:::mine/a"


def said(effect: str = "Allow", **parts: Any) -> dict[str, Any]:
    return {"Statement": {"Effect": effect, "Action": "s3:Get*", "Resource": "*", **parts}}


def allows(*documents: dict[str, Any], action: str = "s3:GetObject", resource: str | None = MINE, **more: Any) -> bool:
    need = Need(action, resource)
    return permitted(documents, need, Asked((need,), KNOWN, **more))


def test_nothing_is_allowed_without_a_statement() -> None:
    assert not allows()
    assert not allows({"Statement": []})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*", True), ("s3:*", True), ("S3:getobject", True), ("s3:Get?bject", True), ("s3:Get", False), ("s4:*", False)],
)
def test_actions_have_wildcards_and_no_case(pattern: str, expected: bool) -> None:
    assert allows(said(Action=pattern)) is expected
    assert allows(said(Action=["ec2:X", pattern])) is expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [(MINE, True), ("arn:aws:s3:::mine/*", True), (["x", MINE], True), ("arn:aws:s3:::mine", False), ([], False)],
)
def test_resources_have_wildcards_too(resource: Any, expected: bool) -> None:
    assert allows(said(Resource=resource)) is expected


def test_all_but() -> None:
    but_get: dict[str, Any] = {"Statement": [{"Effect": "Allow", "NotAction": "s3:Get*", "NotResource": MINE}]}
    assert not allows(but_get, action="s3:PutObject")
    assert allows(but_get, action="s3:PutObject", resource="arn:aws:s3:::theirs/a")
    assert not allows(but_get, resource="arn:aws:s3:::theirs/a")


def test_a_denial_wins() -> None:
    assert not allows(said(), said("Deny", Action="s3:GetObject"))
    assert allows(said(), said("Deny", Action="s3:PutObject"))
    assert allows(said(), said("Deny", Resource="arn:aws:s3:::theirs/*"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-west-2"]}}, True),
        ({"StringEquals": {"AWS:requestedregion": "eu-west-1"}}, False),
        ({"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "us-west-2"]}}, False),
        ({"StringLike": {"aws:RequestedRegion": "us-*"}}, True),
        ({"StringNotLikeIfExists": {"aws:RequestedRegion": "us-*"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": False}}, False),
        ({"Null": {"aws:RequestedRegion": "true"}}, False),
        ({"StringEquals": {"aws:RequestedRegion": "us-west-2", "aws:ResourceTag/a": "b"}}, None),
        ({"IpAddress": {"aws:RequestedRegion": "us-west-2"}}, None),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, None),
        ({"StringEquals": {"aws:RequestedRegion": "${aws:x}"}}, None),
        ({"StringEquals": {"aws:ResourceTag/a": "b"}, "Bool": {"aws:SecureTransport": "false"}}, False),
    ],
)
def test_conditions_that_cannot_be_told_count_as_met(condition: Any, expected: bool | None) -> None:
    met = expected is not False
    assert allows(said(Condition=condition)) is met
    assert allows(said(), said("Deny", Condition=condition)) is not met


@pytest.mark.parametrize(
    "doubtful", [{"Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}}}, {"Resource": "${x}"}]
)
def test_where_it_is_exact_doubt_allows_nothing_and_denies(doubtful: Any) -> None:
    assert not allows(said(**doubtful), exact=True)
    assert allows(said(**doubtful))
    assert not allows(said(), said("Deny", **doubtful), exact=True)


def test_a_resource_that_cannot_be_told_counts_as_named() -> None:
    assert allows(said(Resource="arn:aws:s3:::theirs/*"), resource=None)
    assert not allows(said(), said("Deny", Resource="arn:aws:s3:::theirs/*"), resource=None)
    assert not allows(said(Resource="arn:aws:s3:::theirs/*"), resource="*")


@pytest.mark.parametrize("pattern", ["s3:*", "*"])
def test_an_operation_that_has_no_name_needs_a_right_to_all(pattern: str) -> None:
    assert allows(said(Action=pattern), action="s3:?")
    assert not allows(said(Action=["s3:Get*", "s3:List*"]), action="s3:?")
    assert not allows(said(Action=pattern), said("Deny", Action="s3:DeleteObject"), action="s3:?")


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([{"Effect": "Allow", "Action": "*", "Resource": "*"}], True),
        ([{"Sid": "All", "Effect": "Allow", "Action": ["s3:Get", "*"], "Resource": ["*"]}], True),
        ([{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::*"}], False),
        ([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}], False),
        ([{"Effect": "Allow", "NotAction": "*", "Resource": "*"}], False),
        ([{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "x:Y"}], False),
        ([], False),
    ],
)
def test_who_is_an_administrator(statements: Any, expected: bool) -> None:
    assert unrestricted([{"Statement": statements}]) is expected
