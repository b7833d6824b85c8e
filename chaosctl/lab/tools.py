"""The programs that a lab is made of, as the toolbox knows them."""

RUNNING = (  # what its AWS and its reconcilers start
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "cni",
    "haproxy",
    "nft",
    "conntrack",
)
IN_IMAGES = ("metrics-server", "coredns")  # what runs in pods
