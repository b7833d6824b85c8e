# What a plan with default and with other values contains. Nothing is asked of AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  public_access_cidrs = ["203.0.113.7/32"]
}

run "alarms_can_be_told" {
  variables {
    alarm_emails    = ["oncall@example.com"]
    alarm_endpoints = ["https://example.com/alarms?token=t0ken"]
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.alarms.arn
    error_message = "Messages are encrypted with a key of our own."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_kms_key.alarms.policy).Statement :
      statement.Principal == { Service = "cloudwatch.amazonaws.com" } && contains(flatten([statement.Action]), "kms:Decrypt")
    ])
    error_message = "CloudWatch may not use the key: no alarm would be delivered."
  }

  assert {
    condition = (
      aws_sns_topic_subscription.email["oncall@example.com"].protocol == "email" &&
      aws_sns_topic_subscription.endpoint[substr(sha256("https://example.com/alarms?token=t0ken"), 0, 12)].protocol == "https"
    )
    error_message = "Subscribers differ from the variables."
  }
}

run "defaults" {
  assert {
    condition     = aws_eks_cluster.main.name == "chaotic-backend-cluster" && aws_eks_cluster.main.version == "1.36"
    error_message = "The default cluster is not the one that is documented."
  }

  assert {
    condition = (
      aws_eks_cluster.main.access_config[0].authentication_mode == "API" &&
      !aws_eks_cluster.main.access_config[0].bootstrap_cluster_creator_admin_permissions &&
      !aws_eks_cluster.main.bootstrap_self_managed_addons
    )
    error_message = "Access goes through access entries only, add-ons are managed."
  }

  assert {
    condition = (
      aws_eks_cluster.main.vpc_config[0].endpoint_private_access &&
      aws_eks_cluster.main.vpc_config[0].public_access_cidrs == toset(["203.0.113.7/32"])
    )
    error_message = "The private endpoint is on, the public one limited."
  }

  assert {
    condition = (
      aws_eks_cluster.main.enabled_cluster_log_types == toset(["api", "audit", "authenticator"]) &&
      aws_eks_cluster.main.upgrade_policy[0].support_type == "STANDARD" &&
      aws_eks_cluster.main.encryption_config[0].resources == toset(["secrets"])
    )
    error_message = "Logs, support type or encryption of the cluster differ."
  }

  assert {
    condition     = keys(aws_eks_access_entry.admin) == ["arn:aws:iam::123456789012:role/deployer"]
    error_message = "Whoever runs Terraform is the administrator by default."
  }

  assert {
    condition     = length(aws_subnet.public) == 2 && length(aws_subnet.private) == 2 && length(aws_nat_gateway.main) == 1
    error_message = "Two zones and one NAT gateway by default."
  }

  assert {
    condition     = length(aws_budgets_budget.monthly) == 0
    error_message = "No budget unless somebody asks for one."
  }

  assert {
    condition = (
      alltrue([for subnet in aws_subnet.public : subnet.tags["kubernetes.io/role/elb"] == "1"]) &&
      alltrue([for subnet in aws_subnet.private : subnet.tags["kubernetes.io/role/internal-elb"] == "1"])
    )
    error_message = "The load balancer controller finds subnets by these tags."
  }

  assert {
    condition = (
      aws_launch_template.nodes.metadata_options[0].http_tokens == "required" &&
      aws_launch_template.nodes.metadata_options[0].http_put_response_hop_limit == 1 &&
      aws_launch_template.nodes.block_device_mappings[0].ebs[0].encrypted == "true" &&
      aws_launch_template.nodes.block_device_mappings[0].ebs[0].volume_type == "gp3"
    )
    error_message = "Nodes need IMDSv2 at hop limit 1 and encrypted gp3 disks."
  }

  assert {
    condition = (
      aws_eks_node_group.main.instance_types == tolist(["t3.medium"]) &&
      aws_eks_node_group.main.scaling_config[0].min_size == 2 &&
      aws_eks_node_group.main.scaling_config[0].max_size == 4 &&
      aws_eks_node_group.main.scaling_config[0].desired_size == 2
    )
    error_message = "Two to four t3.medium by default."
  }

  assert {
    condition = (
      jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values).env.ENABLE_PREFIX_DELEGATION == "true" &&
      length(aws_eks_addon.before_nodes["vpc-cni"].pod_identity_association) == 1 &&
      !contains(keys(aws_iam_role_policy_attachment.node), "AmazonEKS_CNI_Policy")
    )
    error_message = "The network plugin has prefix delegation and its own role, the nodes do not have its permissions."
  }

  assert {
    condition = toset(concat(keys(aws_eks_addon.before_nodes), keys(aws_eks_addon.on_nodes))) == toset([
      "amazon-cloudwatch-observability", "coredns", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni",
    ])
    error_message = "An add-on is missing or too many."
  }

  assert {
    condition = !can(regex(
      "application_signals",
      jsonencode(jsondecode(aws_eks_addon.on_nodes["amazon-cloudwatch-observability"].configuration_values).agent)
    ))
    error_message = "Application Signals are billed, and off."
  }

  assert {
    condition = alltrue([
      for group in concat(
        [aws_cloudwatch_log_group.control_plane, aws_cloudwatch_log_group.flow],
        values(aws_cloudwatch_log_group.containers)
      ) : group.retention_in_days == 30
    ])
    error_message = "No log is kept for ever."
  }

  assert {
    condition = alltrue([
      for group in concat([aws_cloudwatch_log_group.flow], values(aws_cloudwatch_log_group.containers)) :
      group.kms_key_id == aws_kms_key.logs.arn
    ])
    error_message = "What containers and the network say is encrypted with a key of our own."
  }

  assert {
    condition = (
      aws_kms_key.logs.enable_key_rotation &&
      jsondecode(aws_kms_key.logs.policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] == [
        "arn:aws:logs:us-west-2:123456789012:log-group:/aws/containerinsights/chaotic-backend-cluster/*",
        "arn:aws:logs:us-west-2:123456789012:log-group:/aws/vpc/chaotic-backend-cluster/*",
      ]
    )
    error_message = "The key rotates, and serves the log groups of this cluster only."
  }

  assert {
    condition     = aws_cloudwatch_log_group.control_plane.name == "/aws/eks/chaotic-backend-cluster/cluster"
    error_message = "EKS writes into the log group of this name, and makes one without retention when it is not there."
  }

  assert {
    condition = alltrue([
      for role in aws_iam_role.pod : jsondecode(role.assume_role_policy).Statement[0] == {
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
      }
    ])
    error_message = "Roles of pods are assumed by EKS Pod Identity and nobody else."
  }

  assert {
    condition = (
      output.load_balancer_controller_service_account == "aws-load-balancer-controller" &&
      aws_eks_pod_identity_association.load_balancer_controller.namespace == "kube-system"
    )
    error_message = "The controller's chart expects this service account."
  }
}

