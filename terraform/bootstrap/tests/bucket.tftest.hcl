# The bucket of the Terraform state. Nothing is asked of AWS.

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::chaosctl-state-test", id = "chaosctl-state-test" }
  }
}

variables {
  region = "us-west-2"
  bucket = "chaosctl-state-test"
}

run "private_versioned_encrypted" {
  assert {
    condition = (
      aws_s3_bucket_public_access_block.state.block_public_acls &&
      aws_s3_bucket_public_access_block.state.block_public_policy &&
      aws_s3_bucket_public_access_block.state.ignore_public_acls &&
      aws_s3_bucket_public_access_block.state.restrict_public_buckets
    )
    error_message = "Nothing in the bucket can become public."
  }

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "A state that was overwritten can be had back."
  }

  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.state.rule :
      rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    ])
    error_message = "The state is encrypted."
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.state.policy).Statement[0] == {
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::chaosctl-state-test", "arn:aws:s3:::chaosctl-state-test/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
    error_message = "The bucket is reached over TLS only."
  }
}

run "bucket_names_follow_the_rules" {
  command = plan

  variables {
    bucket = "Upper_Case"
  }

  expect_failures = [var.bucket]
}

run "regions_look_like_regions" {
  command = plan

  variables {
    region = "Oregon"
  }

  expect_failures = [var.region]
}

run "old_states_are_kept_for_a_while" {
  command = plan

  variables {
    keep_old_states_days = 0
  }

  expect_failures = [var.keep_old_states_days]
}
