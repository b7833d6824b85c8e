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

run "everybody_is_told_of_everything" {
  assert {
    condition = alltrue([
      for alarm in [
        aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.latency,
        aws_cloudwatch_metric_alarm.unhealthy_targets, aws_cloudwatch_metric_alarm.few_targets,
        aws_cloudwatch_metric_alarm.crash_loop[0], aws_cloudwatch_metric_alarm.unready_pods[0],
        aws_cloudwatch_metric_alarm.few_nodes[0],
      ] :
      alarm.alarm_actions == toset([var.topic_arn]) && alarm.ok_actions == toset([var.topic_arn]) &&
      startswith(alarm.alarm_name, "demo/")
    ])
    error_message = "Each alarm tells the topic when it goes off and when it is over."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.few_targets.treat_missing_data == "breaching"
    error_message = "No target registered is the worst case, not a good one."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.few_targets.threshold == 2 && aws_cloudwatch_metric_alarm.few_nodes[0].threshold == 2
    error_message = "The limits are those of the disruption budget and of the node group."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.certificate) == 0
    error_message = "Without a certificate there is no alarm on it."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) == 11
    error_message = "A heading, the alarms and nine graphs."
  }
}

run "the_certificate_is_watched" {
  variables {
    certificate_arn = "arn:aws:acm:us-west-2:123456789012:certificate/mock"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.certificate[0].threshold == 30 &&
      aws_cloudwatch_metric_alarm.certificate[0].period == 86400
    )
    error_message = "30 days before the end, looked at once a day."
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
      length(aws_cloudwatch_metric_alarm.few_nodes) == 0 && length(output.alarms) == 4
    )
    error_message = "An alarm that nobody feeds says INSUFFICIENT_DATA for ever."
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.main.dashboard_body, "ContainerInsights")
    error_message = "The dashboard has graphs that stay empty."
  }
}