run "controller_policy" {
  command = plan

  assert {
    # 10,240 characters without white space is what IAM allows for all inline policies of a role.
    condition     = length(jsonencode(jsondecode(aws_iam_role_policy.load_balancer_controller.policy))) < 10240
    error_message = "The controller's policy is too large for IAM."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.load_balancer_controller.policy).Statement :
      statement.Resource != "*" || can(statement.Condition) || statement.Sid == "Look"
    ])
    error_message = "What changes something is limited by resource or by condition."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.load_balancer_controller.policy).Statement :
      alltrue([for action in statement.Action : can(regex(":(Describe|Get|List)", action))]) if statement.Sid == "Look"
    ])
    error_message = "The statement without limits may only read."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.load_balancer_controller.policy).Statement :
      alltrue([for action in statement.Action : !strcontains(action, "*")])
    ])
    error_message = "Actions are named one by one."
  }
}

run "highly_available" {
  command = plan

  variables {
    az_count           = 3
    single_nat_gateway = false
    vpc_cidr           = "10.64.0.0/18"
  }

  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_nat_gateway.main) == 3
    error_message = "One NAT gateway for each of three zones."
  }

  assert {
    condition     = [for zone in local.zones : aws_subnet.private[zone].cidr_block] == ["10.64.4.0/22", "10.64.8.0/22", "10.64.12.0/22"]
    error_message = "Private subnets are the 2nd to 4th sixteenth of the VPC."
  }

  assert {
    condition     = [for zone in local.zones : aws_subnet.public[zone].cidr_block] == ["10.64.0.0/26", "10.64.0.64/26", "10.64.0.128/26"]
    error_message = "Public subnets are cut from the first sixteenth of the VPC."
  }
}

