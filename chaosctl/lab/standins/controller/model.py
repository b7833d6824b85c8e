"""What AWS should hold for one Ingress. Pure: Ingress and Services in, plain data out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal

PREFIX = "alb.ingress.kubernetes.io/"
CLUSTER_TAG = "elbv2.k8s.aws/cluster"
STACK_TAG = "ingress.k8s.aws/stack"
LISTENER_ATTRIBUTES = "listener-attributes."  # and the listener, as in listener-attributes.HTTPS-443
RESOURCE_TAG = "ingress.k8s.aws/resource"

SUPPORTED = frozenset(
    (
        "scheme",
        "target-type",
        "healthcheck-path",
        "healthcheck-port",
        "healthcheck-protocol",
        "healthcheck-interval-seconds",
        "healthcheck-timeout-seconds",
        "healthy-threshold-count",
        "unhealthy-threshold-count",
        "success-codes",
        "listen-ports",
        "certificate-arn",
        "ssl-policy",
        "ssl-redirect",
        "inbound-cidrs",
        "target-group-attributes",
        "load-balancer-attributes",
        "tags",
        "subnets",
        "security-groups",
        "load-balancer-name",
        "backend-protocol",
        "ip-address-type",
    )
)

Tags = Mapping[str, str]


class BadIngress(ValueError):
    """The Ingress cannot be made into a load balancer; the text says why."""


@dataclass(frozen=True)
class TargetGroup:
    """A target group of ip targets for one port of one Service. `check` has the names of the elbv2 API."""

    name: str
    service: str
    service_port: int | str
    port: int
    protocol: str
    check: Mapping[str, Any]
    attributes: Tags
    resource: str


@dataclass(frozen=True)
class Forward:
    """Send to a target group, by name."""

    target_group: str


@dataclass(frozen=True)
class RedirectToHttps:
    """Answer 301 to the same place on this port."""

    port: int


@dataclass(frozen=True)
class NotFound:
    """Answer 404."""


Action = Forward | RedirectToHttps | NotFound


@dataclass(frozen=True)
class Rule:
    """A listener's rule. `conditions` as in the elbv2 API."""

    priority: int
    conditions: Sequence[Mapping[str, Any]]
    action: Action


