"""An Ingress and its Service, as the chart makes them, to vary in tests."""

from typing import Any

from chaosctl.lab.standins.controller import model

PREFIX = "alb.ingress.kubernetes.io/"
CERTIFICATE = "arn:aws:acm:us-west-2:123456789012:certificate/1"


def ingress(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    backend = {"service": {"name": "app", "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "metadata": {
            "namespace": "chaotic-backend",
            "name": "chaotic-backend",
            "uid": "1",
            "annotations": {PREFIX + key: value for key, value in (annotations or {}).items()},
        },
        "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": paths}}], **spec},
    }


SERVICE = {
    "metadata": {"namespace": "chaotic-backend", "name": "app"},
    "spec": {"selector": {"app": "x"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


def built(annotations: dict[str, str] | None = None, **spec: Any) -> model.Stack:
    port = model.port_finder({"app": SERVICE}.get)
    return model.build(ingress(annotations, **spec), port, "cluster-1", {"owner": "me"})
