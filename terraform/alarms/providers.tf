provider "aws" {
  region = var.region

  # Everything that `chaosctl down` must not leave behind is found by these tags.
  default_tags {
    tags = {
      "chaosctl:cluster"     = var.cluster_name
      "chaosctl:environment" = var.environment
      "chaosctl:managed-by"  = "terraform"
    }
  }
}
