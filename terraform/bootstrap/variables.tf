variable "region" {
  description = "AWS region of the bucket."
  type        = string
  nullable    = false
}

variable "bucket" {
  description = "Name of the bucket; unique in all of AWS."
  type        = string
  nullable    = false
}

variable "adopt" {
  description = "The bucket exists already: take it over as it is, and put right what differs."
  type        = bool
  default     = false
  nullable    = false
}
