variable "region" {
  description = "AWS region in which everything is created."
  type        = string
  default     = "us-west-2"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like us-west-2."
  }
}

variable "environment" {
  description = "Name of this environment; environments live side by side, each with its own state."
  type        = string
  default     = "default"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.environment))
    error_message = "environment must be lower-case letters, digits and dashes, 1 to 63 characters."
  }
}

variable "cluster_name" {
  description = "Name of the EKS cluster and first part of the names of everything that belongs to it."
  type        = string
  default     = "chaotic-backend-cluster"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name must be lower-case letters, digits and dashes, 1 to 63 characters."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the app; developer_principal_arns may edit in it and nowhere else."
  type        = string
  default     = "chaotic-backend"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be lower-case letters, digits and dashes, 1 to 63 characters."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version of the control plane and the nodes, major.minor."
  type        = string
  default     = "1.36"
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "kubernetes_version must look like 1.36."
  }
}

variable "az_count" {
  description = "Over how many availability zones subnets and nodes are spread."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3], var.az_count)
    error_message = "az_count must be 2 or 3."
  }
}

variable "vpc_cidr" {
  description = "IPv4 range of the VPC. Private subnets get 1/16 of it each, public ones 1/256."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition = (
      can(cidrnetmask(var.vpc_cidr)) &&
      try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], false) &&
      try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    )
    error_message = "vpc_cidr must be an IPv4 network (its first address) with a prefix of 16 to 20 bits, like 10.0.0.0/16."
  }
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones (cheaper; a zone's failure cuts off the others) instead of one for each."
  type        = bool
  default     = true
  nullable    = false
}

variable "node_instance_types" {
  description = "EC2 instance types of the nodes, in order of preference."
  type        = list(string)
  default     = ["t3.medium"]
  nullable    = false

  validation {
    condition = length(var.node_instance_types) > 0 && alltrue([
      for type in var.node_instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))
    ])
    error_message = "node_instance_types needs at least one type, each like t3.medium."
  }
}

variable "node_min_size" {
  description = "Fewest nodes that the node group may have."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.node_min_size >= 1 && floor(var.node_min_size) == var.node_min_size
    error_message = "node_min_size must be a whole number of at least 1."
  }
}

variable "node_max_size" {
  description = "Most nodes that the node group may have."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.node_max_size >= var.node_min_size && floor(var.node_max_size) == var.node_max_size
    error_message = "node_max_size must be a whole number and not below node_min_size."
  }
}

variable "node_desired_size" {
  description = "Nodes at creation; afterwards an autoscaler decides, or `chaosctl infra`, which resizes the group by request."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition = (
      var.node_desired_size >= var.node_min_size &&
      var.node_desired_size <= var.node_max_size &&
      floor(var.node_desired_size) == var.node_desired_size
    )
    error_message = "node_desired_size must be a whole number from node_min_size to node_max_size."
  }
}

variable "node_autoscaling" {
  description = "A role for the Cluster Autoscaler, which then decides on the number of nodes, from smallest to largest size."
  type        = bool
  default     = false
  nullable    = false
}

variable "node_disk_gib" {
  description = "Size of each node's root volume in GiB (gp3, encrypted)."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.node_disk_gib >= 20 && floor(var.node_disk_gib) == var.node_disk_gib
    error_message = "node_disk_gib must be a whole number of at least 20: the image alone takes most of less."
  }
}

variable "public_access_cidrs" {
  description = "IPv4 ranges from which the Kubernetes API may be reached over its public endpoint."
  type        = list(string)
  nullable    = false

  validation {
    condition = length(var.public_access_cidrs) > 0 && alltrue([
      for cidr in var.public_access_cidrs : can(cidrnetmask(cidr))
    ])
    error_message = "public_access_cidrs needs at least one IPv4 range, each like 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : !endswith(cidr, "/0")])
    error_message = "public_access_cidrs must not open the Kubernetes API to everyone (a range ending in /0)."
  }
}