run "named_principals" {
  command = plan

  variables {
    admin_principal_arns     = ["arn:aws:iam::123456789012:role/admin", "arn:aws:iam::123456789012:role/ci"]
    developer_principal_arns = ["arn:aws:iam::123456789012:user/dev"]
    namespace                = "shop"
  }

  assert {
    condition     = length(aws_eks_access_entry.admin) == 2 && !contains(keys(aws_eks_access_entry.admin), "arn:aws:iam::123456789012:role/deployer")
    error_message = "Administrators that are named replace the caller."
  }

  assert {
    condition = (
      aws_eks_access_policy_association.developer["arn:aws:iam::123456789012:user/dev"].access_scope[0].type == "namespace" &&
      aws_eks_access_policy_association.developer["arn:aws:iam::123456789012:user/dev"].access_scope[0].namespaces == toset(["shop"])
    )
    error_message = "Developers may edit in the app's namespace only."
  }
}

run "without_container_insights" {
  command = plan

  variables {
    container_insights = false
    addon_versions     = { "coredns" = "v1.15.0-eksbuild.1" }
  }

  assert {
    condition = (
      !contains(keys(aws_eks_addon.on_nodes), "amazon-cloudwatch-observability") &&
      !contains(keys(aws_iam_role.pod), "cloudwatch-agent") &&
      length(aws_cloudwatch_log_group.containers) == 0
    )
    error_message = "Nothing of it is left when it is off."
  }

  assert {
    condition     = aws_eks_addon.on_nodes["coredns"].addon_version == "v1.15.0-eksbuild.1"
    error_message = "A version that is named is used."
  }
}

run "with_a_budget" {
  command = plan

  variables {
    monthly_budget_usd = 250
    budget_emails      = ["oncall@example.com"]
  }

  assert {
    condition = (
      aws_budgets_budget.monthly[0].limit_amount == "250.00" &&
      one(aws_budgets_budget.monthly[0].cost_filter).values == tolist(["user:chaosctl:cluster$chaotic-backend-cluster"])
    )
    error_message = "The budget counts what carries the tag of this cluster."
  }

  assert {
    condition = toset([for n in aws_budgets_budget.monthly[0].notification : "${n.notification_type} ${n.threshold}"]) == toset([
      "ACTUAL 80", "FORECASTED 100",
    ])
    error_message = "It tells before the money is spent, and when most of it is."
  }
}

run "nodes_are_not_scaled_unless_somebody_asks_for_it" {
  command = plan

  assert {
    condition = (
      length(aws_iam_role_policy.autoscaler) == 0 && length(aws_eks_pod_identity_association.autoscaler) == 0 &&
      !contains(keys(aws_iam_role.pod), "autoscaler")
    )
    error_message = "There is a role for an autoscaler that nobody wants."
  }
}

run "the_autoscaler_resizes_this_clusters_groups_only" {
  variables {
    node_autoscaling = true
  }

  assert {
    condition = (
      aws_eks_pod_identity_association.autoscaler[0].service_account == "cluster-autoscaler" &&
      aws_eks_pod_identity_association.autoscaler[0].namespace == "kube-system"
    )
    error_message = "The autoscaler's chart expects this service account."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.autoscaler[0].policy).Statement :
      statement.Condition.StringEquals["aws:ResourceTag/k8s.io/cluster-autoscaler/chaotic-backend-cluster"] == "owned"
      if anytrue([for action in flatten([statement.Action]) : !can(regex(":(Describe|Get)", action))])
    ])
    error_message = "What changes anything must be limited to groups that EKS has tagged as this cluster's."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.autoscaler[0].policy).Statement :
      [for action in flatten([statement.Action]) : action if !can(regex(":(Describe|Get)", action))]
    ])) == toset(["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"])
    error_message = "The autoscaler may change the size of groups, and nothing else."
  }
}
