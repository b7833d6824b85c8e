locals {
  addon_names = [
    "amazon-cloudwatch-observability",
    "coredns",
    "eks-pod-identity-agent",
    "kube-proxy",
    "metrics-server",
    "vpc-cni",
  ]

  # The network plugin decides how many pods fit on a node when the node starts, and needs its credentials by then.
  addons_before_nodes = {
    "eks-pod-identity-agent" = {}
    "kube-proxy"             = {}
    "vpc-cni"                = { env = { ENABLE_PREFIX_DELEGATION = "true", WARM_PREFIX_TARGET = "1" } }
  }

  # Naming the agent's configuration keeps it from collecting Application Signals, which are billed.
  addons_on_nodes = merge(
    {
      "coredns"        = {}
      "metrics-server" = {}
    },
    var.container_insights ? {
      "amazon-cloudwatch-observability" = {
        manager = { applicationSignals = { autoMonitor = { monitorAllServices = false } } }
        agent = { config = { logs = { metrics_collected = { kubernetes = {
          enhanced_container_insights = true
        } } } } }
      }
    } : {}
  )

  addon_roles = {
    "amazon-cloudwatch-observability" = { service_account = "cloudwatch-agent", role = "cloudwatch-agent" }
    "vpc-cni"                         = { service_account = "aws-node", role = "vpc-cni" }
  }
}

resource "aws_eks_addon" "before_nodes" {
  for_each = local.addons_before_nodes

  cluster_name                = aws_eks_cluster.main.name
  addon_name                  = each.key
  addon_version               = lookup(var.addon_versions, each.key, null)
  configuration_values        = each.value == {} ? null : jsonencode(each.value)
  preserve                    = false
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = contains(keys(local.addon_roles), each.key) ? [local.addon_roles[each.key]] : []

    content {
      service_account = pod_identity_association.value.service_account
      role_arn        = aws_iam_role.pod[pod_identity_association.value.role].arn
    }
  }

  depends_on = [aws_iam_role_policy_attachment.pod]
}

resource "aws_eks_addon" "on_nodes" {
  for_each = local.addons_on_nodes

  cluster_name                = aws_eks_cluster.main.name
  addon_name                  = each.key
  addon_version               = lookup(var.addon_versions, each.key, null)
  configuration_values        = each.value == {} ? null : jsonencode(each.value)
  preserve                    = false
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = contains(keys(local.addon_roles), each.key) ? [local.addon_roles[each.key]] : []

    content {
      service_account = pod_identity_association.value.service_account
      role_arn        = aws_iam_role.pod[pod_identity_association.value.role].arn
    }
  }

  # Log groups first: the agent would make them without retention. The nodes are made at the same time: until they are
  # there an add-on is DEGRADED, which the provider waits through, and its pods start with the first node.
  depends_on = [
    aws_cloudwatch_log_group.containers,
    aws_iam_role_policy_attachment.pod,
  ]
}
