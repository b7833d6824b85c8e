# What the app's own pods may do in AWS: read the secrets that they are named, and nothing else. The secrets belong to
# people: they outlive the deployment, and their values never come near Terraform, whose state would keep them.

resource "aws_iam_role" "app" {
  count = length(var.app_secrets) > 0 ? 1 : 0

  name_prefix        = "${substr(local.role_prefix, 0, 20)}-app-"
  description        = "The app in the EKS cluster ${var.cluster_name}"
  assume_role_policy = local.trust_in_pods
}

resource "aws_iam_role_policy" "app_secrets" {
  count = length(var.app_secrets) > 0 ? 1 : 0

  name = "read-secrets"
  role = aws_iam_role.app[0].id

  # Secrets Manager ends the ARN of a secret with a dash and six characters of its own.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
      Resource = [
        for name in var.app_secrets :
        "arn:${local.partition}:secretsmanager:${var.region}:${local.account_id}:secret:${name}-??????"
      ]
    }]
  })
}

# Must exist before the app's pods are admitted, as that of the load balancer controller.
resource "aws_eks_pod_identity_association" "app" {
  count = length(var.app_secrets) > 0 ? 1 : 0

  cluster_name    = aws_eks_cluster.main.name
  namespace       = var.namespace
  service_account = var.app_service_account
  role_arn        = aws_iam_role.app[0].arn

  depends_on = [aws_iam_role_policy.app_secrets]
}
