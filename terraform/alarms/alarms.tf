# Every figure, and what is done where data are missing, is explained in docs/observability.md.

locals {
  balancer = { LoadBalancer = var.load_balancer }
  targets  = { LoadBalancer = var.load_balancer, TargetGroup = var.target_group }
  workload = { ClusterName = var.cluster_name, Namespace = var.namespace, PodName = var.workload }
  cluster  = { ClusterName = var.cluster_name }

  # RequestCount leaves out what found no target, which the load balancer answers with 503.
  error_percent = "100 * (FILL(target, 0) + FILL(balancer, 0)) / (FILL(requests, 0) + FILL(untargeted, 0))"
  error_metrics = {
    requests   = "RequestCount"
    target     = "HTTPCode_Target_5XX_Count"
    balancer   = "HTTPCode_ELB_5XX_Count"
    untargeted = "HTTPCode_ELB_503_Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name        = "${var.cluster_name}/5xx"
  alarm_description = "More than ${var.error_percent} % of the requests were answered with 5xx, in two of three minutes."

  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching" # nobody asks, so nobody gets an error

  metric_query {
    id          = "percent"
    label       = "5xx, per cent of requests"
    expression  = local.error_percent
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.error_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value
        dimensions  = local.balancer
        stat        = "Sum"
        period      = 60
      }
    }
  }

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  alarm_name        = "${var.cluster_name}/latency"
  alarm_description = "Five of a hundred answers took longer than ${var.latency_seconds} s, in two of three minutes."

  namespace           = "AWS/ApplicationELB"
  metric_name         = "TargetResponseTime"
  dimensions          = local.balancer
  extended_statistic  = "p95"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.latency_seconds
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching" # no answers, none late; that there are none, other alarms tell

  # A service with few users must not be slow for them either.
  evaluate_low_sample_count_percentiles = "evaluate"

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "unhealthy_targets" {
  alarm_name        = "${var.cluster_name}/unhealthy-targets"
  alarm_description = "A target failed the load balancer's health check in two of three minutes."

  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  dimensions          = local.targets
  statistic           = "Maximum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching" # without targets none is unhealthy; few-targets tells that there are none

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "few_targets" {
  alarm_name        = "${var.cluster_name}/few-targets"
  alarm_description = "In two minutes there was a time with fewer than ${var.least_targets} healthy targets: less than the disruption budget wants."

  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = local.targets
  statistic           = "Minimum"
  period              = 60
  comparison_operator = "LessThanThreshold"
  threshold           = var.least_targets
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  treat_missing_data  = "breaching" # it is not told when no target is registered: the worst case

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "crash_loop" {
  count = var.container_insights ? 1 : 0

  alarm_name        = "${var.cluster_name}/crash-loop"
  alarm_description = "A container of the app waited to be restarted after crashing again and again, in two of five minutes."

  namespace           = "ContainerInsights"
  metric_name         = "pod_container_status_waiting_reason_crash_loop_back_off"
  dimensions          = local.workload
  statistic           = "Maximum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5 # the agent looks once a minute, and between two crashes the container runs for a moment
  datapoints_to_alarm = 2
  treat_missing_data  = "missing" # nobody looks: say so

  alarm_actions             = [var.topic_arn]
  ok_actions                = [var.topic_arn]
  insufficient_data_actions = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "unready_pods" {
  count = var.container_insights ? 1 : 0

  alarm_name        = "${var.cluster_name}/unready-pods"
  alarm_description = "Pods of the app were not ready for five minutes: their probes fail, they cannot start, or a rollout is stuck."

  namespace           = "ContainerInsights"
  metric_name         = "status_replicas_unavailable"
  dimensions          = local.workload
  statistic           = "Minimum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5 # a cold start may take three minutes, and a rollout makes pods one after the other
  datapoints_to_alarm = 5
  treat_missing_data  = "missing"

  alarm_actions             = [var.topic_arn]
  ok_actions                = [var.topic_arn]
  insufficient_data_actions = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "few_nodes" {
  count = var.container_insights ? 1 : 0

  alarm_name        = "${var.cluster_name}/few-nodes"
  alarm_description = "Fewer than ${var.least_nodes} nodes were there and well for two minutes."

  comparison_operator = "LessThanThreshold"
  threshold           = var.least_nodes
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  treat_missing_data  = "missing"

  metric_query {
    id          = "well"
    label       = "nodes that are well"
    expression  = "nodes - failed"
    return_data = true
  }

  # A node that is lost leaves the first, one whose kubelet is silent counts in the second.
  dynamic "metric_query" {
    for_each = { nodes = "cluster_node_count", failed = "cluster_failed_node_count" }

    content {
      id = metric_query.key

      metric {
        namespace   = "ContainerInsights"
        metric_name = metric_query.value
        dimensions  = local.cluster
        stat        = "Average"
        period      = 60
      }
    }
  }

  alarm_actions             = [var.topic_arn]
  ok_actions                = [var.topic_arn]
  insufficient_data_actions = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "node_not_ready" {
  count = var.container_insights ? 1 : 0

  alarm_name        = "${var.cluster_name}/node-not-ready"
  alarm_description = "A node was not ready, its kubelet was silent, or it was short of memory, disk or processes, for three minutes."

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3 # a node that is being replaced is not ready for a minute or two
  datapoints_to_alarm = 3
  treat_missing_data  = "missing"

  # Whether a node is ready tells its own agent: 0 for a kubelet that reports so. A machine that is silent as a whole
  # tells nothing; one agent for all counts it as failed, since nobody knows then how its memory and disks are.
  metric_query {
    id          = "unwell"
    label       = "nodes that failed, and one if any is not ready"
    expression  = "failed + (1 - FILL(ready, 1))"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      failed = { name = "cluster_failed_node_count", stat = "Maximum" }
      ready  = { name = "node_status_condition_ready", stat = "Minimum" }
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "ContainerInsights"
        metric_name = metric_query.value.name
        dimensions  = local.cluster
        stat        = metric_query.value.stat
        period      = 60
      }
    }
  }

  alarm_actions             = [var.topic_arn]
  ok_actions                = [var.topic_arn]
  insufficient_data_actions = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "certificate" {
  count = var.certificate_arn == null ? 0 : 1

  alarm_name        = "${var.cluster_name}/certificate"
  alarm_description = "The certificate ends in less than ${var.certificate_days} days."

  namespace           = "AWS/CertificateManager"
  metric_name         = "DaysToExpiry"
  dimensions          = { CertificateArn = var.certificate_arn }
  statistic           = "Maximum" # a new certificate under the same ARN counts at once, not a day later
  period              = 86400
  comparison_operator = "LessThanThreshold"
  threshold           = var.certificate_days
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  treat_missing_data  = "missing" # ACM tells twice a day

  alarm_actions             = [var.topic_arn]
  ok_actions                = [var.topic_arn]
  insufficient_data_actions = [var.topic_arn]
}
