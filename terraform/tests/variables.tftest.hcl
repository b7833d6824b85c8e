# Every variable that has a rule refuses what breaks it. Nothing is asked of AWS. Each run breaks many rules at once,
# because a run takes a second.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  public_access_cidrs = ["203.0.113.7/32"]
}

run "words_that_are_not_names" {
  command = plan

  variables {
    region               = "Oregon"
    environment          = "Staging_1"
    cluster_name         = "-leading-dash"
    namespace            = "with.dots"
    kubernetes_version   = "1.36.3"
    az_count             = 1
    vpc_cidr             = "10.0.0.1/16"
    node_instance_types  = []
    node_min_size        = 0
    node_disk_gib        = 8
    public_access_cidrs  = []
    admin_principal_arns = ["arn:aws:sts::123456789012:assumed-role/deployer/session"]
    addon_versions       = { "aws-ebs-csi-driver" = "v1.0.0" }
    log_retention_days   = 31
    monthly_budget_usd   = 100
    certificate_domain   = "Shop"
    app_service_account  = "Web"
    app_secrets          = ["shop/*"]
  }

  expect_failures = [
    var.region,
    var.environment,
    var.cluster_name,
    var.namespace,
    var.kubernetes_version,
    var.az_count,
    var.vpc_cidr,
    var.node_instance_types,
    var.node_min_size,
    var.node_disk_gib,
    var.public_access_cidrs,
    var.admin_principal_arns,
    var.addon_versions,
    var.log_retention_days,
    var.monthly_budget_usd,
    var.certificate_domain,
    var.app_service_account,
    var.app_secrets,
  ]
}

run "values_that_are_out_of_range" {
  command = plan

  variables {
    cluster_name             = "a23456789-123456789-123456789-123456789-123456789-123456789-1234"
    az_count                 = 4
    vpc_cidr                 = "10.0.0.0/24"
    node_instance_types      = ["medium"]
    node_max_size            = 1
    node_disk_gib            = 30.5
    developer_principal_arns = ["somebody"]
    public_access_cidrs      = ["203.0.113.7/32", "0.0.0.0/0"]
    monthly_budget_usd       = 0.5
  }

  expect_failures = [
    var.cluster_name,
    var.az_count,
    var.vpc_cidr,
    var.node_instance_types,
    var.node_max_size,
    var.node_disk_gib,
    var.developer_principal_arns,
    var.public_access_cidrs,
    var.monthly_budget_usd,
  ]
}

run "values_that_contradict_each_other" {
  command = plan

  variables {
    node_desired_size        = 9
    certificate_domain       = "shop.example.com"
    hosted_zone              = "ample.com"
    vpc_cidr                 = "not-a-network"
    public_access_cidrs      = ["203.0.113.7"]
    admin_principal_arns     = ["arn:aws:iam::123456789012:role/both"]
    developer_principal_arns = ["arn:aws:iam::123456789012:role/both"]
    budget_emails            = ["nobody"]
  }

  expect_failures = [
    var.node_desired_size,
    var.hosted_zone,
    var.vpc_cidr,
    var.public_access_cidrs,
    var.developer_principal_arns,
    var.budget_emails,
  ]
}

run "subscribers_of_alarms_look_like_such" {
  command = plan

  variables {
    alarm_emails    = ["nobody"]
    alarm_endpoints = ["example.com"]
  }

  expect_failures = [var.alarm_emails, var.alarm_endpoints]
}
