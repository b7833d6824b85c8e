"""The lab's stand-in for the AWS Load Balancer Controller: a pod that turns Ingresses into elbv2 load balancers."""
