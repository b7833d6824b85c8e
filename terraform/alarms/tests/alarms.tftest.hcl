# The alarms and the dashboard. Nothing is asked of AWS.

mock_provider "aws" {
  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:demo/mock" }
  }
}

variables {
  region        = "us-west-2"
  environment   = "default"
  cluster_name  = "demo"
  namespace     = "shop"
  workload      = "web"
  load_balancer = "app/web/0123456789abcdef"
  target_group  = "targetgroup/web/0123456789abcdef"
  topic_arn     = "arn:aws:sns:us-west-2:123456789012:demo-alarms"
  least_targets = 2
  least_nodes   = 2
}

run "limits_are_those_of_what_is_watched" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.few_targets.threshold == 2 && aws_cloudwatch_metric_alarm.few_nodes[0].threshold == 2
    error_message = "The limits are those of the disruption budget and of the node group."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.certificate) == 0
    error_message = "Without a certificate there is no alarm on it."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) == 12
    error_message = "A heading, the alarms and ten graphs."
  }
}

run "everybody_is_told_of_everything_and_missing_data_are_treated_deliberately" {
  variables {
    certificate_arn = "arn:aws:acm:us-west-2:123456789012:certificate/mock"
  }

  # What is missing where nobody asks or nothing is there is good or bad; what is missing where somebody has to look is
  # told as that.
  assert {
    condition = { for name, alarm in local.alarms : name => alarm.treat_missing_data } == {
      "5xx"               = "notBreaching"
      "latency"           = "notBreaching"
      "unhealthy-targets" = "notBreaching"
      "few-targets"       = "breaching"
      "crash-loop"        = "missing"
      "unready-pods"      = "missing"
      "few-nodes"         = "missing"
      "node-not-ready"    = "missing"
      "certificate"       = "missing"
    }
    error_message = "No target registered is the worst case; no request is none that failed; nobody who looks is told."
  }

  assert {
    condition = alltrue([
      for name, alarm in local.alarms :
      alarm.alarm_name == "demo/${name}" &&
      alarm.alarm_actions == toset([var.topic_arn]) && alarm.ok_actions == toset([var.topic_arn])
    ])
    error_message = "Each alarm tells the topic when it goes off and when it is over."
  }

  assert {
    condition = alltrue([
      for alarm in local.alarms :
      try(join(",", alarm.insufficient_data_actions), "") == (alarm.treat_missing_data == "missing" ? var.topic_arn : "")
    ])
    error_message = "Where missing data are no answer, that there are none is told too; elsewhere it is no news."
  }
}

run "the_certificate_is_watched" {
  variables {
    certificate_arn = "arn:aws:acm:us-west-2:123456789012:certificate/mock"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.certificate[0].threshold == 30 &&
      aws_cloudwatch_metric_alarm.certificate[0].period == 86400 &&
      aws_cloudwatch_metric_alarm.certificate[0].statistic == "Maximum"
    )
    error_message = "30 days before the end, by what was told within a day; of two the newer certificate's."
  }
}

run "arns_are_not_what_cloudwatch_calls_a_load_balancer" {
  command = plan

  variables {
    load_balancer = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/web/0123456789abcdef"
    target_group  = "web"
  }

  expect_failures = [var.load_balancer, var.target_group]
}

run "thresholds_mean_something" {
  command = plan

  variables {
    error_percent   = 0
    latency_seconds = 0
  }

  expect_failures = [var.error_percent, var.latency_seconds]
}

run "without_container_insights_nothing_looks_at_its_metrics" {
  variables {
    container_insights = false
  }

  assert {
    condition = (
      length(aws_cloudwatch_metric_alarm.crash_loop) == 0 && length(aws_cloudwatch_metric_alarm.unready_pods) == 0 &&
      length(aws_cloudwatch_metric_alarm.few_nodes) == 0 && length(aws_cloudwatch_metric_alarm.node_not_ready) == 0 &&
      length(output.alarms) == 4
    )
    error_message = "An alarm that nobody feeds says INSUFFICIENT_DATA for ever."
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.main.dashboard_body, "ContainerInsights")
    error_message = "The dashboard has graphs that stay empty."
  }
}
