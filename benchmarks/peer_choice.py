"""Chooses one pod at random as others do; runs in the environment of benchmarks/peers_kubernetes.txt, without chaosctl.

    python peer_choice.py typed|chaostoolkit KUBECONFIG CONTEXT NAMESPACE LABELS

Prints JSON: how many pods there were, seconds from loading the kubeconfig to the choice, processor time of the process,
peak memory in MB.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from importlib import import_module


def main() -> None:
    way, kubeconfig, context, namespace, labels = sys.argv[1:]
    kubernetes = import_module("kubernetes")
    actions = import_module("chaosk8s.pod.actions") if way == "chaostoolkit" else None
    begun = time.monotonic()
    kubernetes.config.load_kube_config(kubeconfig, context)
    api = kubernetes.client.CoreV1Api()
    if actions is not None:
        pods = actions._select_pods(api, label_selector=labels, ns=namespace, all=True)
        random.choice(pods)
    else:
        pods = api.list_namespaced_pod(namespace, label_selector=labels).items
        random.choice([pod for pod in pods if _ready(pod)])
    seconds = time.monotonic() - begun
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}
    print(json.dumps({"pods": len(pods), "seconds": seconds, **spent}))


def _ready(pod: object) -> bool:
    conditions = pod.status.conditions or ()  # type: ignore[attr-defined]
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)


if __name__ == "__main__":
    main()
