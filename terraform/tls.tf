# A certificate for the app's domain. The load balancer is the controller's, so the domain's own record is made by
# `chaosctl app`, which knows it; here are only the certificate and what proves the domain.

resource "aws_acm_certificate" "main" {
  for_each = toset(compact(concat([var.certificate_domain], var.retiring_domains)))

  domain_name       = each.value
  validation_method = "DNS"
  key_algorithm     = "EC_prime256v1" # cheaper handshakes than RSA; every browser of the last ten years has it

  tags = { Name = var.cluster_name }

  # A listener must have one at any moment.
  lifecycle {
    create_before_destroy = true
  }
}

# Attribute by attribute: a whole certificate would be sensitive, since one that is imported has its key in it.
locals {
  current         = [for domain in keys(aws_acm_certificate.main) : domain if domain == var.certificate_domain]
  certificate_arn = one([for domain in local.current : aws_acm_certificate.main[domain].arn])
  proofs          = flatten([for domain in local.current : tolist(aws_acm_certificate.main[domain].domain_validation_options)])
}

data "aws_route53_zone" "domain" {
  count = var.hosted_zone == "" ? 0 : 1

  name         = var.hosted_zone
  private_zone = false
}

resource "aws_route53_record" "proof" {
  count = var.hosted_zone == "" ? 0 : 1

  zone_id = data.aws_route53_zone.domain[0].zone_id
  name    = local.proofs[0].resource_record_name
  type    = local.proofs[0].resource_record_type
  ttl     = 300
  records = [local.proofs[0].resource_record_value]

  # The same record proves the domain for all certificates of the account: an earlier one may have left it.
  allow_overwrite = true
}

# Waits until ACM has issued it.
resource "aws_acm_certificate_validation" "main" {
  count = var.hosted_zone == "" ? 0 : 1

  certificate_arn         = local.certificate_arn
  validation_record_fqdns = aws_route53_record.proof[*].fqdn
}
