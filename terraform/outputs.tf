# No credentials and no tokens: whoever needs one asks AWS for it (`chaosctl token`).

output "region" {
  description = "Region of everything below."
  value       = var.region
}

output "account_id" {
  description = "AWS account that holds it."
  value       = local.account_id
}

output "vpc_id" {
  description = "The VPC; the load balancer controller must be told, since pods cannot ask the metadata service."
  value       = aws_vpc.main.id
}

output "availability_zones" {
  description = "Zones that have subnets and nodes."
  value       = local.zones
}

output "private_subnet_ids" {
  description = "Subnets of the nodes, by zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "public_subnet_ids" {
  description = "Subnets of internet-facing load balancers, by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "cluster_name" {
  description = "Name of the EKS cluster."
  value       = aws_eks_cluster.main.name
}

output "cluster_arn" {
  description = "ARN of the EKS cluster."
  value       = aws_eks_cluster.main.arn
}

output "cluster_endpoint" {
  description = "URL of the Kubernetes API."
  value       = aws_eks_cluster.main.endpoint
}

output "cluster_certificate_authority" {
  description = "Certificate that signs the Kubernetes API's, base64 of PEM (public, not a secret)."
  value       = one(aws_eks_cluster.main.certificate_authority[*].data)
}

output "cluster_security_group_id" {
  description = "Security group of control plane and nodes."
  value       = one(aws_eks_cluster.main.vpc_config[*].cluster_security_group_id)
}

output "node_group_name" {
  description = "Name of the managed node group."
  value       = aws_eks_node_group.main.node_group_name
}

output "load_balancer_controller_service_account" {
  description = "Service account in kube-system that gets the controller's role through Pod Identity."
  value       = aws_eks_pod_identity_association.load_balancer_controller.service_account
}

output "load_balancer_controller_role_arn" {
  description = "Role of the AWS Load Balancer Controller."
  value       = aws_iam_role.pod["load-balancer"].arn
}

output "log_group_names" {
  description = "Log groups of this deployment, by what they hold."
  value = merge(
    { control_plane = aws_cloudwatch_log_group.control_plane.name, flow = aws_cloudwatch_log_group.flow.name },
    { for kind, group in aws_cloudwatch_log_group.containers : kind => group.name }
  )
}

output "certificate_arn" {
  description = "Certificate of the app's domain, empty without one. Issued only where its zone is ours."
  value       = try(coalesce(one(aws_acm_certificate_validation.main[*].certificate_arn), local.certificate_arn), "")
}

output "certificate_proofs" {
  description = "CNAME records, by name, that ACM wants to see in the DNS of the domain."
  value       = { for proof in local.proofs : proof.resource_record_name => proof.resource_record_value }
}

output "app_role_arn" {
  description = "Role of the app's pods, empty when it reads no secrets."
  value       = try(aws_iam_role.app[0].arn, "")
}
