"""Where users come in: the Ingress, its load balancer, and the health of the targets behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaosctl.adapters import elb
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.elb import Listener, LoadBalancer, TargetHealth
from chaosctl.adapters.kube import INGRESSES, Kube, Object
from chaosctl.adapters.pod import Pod
from chaosctl.errors import PreconditionFailed

CERTIFICATE = "alb.ingress.kubernetes.io/certificate-arn"


@dataclass(frozen=True)
class Entrance:
    """The load balancer of the app, and its targets. `url` is what users open."""

    url: str
    balancer: LoadBalancer
    targets: tuple[TargetHealth, ...]


def url_of(ingress: Object | None) -> str:
    """The URL that an Ingress serves, or empty while it has no address."""
    if ingress is None:
        return ""
    address = _address(ingress)
    host = host_of(ingress) or address.get("hostname") or address.get("ip", "")
    scheme = "https" if certificates_of(ingress) else "http"
    return f"{scheme}://{host}" if address and host else ""


def host_of(ingress: Object | None) -> str:
    """The domain that an Ingress serves, or empty when it serves any."""
    rules: list[Object] = (ingress or {}).get("spec", {}).get("rules") or [{}]
    return str(rules[0].get("host", ""))


def certificates_of(ingress: Object) -> list[str]:
    """ARNs of the certificates that an Ingress is served with; the first is that of those who ask for no name."""
    named = (ingress["metadata"].get("annotations") or {}).get(CERTIFICATE, "")
    return [arn for part in named.split(",") if (arn := part.strip())]


def _address(ingress: Object) -> Object:
    """The first address in its status: {"hostname": ...} or {"ip": ...}; empty while it has none."""
    addresses: list[Object] = ingress.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return addresses[0]


def require_url(kube: Kube, namespace: str, release: str) -> str:
    """The app's URL. Raises PreconditionFailed (APP-MISSING) when it has none."""
    url = url_of(kube.get(INGRESSES, release, namespace))
    if not url:
        raise PreconditionFailed(
            f"{namespace}/{release} has no address",
            code="APP-MISSING",
            why="there is no such Ingress, or it has no load balancer yet",
            remedy="run `chaosctl app`, or `chaosctl up` for everything",
        )
    return url


def entrance(aws: Aws, ingress: Object) -> Entrance | None:
    """The load balancer behind an Ingress, or None when AWS does not show it (yet)."""
    hostname = _address(ingress).get("hostname")
    if not hostname:
        return None
    for balancer in elb.all_load_balancers(aws):
        if balancer.dns_name.lower() == hostname.lower():
            return Entrance(url_of(ingress), balancer, tuple(elb.target_health(aws, balancer)))
    return None


def unserved(ingress: Object, listeners: Iterable[Listener]) -> str:
    """What a load balancer does not do yet that the Ingress says, in words: it may still be as the last one said."""
    certificates, host = certificates_of(ingress), host_of(ingress) or elb.ANY_HOST
    port = 443 if certificates else 80
    listener = next((one for one in listeners if one.port == port), None)
    if listener is None:
        return f"the load balancer does not listen on port {port} yet"
    if certificates and not listener.certificates & set(certificates):
        return "the load balancer still has another certificate"
    if host not in listener.hosts:
        return f"the load balancer does not forward requests for {host} yet"
    return ""


def lacks(found: Entrance | None, pods: list[Pod]) -> str:
    """What is still missing until every pod gets traffic, in words; empty when nothing is."""
    if found is None:
        return "the Ingress has no load balancer yet"
    if found.balancer.state != "active":
        return f"the load balancer is {found.balancer.state} {found.balancer.reason}".strip()
    healthy = {t.id for t in found.targets if t.state == "healthy"}
    missing = [pod for pod in pods if pod.ip not in healthy]
    if not missing:
        return ""
    states = {t.id: f"{t.state} {t.reason} {t.description}".strip() for t in found.targets}
    why = states.get(missing[0].ip, "not registered")
    return f"{len(pods) - len(missing)} of {len(pods)} targets healthy; {missing[0].name}: {why}"
