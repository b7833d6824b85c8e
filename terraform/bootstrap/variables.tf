variable "region" {
  description = "AWS region of the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like us-west-2."
  }
}

variable "bucket" {
  description = "Name of the bucket; unique in all of AWS."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be 3 to 63 lower-case letters, digits, dots and dashes."
  }
}

variable "adopt" {
  description = "The bucket exists already: take it over as it is, and put right what differs."
  type        = bool
  default     = false
  nullable    = false
}

variable "keep_old_states_days" {
  description = "For how many days a state that was replaced can be had back."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.keep_old_states_days >= 1 && floor(var.keep_old_states_days) == var.keep_old_states_days
    error_message = "keep_old_states_days must be a whole number of at least 1."
  }
}

variable "mark" {
  description = "Key of the object that says that the bucket is complete."
  type        = string
  default     = "chaosctl/bootstrap"
  nullable    = false
}

variable "digest" {
  description = "What that object says: identifies the version of these files."
  type        = string
  default     = "unknown"
  nullable    = false
}
