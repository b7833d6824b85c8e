variable "region" {
  description = "AWS region of the deployment."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Name of the environment."
  type        = string
  nullable    = false
}

variable "cluster_name" {
  description = "Name of the EKS cluster; the names of all alarms begin with it."
  type        = string
  nullable    = false
}

variable "namespace" {
  description = "Kubernetes namespace of the app."
  type        = string
  nullable    = false
}

variable "workload" {
  description = "Name of the app's Deployment."
  type        = string
  nullable    = false
}

variable "load_balancer" {
  description = "The load balancer as CloudWatch names it: the end of its ARN."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^app/[^/]+/[0-9a-f]{16}$", var.load_balancer))
    error_message = "load_balancer must look like app/NAME/0123456789abcdef."
  }
}

variable "target_group" {
  description = "The app's target group as CloudWatch names it: the end of its ARN."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^targetgroup/[^/]+/[0-9a-f]{16}$", var.target_group))
    error_message = "target_group must look like targetgroup/NAME/0123456789abcdef."
  }
}

variable "topic_arn" {
  description = "SNS topic that is told of every change."
  type        = string
  nullable    = false
}

variable "least_targets" {
  description = "Fewest healthy targets: what the app's PodDisruptionBudget wants."
  type        = number
  nullable    = false
}

variable "least_nodes" {
  description = "Fewest nodes that work: the smallest size of the node group."
  type        = number
  nullable    = false
}

variable "container_insights" {
  description = "Whether Container Insights publishes metrics of pods and nodes; alarms of those exist only then."
  type        = bool
  default     = true
  nullable    = false
}

variable "certificate_arn" {
  description = "ACM certificate that users see; none without TLS."
  type        = string
  default     = null
}

variable "error_percent" {
  description = "Per cent of requests that may be answered with 5xx."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.error_percent > 0 && var.error_percent < 100
    error_message = "error_percent must be more than 0 and less than 100."
  }
}

variable "latency_seconds" {
  description = "Seconds within which 95 % of the answers of targets come."
  type        = number
  default     = 0.5
  nullable    = false

  validation {
    condition     = var.latency_seconds > 0
    error_message = "latency_seconds must be more than 0."
  }
}

variable "certificate_days" {
  description = "Days before the end of the certificate from which on somebody has to be told."
  type        = number
  default     = 30
  nullable    = false
}
