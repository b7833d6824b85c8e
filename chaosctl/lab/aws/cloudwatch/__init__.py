"""CloudWatch in the lab: metrics that are published as AWS publishes them, alarms that are evaluated as AWS does."""
