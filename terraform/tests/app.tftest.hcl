# What the app itself needs of AWS: a certificate for its domain, and a role for its secrets.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  public_access_cidrs = ["203.0.113.7/32"]
}

run "neither_by_default" {
  command = plan

  assert {
    condition     = length(aws_acm_certificate.main) == 0 && length(aws_route53_record.proof) == 0 && output.certificate_arn == ""
    error_message = "Without a domain nothing is asked of ACM."
  }

  assert {
    condition     = length(aws_iam_role.app) == 0 && length(aws_eks_pod_identity_association.app) == 0 && output.app_role_arn == ""
    error_message = "Without secrets the app has no role."
  }
}

run "a_domain_in_a_zone_of_ours" {
  variables {
    certificate_domain = "shop.example.com"
    hosted_zone        = "example.com"
  }

  assert {
    condition = (
      aws_acm_certificate.main["shop.example.com"].domain_name == "shop.example.com" &&
      aws_acm_certificate.main["shop.example.com"].validation_method == "DNS"
    )
    error_message = "The certificate is for the domain and nothing else, and is proven by DNS, so that ACM renews it."
  }

  assert {
    condition = (
      aws_route53_record.proof[0].name == "_1.shop.example.com." &&
      aws_route53_record.proof[0].type == "CNAME" &&
      aws_route53_record.proof[0].records == toset(["_2.acm-validations.aws."]) &&
      aws_route53_record.proof[0].zone_id == "Z0000000000000000000"
    )
    error_message = "The proof is the record that ACM wants, in the zone."
  }

  assert {
    condition     = output.certificate_arn == aws_acm_certificate.main["shop.example.com"].arn && length(aws_acm_certificate_validation.main) == 1
    error_message = "The certificate counts once it is issued."
  }
}

run "a_domain_whose_dns_is_elsewhere" {
  variables {
    certificate_domain = "shop.example.com"
  }

  assert {
    condition     = length(aws_route53_record.proof) == 0 && length(aws_acm_certificate_validation.main) == 0
    error_message = "Nobody can wait for a record that somebody else has to make."
  }

  assert {
    condition     = output.certificate_proofs == { "_1.shop.example.com." = "_2.acm-validations.aws." }
    error_message = "What has to be made is told."
  }
}

run "another_domain_while_the_old_one_is_served" {
  variables {
    certificate_domain = "new.example.com"
    retiring_domains   = ["shop.example.com"]
  }

  assert {
    condition     = keys(aws_acm_certificate.main) == ["new.example.com", "shop.example.com"]
    error_message = "A certificate that is in use stays, or its deletion would wait in vain."
  }
}

run "secrets" {
  variables {
    namespace           = "shop"
    app_service_account = "web"
    app_secrets         = ["shop/database", "shop/token"]
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.app_secrets[0].policy).Statement == [{
      Effect = "Allow"
      Action = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
      Resource = [
        "arn:aws:secretsmanager:us-west-2:123456789012:secret:shop/database-??????",
        "arn:aws:secretsmanager:us-west-2:123456789012:secret:shop/token-??????",
      ]
    }]
    error_message = "The app may read exactly these secrets, and do nothing else."
  }

  assert {
    condition = (
      aws_eks_pod_identity_association.app[0].namespace == "shop" &&
      aws_eks_pod_identity_association.app[0].service_account == "web"
    )
    error_message = "The role is for the app's service account."
  }

  assert {
    condition     = aws_iam_role.app[0].assume_role_policy == aws_iam_role.pod["vpc-cni"].assume_role_policy
    error_message = "Only EKS Pod Identity may assume it."
  }
}
