locals {
  # Roles that pods get through EKS Pod Identity, with the AWS managed policies that they need.
  pod_roles = merge(
    {
      "load-balancer" = []
      "vpc-cni"       = ["AmazonEKS_CNI_Policy"]
    },
    var.container_insights ? { "cloudwatch-agent" = ["CloudWatchAgentServerPolicy"] } : {},
    var.node_autoscaling ? { "autoscaler" = [] } : {}
  )

  pod_role_policies = merge([
    for role, policies in local.pod_roles : { for policy in policies : "${role}/${policy}" => { role = role, policy = policy } }
  ]...)

  trust_in_pods = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })

  load_balancer_controller_service_account = "aws-load-balancer-controller"
  autoscaler_service_account               = "cluster-autoscaler"
}

resource "aws_iam_role" "cluster" {
  name_prefix = "${local.role_prefix}-cluster-"
  description = "Control plane of the EKS cluster ${var.cluster_name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_iam_role" "node" {
  name_prefix = "${local.role_prefix}-node-"
  description = "Nodes of the EKS cluster ${var.cluster_name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# Not AmazonEKS_CNI_Policy: the network plugin has its own role.
resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(["AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodePolicy", "AmazonSSMManagedInstanceCore"])

  role       = aws_iam_role.node.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}

resource "aws_iam_role" "pod" {
  for_each = local.pod_roles

  name_prefix = "${substr(local.role_prefix, 0, 20)}-${each.key}-"
  description = "Pods of the EKS cluster ${var.cluster_name}: ${each.key}"

  assume_role_policy = local.trust_in_pods
}

resource "aws_iam_role_policy_attachment" "pod" {
  for_each = local.pod_role_policies

  role       = aws_iam_role.pod[each.value.role].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value.policy}"
}

# What the AWS Load Balancer Controller 3.x needs with WAF and Shield off, and only for what carries this cluster's tags.
resource "aws_iam_role_policy" "load_balancer_controller" {
  name = "load-balancer-controller"
  role = aws_iam_role.pod["load-balancer"].id

  policy = templatefile("${path.module}/policies/load-balancer-controller.json.tftpl", {
    account_id   = local.account_id
    cluster_name = var.cluster_name
    partition    = local.partition
    region       = var.region
  })
}

# Must exist before the controller's pods are admitted, otherwise they never get credentials.
resource "aws_eks_pod_identity_association" "load_balancer_controller" {
  cluster_name    = aws_eks_cluster.main.name
  namespace       = "kube-system"
  service_account = local.load_balancer_controller_service_account
  role_arn        = aws_iam_role.pod["load-balancer"].arn

  depends_on = [aws_iam_role_policy.load_balancer_controller]
}

# What the Cluster Autoscaler needs: it sees all groups, and resizes those only that EKS has tagged as this cluster's.
resource "aws_iam_role_policy" "autoscaler" {
  count = var.node_autoscaling ? 1 : 0

  name = "cluster-autoscaler"
  role = aws_iam_role.pod["autoscaler"].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeAutoScalingInstances",
          "autoscaling:DescribeLaunchConfigurations",
          "autoscaling:DescribeScalingActivities",
          "ec2:DescribeImages",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:GetInstanceTypesFromInstanceRequirements",
        ]
        Resource = "*" # none of these can be limited to a resource
      },
      {
        Sid      = "LookAtOurNodeGroups"
        Effect   = "Allow"
        Action   = "eks:DescribeNodegroup"
        Resource = "arn:${local.partition}:eks:${var.region}:${local.account_id}:nodegroup/${var.cluster_name}/*"
      },
      {
        Sid      = "ResizeOurGroups"
        Effect   = "Allow"
        Action   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
        Resource = "arn:${local.partition}:autoscaling:${var.region}:${local.account_id}:autoScalingGroup:*"
        Condition = {
          StringEquals = {
            "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled"             = "true"
            "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster_name}" = "owned"
          }
        }
      },
    ]
  })
}

resource "aws_eks_pod_identity_association" "autoscaler" {
  count = var.node_autoscaling ? 1 : 0

  cluster_name    = aws_eks_cluster.main.name
  namespace       = "kube-system"
  service_account = local.autoscaler_service_account
  role_arn        = aws_iam_role.pod["autoscaler"].arn

  depends_on = [aws_iam_role_policy.autoscaler]
}
