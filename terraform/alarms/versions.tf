terraform {
  required_version = "~> 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Bucket, key and region come from -backend-config; terraform/bootstrap makes the bucket.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
