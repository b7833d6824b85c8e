# Whoever is to be told of an alarm subscribes to this topic. The alarms themselves are a module of their own, alarms/:
# most of them need to know the load balancer, which exists only once the app is installed.

resource "aws_sns_topic" "alarms" {
  name              = "${var.cluster_name}-alarms"
  kms_master_key_id = aws_kms_key.alarms.arn
}

# A key of our own: with AWS's key for SNS, CloudWatch may not publish.
resource "aws_kms_key" "alarms" {
  description             = "Messages of the alarms of ${var.cluster_name}"
  deletion_window_in_days = 7
  enable_key_rotation     = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountDecides"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "AlarmsPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
    ]
  })

  tags = { Name = "${var.cluster_name}-alarms" }
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
    ]
  })
}

# Whoever is named gets a mail with a link to confirm it, and nothing before.
resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# A URL may have a token in it: it is no part of an address, which plans, progress and logs show, and no value of a plan.
locals {
  alarm_endpoints = { for url in var.alarm_endpoints : substr(sha256(url), 0, 12) => url }
}

resource "aws_sns_topic_subscription" "endpoint" {
  for_each = nonsensitive(toset(keys(local.alarm_endpoints)))

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = nonsensitive(split(":", local.alarm_endpoints[each.key])[0])
  endpoint  = local.alarm_endpoints[each.key]
}
