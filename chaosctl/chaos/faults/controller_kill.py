"""The controller that keeps the load balancer up to date is killed."""

from chaosctl.chaos.faults.system_pods import SystemPodKill


class ControllerKill(SystemPodKill):
    """While it is away, targets do not follow pods."""

    name = "controller-kill"
    about = "pods of the AWS Load Balancer Controller are deleted without grace"
    needs = "the controller in kube-system"
    selector = "app.kubernetes.io/name=aws-load-balancer-controller"