@dataclass(frozen=True)
class Listener:
    """A listener; the first certificate is its default."""

    port: int
    protocol: Literal["HTTP", "HTTPS"]
    default: Action
    rules: tuple[Rule, ...] = ()
    certificates: tuple[str, ...] = ()
    ssl_policy: str = ""
    attributes: Tags = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """Everything of one Ingress. Without `security_groups` one is managed that admits `inbound_cidrs`."""

    namespace: str
    ingress: str
    name: str
    scheme: Literal["internet-facing", "internal"]
    listeners: tuple[Listener, ...]
    target_groups: tuple[TargetGroup, ...]
    attributes: Tags
    inbound_cidrs: tuple[str, ...]
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    tags: Tags = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Value of the stack tag."""
        return f"{self.namespace}/{self.ingress}"


def resource_name(namespace: str, name: str, *parts: str) -> str:
    """A name as the real controller makes them: k8s-, 8 characters of each, 10 of a hash of `parts`."""
    digest = hashlib.sha256("".join(parts).encode()).hexdigest()
    return f"k8s-{_alphanumeric(namespace)[:8]}-{_alphanumeric(name)[:8]}-{digest[:10]}"


def _alphanumeric(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


def ignored(ingress: Mapping[str, Any]) -> list[str]:
    """Annotations for the real controller that this one does nothing with."""
    names = ingress["metadata"].get("annotations") or {}
    ours = {n: n.removeprefix(PREFIX) for n in names if n.startswith(PREFIX)}
    return sorted(n for n, name in ours.items() if name not in SUPPORTED and not name.startswith(LISTENER_ATTRIBUTES))


class Annotations:
    """Typed access to an Ingress's annotations. Every method raises BadIngress that names the annotation."""

    def __init__(self, ingress: Mapping[str, Any]) -> None:
        self._values: Mapping[str, str] = ingress["metadata"].get("annotations") or {}

    def text(self, name: str, default: str = "") -> str:
        """As it is."""
        return self._values.get(PREFIX + name, default).strip()

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """One of these words; the first is the default."""
        value = self.text(name, allowed[0])
        if value not in allowed:
            raise self._bad(name, value, f"one of {', '.join(allowed)}")
        return value

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number in this range."""
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit()) or not lowest <= int(value) <= highest:
            raise self._bad(name, value, f"a whole number from {lowest} to {highest}")
        return int(value)

    def items(self, name: str, default: str = "") -> tuple[str, ...]:
        """A list, separated by commas."""
        return tuple(item.strip() for item in self.text(name, default).split(",") if item.strip())

    def pairs(self, name: str) -> dict[str, str]:
        """key=value, separated by commas."""
        found = {}
        for item in self.items(name):
            key, equals, value = item.partition("=")
            if not equals or not key:
                raise self._bad(name, item, "key=value")
            found[key] = value
        return found

    def cidrs(self, name: str) -> tuple[str, ...]:
        """Networks; everything when there is none."""
        for value in (values := self.items(name, "0.0.0.0/0")):
            try:
                ip_network(value)
            except ValueError as error:
                raise self._bad(name, value, f"a network such as 10.0.0.0/8 ({error})") from error
        return values

    def listen_ports(self, default: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """(protocol, port) pairs."""
        text = self.text("listen-ports")
        if not text:
            return list(default)
        try:
            ports = [(protocol, port) for entry in json.loads(text) for protocol, port in entry.items()]
        except (ValueError, AttributeError, TypeError) as error:
            raise self._bad("listen-ports", text, 'JSON such as [{"HTTP": 80}, {"HTTPS": 443}]') from error
        for protocol, port in ports:
            if protocol not in ("HTTP", "HTTPS") or not isinstance(port, int) or not 1 <= port <= 65535:
                raise self._bad("listen-ports", f"{protocol}: {port}", "HTTP or HTTPS with a port from 1 to 65535")
        if not ports or len({port for _, port in ports}) != len(ports):
            raise self._bad("listen-ports", text, "at least one port, and each only once")
        return ports

    def _bad(self, name: str, value: str, expected: str) -> BadIngress:
        return BadIngress(f"annotation {PREFIX}{name}: {value!r} is not {expected}")


def health_check(annotations: Annotations) -> dict[str, Any]:
    """The health check of every target group, with the defaults of the real controller."""
    interval = annotations.number("healthcheck-interval-seconds", 15, 5, 300)
    timeout = annotations.number("healthcheck-timeout-seconds", 5, 2, 120)
    if timeout >= interval:
        raise BadIngress(
            f"annotation {PREFIX}healthcheck-timeout-seconds: {timeout} is not less than the interval, {interval}"
        )
    path = annotations.text("healthcheck-path", "/")
    if not path.startswith("/"):
        raise BadIngress(f"annotation {PREFIX}healthcheck-path: {path!r} does not begin with /")
    codes = annotations.text("success-codes", "200")
    if not re.fullmatch(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*", codes):
        raise BadIngress(f"annotation {PREFIX}success-codes: {codes!r} is not a list such as 200,202 or 200-299")
    return {
        "HealthCheckEnabled": True,
        "HealthCheckProtocol": annotations.one_of("healthcheck-protocol", ("HTTP", "HTTPS")),
        "HealthCheckPort": annotations.text("healthcheck-port", "traffic-port"),
        "HealthCheckPath": path,
        "HealthCheckIntervalSeconds": interval,
        "HealthCheckTimeoutSeconds": timeout,
        "HealthyThresholdCount": annotations.number("healthy-threshold-count", 2, 2, 10),
        "UnhealthyThresholdCount": annotations.number("unhealthy-threshold-count", 2, 2, 10),
        "Matcher": {"HttpCode": codes},
    }


Port = int | str
TargetPort = Callable[[str, Port], Port]  # of a Service's name and one of its ports; raises BadIngress


def any_port(service: str, port: Port) -> Port:
    """A TargetPort for when it is not yet known which Services there will be."""
    return port


def port_finder(find: Callable[[str], Mapping[str, Any] | None]) -> TargetPort:
    """A TargetPort that asks `find` for the Service of this name."""

    def target_port(name: str, port: Port) -> Port:
        service = find(name)
        if service is None:
            raise BadIngress(f"the service {name} is not there")
        for candidate in service["spec"].get("ports", ()):
            if port in (candidate.get("name"), candidate["port"]):
                found: Port = candidate.get("targetPort", candidate["port"])
                return found
        raise BadIngress(f"the service {name} has no port {port}")

    return target_port


def build(ingress: Mapping[str, Any], target_port: TargetPort, cluster: str, default_tags: Tags) -> Stack:
    """The stack of an Ingress. Raises BadIngress."""
    annotations = Annotations(ingress)
    if annotations.one_of("target-type", ("ip", "instance")) != "ip":
        raise BadIngress(f"annotation {PREFIX}target-type: the stand-in knows only ip targets")
    annotations.one_of("ip-address-type", ("ipv4",))
    namespace, name = ingress["metadata"]["namespace"], ingress["metadata"]["name"]
    scheme = annotations.one_of("scheme", ("internal", "internet-facing"))
    groups = TargetGroups(ingress, annotations, target_port, cluster)
    listeners = _listeners(ingress, annotations, groups)
    given_name = annotations.text("load-balancer-name")
    if len(given_name) > 32:
        raise BadIngress(f"annotation {PREFIX}load-balancer-name: {given_name!r} is longer than 32 characters")
    return Stack(
        namespace=namespace,
        ingress=name,
        name=given_name or resource_name(namespace, name, cluster, f"{namespace}/{name}", scheme),
        scheme="internal" if scheme == "internal" else "internet-facing",
        listeners=listeners,
        target_groups=groups.all(),
        attributes=annotations.pairs("load-balancer-attributes"),
        inbound_cidrs=annotations.cidrs("inbound-cidrs"),
        subnets=annotations.items("subnets"),
        security_groups=annotations.items("security-groups"),
        tags={**annotations.pairs("tags"), **default_tags, CLUSTER_TAG: cluster, STACK_TAG: f"{namespace}/{name}"},
    )


class TargetGroups:
    """One target group for each port of a Service that an Ingress names, however often it does."""

    def __init__(
        self, ingress: Mapping[str, Any], annotations: Annotations, target_port: TargetPort, cluster: str
    ) -> None:
        self._namespace = ingress["metadata"]["namespace"]
        self._ingress = ingress["metadata"]["name"]
        self._cluster = cluster
        self._target_port = target_port
        self._check = health_check(annotations)
        self._attributes = annotations.pairs("target-group-attributes")
        self._protocol = annotations.one_of("backend-protocol", ("HTTP", "HTTPS"))
        self._found: dict[tuple[str, Port], TargetGroup] = {}

    def all(self) -> tuple[TargetGroup, ...]:
        """Those asked for so far."""
        return tuple(self._found.values())

    def action(self, backend: Mapping[str, Any]) -> Forward:
        """Forward to the target group of an Ingress backend. Raises BadIngress."""
        if "service" not in backend:
            raise BadIngress("a backend must be a service: resources are not supported")
        name = backend["service"]["name"]
        wanted = backend["service"].get("port") or {}
        port: Port = wanted.get("name") or wanted.get("number") or 0
        if (name, port) not in self._found:
            self._found[name, port] = self._group(name, port)
        return Forward(self._found[name, port].name)

    def _group(self, name: str, port: Port) -> TargetGroup:
        target = self._target_port(name, port)
        parts = (self._cluster, self._namespace, self._ingress, name, str(port), "ip", self._protocol)
        return TargetGroup(
            name=resource_name(self._namespace, name, *parts),
            service=name,
            service_port=port,
            port=target if isinstance(target, int) else 1,  # every target brings its own
            protocol=self._protocol,
            check=self._check,
            attributes=self._attributes,
            resource=f"{self._namespace}/{self._ingress}-{name}:{port}",
        )


def _listeners(ingress: Mapping[str, Any], annotations: Annotations, groups: TargetGroups) -> tuple[Listener, ...]:
    certificates = annotations.items("certificate-arn")
    ports = annotations.listen_ports([("HTTPS", 443)] if certificates else [("HTTP", 80)])
    redirect = annotations.number("ssl-redirect", 0, 0, 65535)
    if redirect and ("HTTPS", redirect) not in ports:
        raise BadIngress(f"annotation {PREFIX}ssl-redirect: there is no HTTPS listener on port {redirect}")
    default, rules = _routes(ingress, groups)
    listeners = []
    for protocol, port in ports:
        attributes = annotations.pairs(f"{LISTENER_ATTRIBUTES}{protocol}-{port}")
        if protocol == "HTTPS":
            if not certificates:
                raise BadIngress(
                    f"no certificate for the HTTPS listener on port {port}: {PREFIX}certificate-arn is missing"
                )
            policy = annotations.text("ssl-policy", "ELBSecurityPolicy-2016-08")
            listeners.append(Listener(port, "HTTPS", default, rules, certificates, policy, attributes))
        elif redirect:
            listeners.append(Listener(port, "HTTP", RedirectToHttps(redirect), attributes=attributes))
        else:
            listeners.append(Listener(port, "HTTP", default, rules, attributes=attributes))
    return tuple(listeners)


def _routes(ingress: Mapping[str, Any], groups: TargetGroups) -> tuple[Action, tuple[Rule, ...]]:
    spec = ingress.get("spec") or {}
    default: Action = groups.action(spec["defaultBackend"]) if spec.get("defaultBackend") else NotFound()
    rules: list[Rule] = []
    for rule in spec.get("rules") or ():
        for path in _specific_first((rule.get("http") or {}).get("paths") or ()):
            conditions = _conditions(rule.get("host", ""), path)
            rules.append(Rule(len(rules) + 1, conditions, groups.action(path["backend"])))
    return default, tuple(rules)


def _specific_first(paths: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """As the Ingress specification wants it: exact ones before prefixes, longer before shorter."""
    return sorted(paths, key=lambda p: (p.get("pathType") != "Exact", -len(p.get("path") or "/")))


def _conditions(host: str, path: Mapping[str, Any]) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    if host:
        conditions.append({"Field": "host-header", "HostHeaderConfig": {"Values": [host]}})
    patterns = _patterns(path.get("path") or "/", path.get("pathType", "ImplementationSpecific"))
    conditions.append({"Field": "path-pattern", "PathPatternConfig": {"Values": patterns}})
    return conditions


def _patterns(path: str, kind: str) -> list[str]:
    if kind != "Prefix":
        return ["/*"] if kind == "ImplementationSpecific" and path == "/" else [path]
    stem = path.rstrip("/")
    return [stem, f"{stem}/*"] if stem else ["/*"]
