locals {
  # All of them, by the ends of their names.
  alarms = merge(
    {
      "5xx"               = aws_cloudwatch_metric_alarm.errors
      "latency"           = aws_cloudwatch_metric_alarm.latency
      "unhealthy-targets" = aws_cloudwatch_metric_alarm.unhealthy_targets
      "few-targets"       = aws_cloudwatch_metric_alarm.few_targets
    },
    { for alarm in aws_cloudwatch_metric_alarm.crash_loop : "crash-loop" => alarm },
    { for alarm in aws_cloudwatch_metric_alarm.unready_pods : "unready-pods" => alarm },
    { for alarm in aws_cloudwatch_metric_alarm.few_nodes : "few-nodes" => alarm },
    { for alarm in aws_cloudwatch_metric_alarm.node_not_ready : "node-not-ready" => alarm },
    { for alarm in aws_cloudwatch_metric_alarm.certificate : "certificate" => alarm }
  )
  alarm_arns = [for alarm in local.alarms : alarm.arn]

  of_balancer = ["LoadBalancer", var.load_balancer]
  of_targets  = ["TargetGroup", var.target_group, "LoadBalancer", var.load_balancer]
  of_workload = ["PodName", var.workload, "Namespace", var.namespace, "ClusterName", var.cluster_name]
  of_cluster  = ["ClusterName", var.cluster_name]

  # Title, statistic, and metrics with their dimensions and how they are shown; in rows of three. `math` is of metrics
  # by their id.
  every_graph = [
    {
      title = "Requests a minute"
      stat  = "Sum"
      metrics = [
        ["AWS/ApplicationELB", "RequestCount", local.of_balancer, {}],
      ]
    },
    {
      title = "Errors (5xx), per cent of requests"
      stat  = "Sum"
      math  = [[{ expression = local.error_percent, label = "5xx", id = "percent", region = var.region }]]
      metrics = [
        for id, name in local.error_metrics :
        ["AWS/ApplicationELB", name, local.of_balancer, { id = id, visible = false }]
      ]
    },
    {
      title = "Answers by status"
      stat  = "Sum"
      metrics = [
        ["AWS/ApplicationELB", "HTTPCode_Target_2XX_Count", local.of_balancer, {}],
        ["AWS/ApplicationELB", "HTTPCode_Target_4XX_Count", local.of_balancer, {}],
        ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", local.of_balancer, {}],
        ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", local.of_balancer, {}],
      ]
    },
    {
      title = "Response time"
      stat  = "p95"
      metrics = [
        ["AWS/ApplicationELB", "TargetResponseTime", local.of_balancer, { stat = "p50" }],
        ["AWS/ApplicationELB", "TargetResponseTime", local.of_balancer, { stat = "p95" }],
        ["AWS/ApplicationELB", "TargetResponseTime", local.of_balancer, { stat = "p99" }],
      ]
    },
    {
      title = "Targets"
      stat  = "Maximum"
      metrics = [
        ["AWS/ApplicationELB", "HealthyHostCount", local.of_targets, {}],
        ["AWS/ApplicationELB", "UnHealthyHostCount", local.of_targets, {}],
      ]
    },
    {
      title = "Pods"
      stat  = "Average"
      metrics = [
        ["ContainerInsights", "replicas_desired", local.of_workload, {}],
        ["ContainerInsights", "replicas_ready", local.of_workload, {}],
      ]
    },
    {
      title = "Restarts"
      stat  = "Sum"
      metrics = [
        ["ContainerInsights", "pod_number_of_container_restarts", local.of_workload, {}],
        ["ContainerInsights", "pod_container_status_waiting_reason_crash_loop_back_off", local.of_workload, {}],
      ]
    },
    {
      title = "Pods: share of their limits"
      stat  = "Maximum"
      metrics = [
        ["ContainerInsights", "pod_cpu_utilization_over_pod_limit", local.of_workload, {}],
        ["ContainerInsights", "pod_memory_utilization_over_pod_limit", local.of_workload, {}],
      ]
    },
    {
      title = "Nodes: saturation"
      stat  = "Maximum"
      metrics = [
        ["ContainerInsights", "node_cpu_utilization", local.of_cluster, {}],
        ["ContainerInsights", "node_memory_utilization", local.of_cluster, {}],
      ]
    },
    {
      title = "Nodes"
      stat  = "Average"
      metrics = [
        ["ContainerInsights", "cluster_node_count", local.of_cluster, {}],
        ["ContainerInsights", "cluster_failed_node_count", local.of_cluster, {}],
      ]
    },
  ]

  # Without Container Insights nobody publishes those metrics.
  graphs = [
    for graph in local.every_graph : graph if var.container_insights || graph.metrics[0][0] != "ContainerInsights"
  ]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.cluster_name

  dashboard_body = jsonencode({
    start = "-PT3H"
    widgets = concat(
      [
        {
          type       = "text"
          x          = 0
          y          = 0
          width      = 24
          height     = 1
          properties = { markdown = "**${var.namespace}/${var.workload}** on ${var.cluster_name}, environment ${var.environment}" }
        },
        {
          type       = "alarm"
          x          = 0
          y          = 1
          width      = 24
          height     = 2
          properties = { title = "Alarms", alarms = local.alarm_arns }
        },
      ],
      [
        for number, graph in local.graphs : {
          type   = "metric"
          x      = number % 3 * 8
          y      = 3 + floor(number / 3) * 6
          width  = 8
          height = 6
          properties = {
            title  = graph.title
            region = var.region
            stat   = graph.stat
            period = 60
            view   = "timeSeries"
            metrics = concat(
              try(graph.math, []),
              [for metric in graph.metrics : concat(slice(metric, 0, 2), metric[2], [metric[3]])]
            )
          }
        }
      ]
    )
  })
}
