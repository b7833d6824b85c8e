"""HAProxy as a load balancer: its configuration from elbv2 objects (pure), and its runtime socket."""
