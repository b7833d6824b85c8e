"""What the Go SDK signs, and how: Terraform's S3 backend with its lock, and the AWS provider in each protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from chaosctl import places
from chaosctl.adapters import process
from chaosctl.config import ToolboxSettings
from chaosctl.events import ignore
from chaosctl.toolbox import Toolbox, providers
from tests.contract.aws.conftest import OWN_TRUST, REGION, Lab, MakeCluster

ODD = "a b+c/ü?x"  # S3 escapes a path once, all others twice
MODULE = f"""
terraform {{
  required_providers {{
    aws = {{ source = "hashicorp/aws" }}
  }}
  backend "s3" {{
    bucket       = "states"
    key          = "odd name+/terraform.tfstate"
    region       = "{REGION}"
    use_lockfile = true
    encrypt      = true
  }}
}}
resource "aws_s3_object" "rest_xml" {{
  bucket  = "states"
  key     = "{ODD}"
  content = "content"
  tags    = {{ "a b" = "c+d/e" }}
}}
resource "aws_iam_role" "query" {{
  name               = "made"
  assume_role_policy = jsonencode({json.dumps(OWN_TRUST)})
}}
resource "aws_security_group" "ec2" {{
  name   = "made"
  vpc_id = "VPC"
  tags   = {{ "a b" = "c+d/e" }}
}}
resource "aws_cloudwatch_log_group" "json" {{
  name = "/made/a.b"
}}
resource "aws_cloudwatch_metric_alarm" "cbor" {{
  alarm_name          = "made"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "RequestCount"
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanThreshold"
}}
resource "aws_eks_access_entry" "rest_json" {{
  cluster_name  = "demo"
  principal_arn = aws_iam_role.query.arn
  tags          = {{ "a b" = "c+d/e" }}
}}
"""


@pytest.fixture
def env(lab: Lab, tmp_path: Path) -> Mapping[str, str]:
    return {
        "TF_CLI_CONFIG_FILE": str(providers.cli_config(tmp_path)),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "AWS_ENDPOINT_URL": lab.url,
        "AWS_ACCESS_KEY_ID": lab.key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": lab.key["SecretAccessKey"],
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_terraform_applies_and_destroys(
    lab: Lab, make_cluster: MakeCluster, env: Mapping[str, str], tmp_path: Path
) -> None:
    s3, vpc = lab.client("s3"), make_cluster()["resourcesVpcConfig"]["vpcId"]
    s3.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
    (tmp_path / "main.tf").write_text(MODULE.replace("VPC", vpc))
    program = Toolbox(places.cache_dir(), ToolboxSettings(), ignore).ensure("terraform")["terraform"]

    def terraform(*words: str) -> None:
        process.run([program, *words, "-input=false"], cwd=tmp_path, env=env)

    terraform("init")
    terraform("apply", "-auto-approve")
    assert s3.get_object(Bucket="states", Key=ODD)["Body"].read() == b"content"
    assert lab.client("eks").list_access_entries(clusterName="demo")["accessEntries"]
    terraform("destroy", "-auto-approve")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="states")["Contents"]] == ["odd name+/terraform.tfstate"]
