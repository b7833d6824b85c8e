data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# The role behind an assumed-role session: access entries are made for roles, not for sessions.
data "aws_iam_session_context" "current" {
  arn = data.aws_caller_identity.current.arn
}

data "aws_availability_zones" "available" {
  state = "available"

  # Local zones and Wavelength zones cannot hold an EKS control plane.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  zones      = slice(data.aws_availability_zones.available.names, 0, var.az_count)

  # IAM is global and limits a name prefix to 38 characters: the same cluster name in two regions must not collide.
  role_prefix = substr(var.cluster_name, 0, 24)
}
