# The bucket that holds the state of every environment of an account and region.
#
# Its own state is not kept: everything here is either a PUT that S3 accepts again and again, or the bucket, which is
# adopted when it exists. So a run on any machine, also after one that was killed, ends with the same bucket. The last
# thing written is a mark that says with which version of these files the bucket is complete; whoever finds that mark
# need not run this at all.

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      "chaosctl:managed-by" = "terraform"
      "chaosctl:purpose"    = "terraform-state"
    }
  }
}

import {
  for_each = var.adopt ? toset([var.bucket]) : toset([])
  to       = aws_s3_bucket.state
  id       = each.value
}

resource "aws_s3_bucket" "state" {
  bucket = var.bucket

  # The deprecated place for it on purpose: the provider watches an aws_s3_bucket_lifecycle_configuration for most of a
  # minute before it believes in it.
  lifecycle_rule {
    id                                     = "old-states"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 7

    noncurrent_version_expiration {
      days = var.keep_old_states_days
    }

    # Every lock that is released leaves one behind.
    expiration {
      expired_object_delete_marker = true
    }
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket = aws_s3_bucket.state.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.state]
}

resource "aws_s3_object" "complete" {
  bucket       = aws_s3_bucket.state.id
  key          = var.mark
  content      = var.digest
  content_type = "text/plain"

  depends_on = [
    aws_s3_bucket_ownership_controls.state,
    aws_s3_bucket_policy.state,
    aws_s3_bucket_server_side_encryption_configuration.state,
    aws_s3_bucket_versioning.state,
  ]
}