variable "admin_principal_arns" {
  description = "IAM roles and users that administer the cluster. Empty: whoever runs Terraform. Name them all when several do."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.admin_principal_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))
    ])
    error_message = "admin_principal_arns must be ARNs of IAM roles or users."
  }
}

variable "developer_principal_arns" {
  description = "IAM roles and users that may edit what is in the app's namespace, and nothing else of the cluster."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.developer_principal_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))
    ])
    error_message = "developer_principal_arns must be ARNs of IAM roles or users."
  }

  validation {
    condition     = length(setintersection(var.developer_principal_arns, var.admin_principal_arns)) == 0
    error_message = "A principal is either in admin_principal_arns or in developer_principal_arns: it has one access entry."
  }
}

variable "addon_versions" {
  description = "Versions of EKS add-ons by name; those left out get EKS's default for the cluster's version at creation."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.addon_versions), local.addon_names)) == 0
    error_message = "addon_versions may name: ${join(", ", local.addon_names)}."
  }
}

variable "container_insights" {
  description = "Ship container logs and metrics to CloudWatch (add-on amazon-cloudwatch-observability)."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "For how many days CloudWatch keeps every log of this deployment."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days
    )
    error_message = "log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, ... days."
  }
}

variable "monthly_budget_usd" {
  description = "Budget in US dollars a month: 80 % spent, or 100 % forecast, is told to budget_emails. Null: no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null ? true : var.monthly_budget_usd >= 1
    error_message = "monthly_budget_usd must be at least 1, or null for none."
  }

  validation {
    condition     = var.monthly_budget_usd == null ? true : length(var.budget_emails) > 0
    error_message = "monthly_budget_usd needs budget_emails: a budget that tells nobody is none."
  }
}

variable "budget_emails" {
  description = "Who is told about monthly_budget_usd; at most ten addresses."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = length(var.budget_emails) <= 10 && alltrue([
      for address in var.budget_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))
    ])
    error_message = "budget_emails must be at most ten addresses of e-mail."
  }
}

variable "certificate_domain" {
  description = "Domain for which ACM is asked for a certificate. Empty: none is."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.certificate_domain == "" || can(regex("^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\\.)+[a-z][-a-z0-9]{0,61}[a-z0-9]$", var.certificate_domain))
    error_message = "certificate_domain must be a domain name in lower case, like shop.example.com."
  }
}

variable "retiring_domains" {
  description = "Domains of earlier certificates that a load balancer still serves: AWS refuses to delete those."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "hosted_zone" {
  description = "Public Route 53 zone of this account that holds certificate_domain. Empty: somebody else proves the domain to ACM."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.hosted_zone == "" || endswith(".${var.certificate_domain}", ".${var.hosted_zone}")
    error_message = "hosted_zone must be certificate_domain or a domain above it."
  }
}

variable "app_service_account" {
  description = "Service account of the app's pods, in `namespace`; gets a role when app_secrets names anything."
  type        = string
  default     = "chaotic-backend"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.app_service_account))
    error_message = "app_service_account must be lower-case letters, digits and dashes, 1 to 63 characters."
  }
}

variable "app_secrets" {
  description = "Names of the secrets in Secrets Manager that the app's pods may read. The secrets are not made here."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.app_secrets : can(regex("^[A-Za-z0-9/_+=.@-]{1,512}$", name))])
    error_message = "app_secrets must be names as Secrets Manager has them, without wildcards."
  }
}

variable "alarm_emails" {
  description = "Addresses that get a mail when an alarm goes off, and when it is over."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alarm_emails must be mail addresses."
  }
}

variable "alarm_endpoints" {
  description = "URLs that get a POST from SNS when an alarm goes off, and when it is over; each confirms its subscription itself."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true

  validation {
    condition     = alltrue([for url in var.alarm_endpoints : can(regex("^https?://[^/\\s]+", url))])
    error_message = "alarm_endpoints must be URLs."
  }
}
