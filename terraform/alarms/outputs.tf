output "alarms" {
  description = "Names of the alarms."
  value       = [for arn in local.alarm_arns : split(":alarm:", arn)[1]]
}
