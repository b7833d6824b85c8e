"""The cluster's DNS servers are killed."""

from chaosctl.chaos.faults.system_pods import SystemPodKill


class CoreDnsKill(SystemPodKill):
    """Names are answered by those that are left, or not at all."""

    name = "coredns-kill"
    about = "pods of CoreDNS are deleted without grace"
    needs = "CoreDNS in kube-system"
    selector = "k8s-app=kube-dns"
