"""What moto 5.2.5's elbv2 gets wrong or lacks, put right. Each correction says which symptom it removes.

State that moto does not have is kept as plain attributes on its objects, so that it is pickled with them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from moto.acm.models import acm_backends
from moto.core.responses import ActionResult
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.subnets import Subnet
from moto.elbv2.exceptions import (
    DuplicateListenerError,
    DuplicateLoadBalancerName,
    ELBClientError,
    InvalidConditionValueError,
    LoadBalancerNotFoundError,
    PriorityInUseError,
    RuleNotFoundError,
    TargetGroupNotFoundError,
    TargetNotRunning,
    TooManyTagsError,
    ValidationError,
)
from moto.elbv2.models import (
    AvailabilityZone,
    ELBv2Backend,
    FakeAction,
    FakeListener,
    FakeLoadBalancer,
    FakeTargetGroup,
    elbv2_backends,
)
from moto.elbv2.responses import ELBV2Response
from moto.elbv2.ssl_policies import SSL_POLICIES

Key = tuple[str, int]

LOAD_BALANCERS_GRANTED = 50  # in a Region: AWS's default quota
MAX_TAGS = 50  # of a resource: AWS's limit; moto stops at 10, which a controller's tags and a user's soon exceed

ALB_DEFAULTS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "health_check_logs.s3.enabled": "false",
    "health_check_logs.s3.bucket": "",
    "health_check_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}

NLB_DEFAULTS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "false",
    "secondary_ips.auto_assigned.per_subnet": "0",
    "zonal_shift.config.enabled": "false",
}

# Those of the answer. Source: API_ListenerAttribute of the elbv2 API; the mTLS header names are left out.
LISTENER_DEFAULTS = {
    **{
        f"routing.http.response.{header}.header_value": ""
        for header in (
            "access_control_allow_credentials",
            "access_control_allow_headers",
            "access_control_allow_methods",
            "access_control_allow_origin",
            "access_control_expose_headers",
            "access_control_max_age",
            "content_security_policy",
            "strict_transport_security",
            "x_content_type_options",
            "x_frame_options",
        )
    },
    "routing.http.response.server.enabled": "true",
}

GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

# Limits of the health check of a target group: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
LIMITS = {
    "health_check_interval_seconds": (5, 300, "interval"),
    "health_check_timeout_seconds": (2, 120, "timeout"),
    "healthy_threshold_count": (2, 10, "healthy threshold count"),
    "unhealthy_threshold_count": (2, 10, "unhealthy threshold count"),
}


@dataclass(frozen=True)
class Observed:
    """What was seen of a target: state, reason and description as DescribeTargetHealth spells them."""

    state: str
    reason: str = ""
    description: str = ""


REGISTERED = Observed("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING = Observed("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
NOT_IN_USE = Observed(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
NOT_REGISTERED = Observed("unused", "Target.NotRegistered", "Target is not registered to the target group")


class TargetHealth:
    """One entry of DescribeTargetHealth; moto serializes its attributes."""

    def __init__(self, group: Any, target: Mapping[str, Any], observed: Observed) -> None:
        configured = str(group.health_check_port or "traffic-port")
        self.target = dict(target)
        self.health_check_port = str(target["Port"]) if configured == "traffic-port" else configured
        self.target_health = {
            "State": observed.state,
            "Reason": observed.reason or None,
            "Description": observed.description or None,
        }


class LoadBalancerInterface(NetworkInterface):
    """A network interface that a load balancer has in a subnet."""

    load_balancer_arn = ""

    @property
    def attachment(self) -> Any:
        """Attached to no instance but to the service itself, so that nobody else can detach or delete it."""
        return ServiceAttachment(self.id)


class ServiceAttachment:
    """The attachment of a requester-managed network interface; moto serializes its attributes."""

    def __init__(self, interface_id: str) -> None:
        self.attachment_id = interface_id.replace("eni-", "ela-attach-")
        self.delete_on_termination = False
        self.device_index = 1
        self.instance_owner_id = "amazon-elb"
        self.status = "attached"


def apply() -> None:
    """Correct moto's classes; applying twice does no harm."""
    if getattr(ELBv2Backend, "chaosctl_corrected", False):
        return
    for correct in (_targets, _balancers, _interfaces, _listeners, _rules, _attributes, _validation, _missing_actions):
        correct()
    ELBv2Backend.chaosctl_corrected = True


def target_key(group: Any, target: Mapping[str, Any]) -> Key:
    """What identifies a target in its group: address (or instance) and port."""
    return str(target["Id"]), int(target.get("Port") or group.port)


def in_use(group: Any) -> bool:
    """Whether a listener or a rule forwards to the target group."""
    return bool(_users(group))


def _replace(owner: type, **members: Any) -> None:
    for name, member in members.items():
        setattr(owner, name, member)


# -- targets -----------------------------------------------------------------------------------------------------------


def _targets() -> None:
    """Targets were keyed by address only: a second port overwrote the first. Health was always `healthy`."""
    create = FakeTargetGroup.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.observed = {}
        self.draining = {}

    _replace(
        FakeTargetGroup,
        __init__=init,
        register=_register,
        deregister=_deregister,
        deregister_terminated_instances=_deregister_terminated,
        deregistration_delay=property(_deregistration_delay),
        still_draining=_still_draining,
        # Stayed there after the load balancer was deleted, so that a group seemed to be in use for ever.
        load_balancer_arns=property(_users, lambda self, value: None),
    )
    _replace(ELBv2Backend, describe_target_health=_describe_target_health)


def _register(self: Any, targets: Iterable[Mapping[str, Any]]) -> None:
    for target in targets:
        instance = self.ec2_backend.get_instance_by_id(target["Id"])
        if instance and instance.state != "running":
            raise TargetNotRunning(instance_id=target["Id"])
        key = target_key(self, target)
        if key not in self.targets:
            self.targets[key] = _with_zone(self, {**target, "Port": key[1]})
            self.observed[key] = REGISTERED
        self.draining.pop(key, None)
        self.deregistered_targets.pop(key, None)


def _with_zone(group: Any, target: dict[str, Any]) -> dict[str, Any]:
    """AWS finds the zone of an address inside the VPC by itself, and tells it with the target's health."""
    if group.target_type == "ip" and not target.get("AvailabilityZone"):
        subnets = [s for zone in group.ec2_backend.subnets.values() for s in zone.values() if s.vpc_id == group.vpc_id]
        zones = [s.availability_zone for s in subnets if ip_address(target["Id"]) in ip_network(s.cidr_block)]
        if zones:
            target["AvailabilityZone"] = zones[0]
    return target


def _deregister(self: Any, targets: Iterable[Mapping[str, Any]]) -> None:
    # A target that is not registered was an error; AWS ignores it.
    for target in targets:
        ports = [target["Port"]] if target.get("Port") else [port for id_, port in self.targets if id_ == target["Id"]]
        for port in ports:
            _start_draining(self, (str(target["Id"]), int(port)))


def _start_draining(group: Any, key: Key) -> None:
    target = group.targets.pop(key, None)
    group.observed.pop(key, None)
    if target is not None and in_use(group):
        group.deregistered_targets[key] = target
        group.draining[key] = time.time()


def _deregister_terminated(self: Any, instance_ids: Sequence[str]) -> None:
    for key in [key for key in self.targets if key[0] in instance_ids]:
        _start_draining(self, key)


def _deregistration_delay(self: Any) -> int:
    return int(self.attributes["deregistration_delay.timeout_seconds"])


def _still_draining(self: Any) -> dict[Key, float]:
    """Wall-clock time at which each of the draining targets was deregistered; forgets those whose delay is over."""
    over = time.time() - self.deregistration_delay
    for key in [key for key, since in list(self.draining.items()) if since <= over]:
        self.draining.pop(key, None)
        self.deregistered_targets.pop(key, None)
    return dict(self.draining)


def _describe_target_health(
    self: Any, target_group_arn: str, targets: Sequence[Mapping[str, Any]]
) -> list[TargetHealth]:
    group = self.target_groups.get(target_group_arn)
    if group is None:
        raise TargetGroupNotFoundError()
    draining = group.still_draining()
    keys = [target_key(group, target) for target in targets] if targets else [*group.targets, *draining]
    return [_health(group, key, draining) for key in keys]


def _health(group: Any, key: Key, draining: Mapping[Key, float]) -> TargetHealth:
    if key in group.targets:
        observed = group.observed.get(key, REGISTERED) if in_use(group) else NOT_IN_USE
        return TargetHealth(group, group.targets[key], observed)
    if key in draining:
        return TargetHealth(group, group.deregistered_targets[key], DRAINING)
    return TargetHealth(group, {"Id": key[0], "Port": key[1]}, NOT_REGISTERED)


def _users(group: Any) -> list[str]:
    backend = elbv2_backends[group.account_id][group.region_name]
    return [
        balancer.arn for balancer in list(backend.load_balancers.values()) if _forwards(backend, balancer, group.arn)
    ]


def _forwards(backend: Any, balancer: Any, group_arn: str) -> bool:
    return any(
        group_arn in backend._get_target_group_arns_from(action.data)
        for listener in list(balancer.listeners.values())
        for rule in listener.rules.values()
        for action in rule.actions
    )


# -- load balancers ----------------------------------------------------------------------------------------------------


def _balancers() -> None:
    create = ELBv2Backend.create_load_balancer
    delete = ELBv2Backend.delete_load_balancer

    def create_load_balancer(self: Any, name: str, security_groups: list[str], *args: Any, **kwargs: Any) -> Any:
        existing = next((b for b in self.load_balancers.values() if b.name == name), None)
        if existing is not None:  # the name was not looked at: two load balancers could have the same one
            return _same_or_refused(existing, **kwargs)
        if len(self.load_balancers) >= LOAD_BALANCERS_GRANTED:
            raise ELBClientError("TooManyLoadBalancers", "The maximum number of load balancers has been reached")
        public = kwargs.get("ip_address_type") or "ipv4"
        kwargs["ip_address_type"] = "dualstack" if public.startswith("dualstack") else public
        balancer = create(self, name, security_groups, *args, **kwargs)
        balancer.ip_address_type = public
        _complete(self, balancer)
        return balancer

    def delete_load_balancer(self: Any, arn: str) -> None:
        balancer = self.load_balancers.get(arn)
        if balancer is not None and balancer.attrs.get("deletion_protection.enabled") == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        delete(self, arn)
        _delete_interfaces(self, arn)

    _replace(ELBv2Backend, create_load_balancer=create_load_balancer, delete_load_balancer=delete_load_balancer)
    _replace(
        FakeLoadBalancer,
        # Was active as soon as somebody asked; now when the lab has made it real.
        activate=lambda self: None,
        state_reason="",
        load_balancer_state=property(_state),
    )


def _state(self: Any) -> dict[str, str]:
    return {"Code": self.state, **({"Reason": self.state_reason} if self.state_reason else {})}


def _same_or_refused(existing: Any, **kwargs: Any) -> Any:
    """AWS answers a repeated request with the load balancer that is there, and refuses a different one of that name."""
    subnets = {*(kwargs.get("subnet_ids") or []), *(m["SubnetId"] for m in kwargs.get("subnet_mappings") or [])}
    same_scheme = (kwargs.get("scheme") or "internet-facing") == existing.scheme
    same_type = (kwargs.get("loadbalancer_type") or "application") == existing.type
    if same_scheme and same_type and subnets == {subnet.id for subnet in existing.subnets}:
        return existing
    raise DuplicateLoadBalancerName()


def _complete(backend: Any, balancer: Any) -> None:
    balancer.scheme = balancer.scheme or "internet-facing"
    balancer.attrs = dict(ALB_DEFAULTS if balancer.type == "application" else NLB_DEFAULTS)
    if balancer.type == "network":  # ARNs of network load balancers said app/
        _rename(backend, balancer, balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/"))
    id_ = int(balancer.arn.rsplit("/", 1)[1], 16)
    internal = "internal-" if balancer.scheme == "internal" else ""
    # Every load balancer's name ended in -1: two of one name, one after the other, could not be told apart.
    balancer.dns_name = f"{internal}{balancer.name}-{id_ % 10**10}.{backend.region_name}.elb.amazonaws.com"
    if balancer.type == "application" and not balancer.security_groups:
        balancer.security_groups = [backend.ec2_backend.get_default_security_group(balancer.vpc_id).id]
    _create_interfaces(backend, balancer)


def _rename(backend: Any, balancer: Any, arn: str) -> None:
    tags = backend.tagging_service.get_tag_dict_for_resource(balancer.arn)
    backend.tagging_service.delete_all_tags_for_resource(balancer.arn)
    backend.load_balancers[arn] = backend.load_balancers.pop(balancer.arn)
    balancer.arn = arn
    backend.tagging_service.tag_resource(arn, [{"Key": key, "Value": value} for key, value in tags.items()])


# -- network interfaces ------------------------------------------------------------------------------------------------


def _interfaces() -> None:
    """Load balancers had no network interfaces: the VPC below one could be deleted, which AWS refuses."""
    delete_interface = EC2Backend.delete_network_interface
    delete_subnet = EC2Backend.delete_subnet
    delete_group = EC2Backend.delete_security_group
    set_groups = ELBv2Backend.set_security_groups

    def delete_network_interface(self: Any, eni_id: str) -> None:
        if isinstance(self.enis.get(eni_id), LoadBalancerInterface):
            raise EC2ClientError("OperationNotPermitted", f"You are not allowed to manage '{eni_id}'.")
        delete_interface(self, eni_id)

    def delete_subnet_unless_used(self: Any, subnet_id: str) -> Subnet:
        if any(eni.subnet.id == subnet_id for eni in _all_interfaces(self)):
            raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        return delete_subnet(self, subnet_id)

    def delete_group_unless_used(self: Any, name: str | None = None, group_id: str | None = None) -> None:
        wanted = {name, group_id} - {None}
        if any({group.id, group.name} & wanted for eni in _all_interfaces(self) for group in eni.group_set):
            raise DependencyViolationError(f"resource {group_id or name} has a dependent object")
        delete_group(self, name, group_id)

    def set_security_groups(self: Any, arn: str, sec_groups: list[str]) -> None:
        set_groups(self, arn, sec_groups)
        for eni in _interfaces_of(self, arn):
            eni._group_set = [self.ec2_backend.get_security_group_from_id(group_id) for group_id in sec_groups]

    _replace(
        EC2Backend,
        delete_network_interface=delete_network_interface,
        delete_subnet=delete_subnet_unless_used,
        delete_security_group=delete_group_unless_used,
    )
    _replace(ELBv2Backend, set_security_groups=set_security_groups, set_subnets=_set_subnets)


def _all_interfaces(ec2: Any) -> list[Any]:
    return [eni for eni in list(ec2.enis.values()) if isinstance(eni, LoadBalancerInterface)]


def _interfaces_of(backend: Any, arn: str) -> list[Any]:
    return [eni for eni in _all_interfaces(backend.ec2_backend) if eni.load_balancer_arn == arn]


def _create_interfaces(backend: Any, balancer: Any) -> None:
    for subnet in balancer.subnets:
        eni = LoadBalancerInterface(
            backend.ec2_backend,
            subnet,
            subnet.get_available_subnet_ip(balancer),
            group_ids=list(balancer.security_groups),
            description="ELB " + balancer.arn.split(":loadbalancer/")[1],
        )
        eni.load_balancer_arn = balancer.arn
        eni.requester_managed = True
        eni.requester_id = "amazon-elb"
        eni.status = "in-use"
        backend.ec2_backend.enis[eni.id] = eni


def _delete_interfaces(backend: Any, arn: str) -> None:
    for eni in _interfaces_of(backend, arn):
        eni.subnet.del_subnet_ip(eni.private_ip_address)
        del backend.ec2_backend.enis[eni.id]


def _set_subnets(
    self: Any, arn: str, subnets: Sequence[str], subnet_mappings: Sequence[Mapping[str, Any]]
) -> list[AvailabilityZone]:
    balancer = self.load_balancers.get(arn)
    if balancer is None:
        raise LoadBalancerNotFoundError()
    wanted = [*subnets, *(mapping["SubnetId"] for mapping in subnet_mappings)]
    zones: dict[str, str] = {}
    found = []
    for subnet_id in wanted:
        found.append(self._get_subnet(zones, subnet_id))
        zones[found[-1].availability_zone] = subnet_id
    if len(zones) < 2 and balancer.type == "application":  # one was refused to network load balancers as well
        raise ELBClientError(
            "InvalidConfigurationRequest", "At least two subnets in two different AZs must be specified"
        )
    _delete_interfaces(self, arn)
    balancer.subnets = found
    _create_interfaces(self, balancer)
    return [AvailabilityZone(subnet) for subnet in found]


# -- listeners ---------------------------------------------------------------------------------------------------------


def _listeners() -> None:
    """DescribeListeners told SNI certificates as well, and ModifyListener dropped them."""
    create = ELBv2Backend.create_listener
    modify = ELBv2Backend.modify_listener

    def create_listener(self: Any, load_balancer_arn: str, protocol: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        balancer = self.load_balancers.get(load_balancer_arn)
        # Looked for the port among ARNs: a second listener on the same port was accepted.
        if balancer is not None and any(str(other.port) == str(port) for other in balancer.listeners.values()):
            raise DuplicateListenerError()
        _check_tls(self, protocol, kwargs.get("ssl_policy"), [kwargs["certificate"]] if kwargs["certificate"] else [])
        listener = create(self, load_balancer_arn, protocol, port, *args, **kwargs)
        if protocol in {"HTTP", "HTTPS"}:
            listener.attributes = dict(LISTENER_DEFAULTS)  # those of a network load balancer were told
        return listener

    def modify_listener(
        self: Any,
        arn: str,
        port: Any = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        certificates: Any = None,
        actions: Any = None,
    ) -> Any:
        _check_tls(self, protocol, ssl_policy, [c["CertificateArn"] for c in certificates or []], changed=arn)
        # Knew HTTP, HTTPS and TCP only.
        known = protocol if protocol in (None, "HTTP", "HTTPS", "TCP") else "TCP"
        listener = modify(self, arn, port, known, ssl_policy, certificates or [], actions or [])
        if protocol in {"TLS", "UDP", "TCP_UDP"}:
            listener.protocol = protocol
            listener.certificates = [c["CertificateArn"] for c in certificates or []] or listener.certificates
        return listener

    _replace(ELBv2Backend, create_listener=create_listener, modify_listener=modify_listener)
    _replace(
        ELBv2Backend,
        add_listener_certificates=_add_certificates,
        remove_listener_certificates=_remove_certificates,
        describe_listener_certificates=lambda self, arn: _all_certificates(_listener(self, arn)),
    )
    _replace(ELBv2Backend, modify_listener_attributes=_modify_listener_attributes)
    _replace(FakeListener, sni_certificates=(), rules=property(_ordered_rules))


def _check_tls(
    backend: Any, protocol: str | None, policy: str | None, certificates: Sequence[str], changed: str = ""
) -> None:
    """AWS refuses a policy that it does not know, a certificate that is not issued, and HTTPS without any."""
    if policy and policy not in SSL_POLICIES:
        raise ELBClientError("SSLPolicyNotFound", f"SSL policy '{policy}' not found")
    known = acm_backends[backend.account_id][backend.region_name]._certificates
    for arn in certificates:
        if ":acm:" not in arn:
            continue  # a server certificate of IAM
        if arn not in known:
            raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")
        known[arn].check()
        if known[arn].status != "ISSUED":
            raise ELBClientError(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                "and a supported key size.",
            )
    if protocol == "HTTPS" and not certificates and not (changed and _listener(backend, changed).certificates):
        raise ELBClientError("CertificateNotFound", "A certificate must be specified for HTTPS listeners")


def _modify_listener_attributes(self: Any, listener_arn: str, attrs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Any key was taken."""
    listener = _listener(self, listener_arn)
    for attribute in attrs:
        if attribute["Key"] not in listener.attributes:
            raise ELBClientError(
                "InvalidConfigurationRequest", f"Listener attribute key '{attribute['Key']}' is not recognized"
            )
    listener.attributes.update({attribute["Key"]: attribute.get("Value", "") for attribute in attrs})
    return dict(listener.attributes)


def _ordered_rules(self: Any) -> dict[str, Any]:
    """In the order of their priority, the default last: moto's order was that of their creation."""
    ordered = sorted(self._non_default_rules.items(), key=lambda item: int(item[1].priority))
    return dict([*ordered, *((rule.arn, rule) for rule in self._default_rule.values())])


def _listener(backend: Any, arn: str) -> Any:
    return backend.describe_listeners(None, [arn])[0]


def _all_certificates(listener: Any) -> list[str]:
    return [*listener.certificates, *listener.sni_certificates]


def _add_certificates(self: Any, arn: str, certificates: Sequence[Mapping[str, str]]) -> list[str]:
    listener = _listener(self, arn)
    added = [c["CertificateArn"] for c in certificates if c["CertificateArn"] not in _all_certificates(listener)]
    listener.sni_certificates = (*listener.sni_certificates, *added)
    return [c["CertificateArn"] for c in certificates]


def _remove_certificates(self: Any, arn: str, certificates: Sequence[Mapping[str, str]]) -> None:
    listener = _listener(self, arn)
    gone = {c["CertificateArn"] for c in certificates}
    listener.sni_certificates = tuple(c for c in listener.sni_certificates if c not in gone)


# -- rules -------------------------------------------------------------------------------------------------------------


def _rules() -> None:
    """Regular expressions in conditions failed, transforms were dropped, priorities could not be swapped."""
    host, path, header = (
        getattr(ELBv2Backend, f"_validate_{field}_condition")
        for field in ("host_header", "path_pattern", "http_header")
    )
    validate_actions = ELBv2Backend._validate_actions

    def unless_regex(validate: Callable[..., None], config: str) -> Callable[..., None]:
        def check(self: Any, condition: Mapping[str, Any]) -> None:
            patterns = condition.get(config, {}).get("RegexValues")
            if patterns is None:
                validate(self, condition)
            elif not patterns:
                raise InvalidConditionValueError("A condition value must be specified")

        return check

    def actions_validated(self: Any, actions: Sequence[FakeAction]) -> None:
        validate_actions(self, [action for action in actions if action.type != "jwt-validation"])  # unknown to moto

    _replace(
        ELBv2Backend,
        _validate_host_header_condition=unless_regex(host, "HostHeaderConfig"),
        _validate_path_pattern_condition=unless_regex(path, "PathPatternConfig"),
        _validate_http_header_condition=unless_regex(header, "HttpHeaderConfig"),
        _validate_actions=actions_validated,
        set_rule_priorities=_set_rule_priorities,
    )
    _replace(ELBV2Response, create_rule=_create_rule, modify_rule=_modify_rule)


def _create_rule(self: Any) -> ActionResult:
    params = self._get_params()
    rule = self.elbv2_backend.create_rule(
        listener_arn=params["ListenerArn"],
        conditions=params["Conditions"],
        priority=int(params["Priority"]),
        actions=params["Actions"],
        tags=params.get("Tags"),
    )
    rule.conditions = [_complete_condition(condition) for condition in rule.conditions]
    rule.transforms = params.get("Transforms", [])
    return ActionResult({"Rules": [rule]})


def _modify_rule(self: Any) -> ActionResult:
    params = self._get_params()
    conditions, actions = params.get("Conditions", []), params.get("Actions", [])
    if conditions or actions:
        rule = self.elbv2_backend.modify_rule(params["RuleArn"], conditions, actions)
    else:
        rule = self.elbv2_backend.describe_rules(None, [params["RuleArn"]])[0]
    rule.conditions = [_complete_condition(condition) for condition in rule.conditions]
    if str(params.get("ResetTransforms", "")).lower() == "true":
        rule.transforms = []
    elif params.get("Transforms"):
        rule.transforms = params["Transforms"]
    return ActionResult({"Rules": [rule]})


def _complete_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    """AWS tells the values of hosts and paths twice, in the old place and in the new one, wherever they were given."""
    config = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}.get(condition["Field"])
    if config is None:
        return dict(condition)
    values = condition.get("Values") or condition.get(config, {}).get("Values")
    return {**condition, "Values": values, config: {"Values": values}} if values else dict(condition)


def _set_rule_priorities(self: Any, rule_priorities: Sequence[Mapping[str, Any]]) -> list[Any]:
    wanted = {entry["RuleArn"]: int(entry["Priority"]) for entry in rule_priorities}
    rules = self.describe_rules(None, list(wanted))
    if any(rule.is_default for rule in rules):
        raise ELBClientError("OperationNotPermitted", "Default rule priority cannot be modified")
    if not rules:
        raise RuleNotFoundError()
    others = _listener(self, rules[0].listener_arn)._non_default_rules.values()
    taken = [wanted.get(rule.arn, int(rule.priority)) for rule in others]
    if len(taken) != len(set(taken)):
        raise PriorityInUseError()
    for rule in rules:
        rule.priority = wanted[rule.arn]
    return list(rules)


# -- attributes --------------------------------------------------------------------------------------------------------


def _attributes() -> None:
    """Keys that moto does not know were refused, and defaults that AWS tells were not there."""
    create = FakeTargetGroup.__init__
    modify = ELBv2Backend.modify_target_group_attributes

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.attributes = {**GROUP_DEFAULTS, **{key: str(value) for key, value in self.attributes.items()}}

    def modify_group_attributes(self: Any, target_group_arn: str, attributes: dict[str, Any]) -> None:
        delay = str(attributes.get("deregistration_delay.timeout_seconds", "0"))
        if not delay.isdigit() or int(delay) > 3600:
            raise ValidationError(
                f"'deregistration_delay.timeout_seconds' value '{delay}' must be between '0-3600' inclusive"
            )
        modify(self, target_group_arn, attributes)
        attributes.update(self.target_groups[target_group_arn].attributes)  # AWS answers with all of them

    _replace(FakeTargetGroup, __init__=init)
    _replace(
        ELBv2Backend,
        modify_load_balancer_attributes=_modify_balancer_attributes,
        modify_target_group_attributes=modify_group_attributes,
        add_tags=_add_tags,
    )


def _modify_balancer_attributes(self: Any, arn: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    balancer = self.load_balancers.get(arn)
    if balancer is None:
        raise LoadBalancerNotFoundError()
    malformed = [key for key in attrs if not re.fullmatch(r"[a-zA-Z0-9._]+", key)]
    if malformed:
        raise ELBClientError(
            "InvalidConfigurationRequest", f"Load balancer attribute key '{malformed[0]}' is not recognized"
        )
    balancer.attrs.update(attrs)
    return dict(balancer.attrs)


def _add_tags(self: Any, resource_arns: Sequence[str], tags: Sequence[Mapping[str, str]]) -> None:
    for arn in resource_arns:
        self._get_resource_by_arn(arn)
        existing = self.tagging_service.get_tag_dict_for_resource(arn)
        if len({*existing, *(tag["Key"] for tag in tags)}) > MAX_TAGS:
            raise TooManyTagsError()
        self.tagging_service.tag_resource(arn, tags)


# -- validation --------------------------------------------------------------------------------------------------------


def _validation() -> None:
    """ModifyTargetGroup accepted any health check, and matchers of gRPC were lost."""
    create = ELBv2Backend.create_target_group
    modify = ELBv2Backend.modify_target_group
    respond = ELBV2Response.modify_target_group

    def create_target_group(self: Any, name: str, **kwargs: Any) -> Any:
        group = create(self, name, **kwargs)
        try:
            _check_health_check(group, {})
        except ValidationError:
            del self.target_groups[group.arn]
            raise
        return group

    def modify_target_group(
        self: Any,
        arn: str,
        proto: str | None = None,
        port: str | None = None,
        path: str | None = None,
        interval: int | None = None,
        timeout: int | None = None,
        healthy: str | None = None,
        unhealthy: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        group = self.target_groups.get(arn)
        if group is None:
            raise TargetGroupNotFoundError()
        names = LIMITS.keys()
        given = dict(zip(names, (interval, timeout, healthy, unhealthy), strict=True))
        _check_health_check(group, {name: value for name, value in given.items() if value is not None})
        return modify(self, arn, proto, port, path, interval, timeout, healthy, unhealthy, *args, **kwargs)

    def respond_modified(self: Any) -> ActionResult:
        result = respond(self)
        grpc = (self._get_param("Matcher") or {}).get("GrpcCode")
        if grpc is not None:
            self.elbv2_backend.target_groups[self._get_param("TargetGroupArn")].matcher = {"GrpcCode": grpc}
        return result

    _replace(ELBv2Backend, create_target_group=create_target_group, modify_target_group=modify_target_group)
    _replace(ELBV2Response, modify_target_group=respond_modified)


def _check_health_check(group: Any, changes: Mapping[str, Any]) -> None:
    if group.target_type == "lambda":
        return
    values = {name: int(changes.get(name, getattr(group, name))) for name in LIMITS}
    for name, (low, high, words) in LIMITS.items():
        if not low <= values[name] <= high:
            raise ValidationError(f"Health check {words} '{values[name]}' must be between '{low}' and '{high}'")
    timeout, interval = values["health_check_timeout_seconds"], values["health_check_interval_seconds"]
    if timeout > interval or (timeout == interval and group.protocol in {"HTTP", "HTTPS"}):
        raise ValidationError(f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")


# -- actions that moto does not have -----------------------------------------------------------------------------------


def _missing_actions() -> None:
    set_type = ELBv2Backend.set_ip_address_type

    def set_ip_address_type(self: Any, arn: str, ip_type: str) -> None:
        # Did not know dualstack-without-public-ipv4.
        set_type(self, arn, "dualstack" if ip_type == "dualstack-without-public-ipv4" else ip_type)
        self.load_balancers[arn].ip_address_type = ip_type

    _replace(ELBv2Backend, set_ip_address_type=set_ip_address_type)
    _replace(FakeLoadBalancer, minimum_capacity=0)
    _replace(
        ELBV2Response,
        describe_trust_stores=_describe_trust_stores,
        describe_capacity_reservation=_describe_capacity,
        modify_capacity_reservation=_modify_capacity,
        modify_ip_pools=_modify_ip_pools,
    )


def _describe_trust_stores(self: Any) -> ActionResult:
    if self._get_param("Names", []) or self._get_param("TrustStoreArns", []):
        raise ELBClientError("TrustStoreNotFound", "One or more trust stores not found")
    return ActionResult({"TrustStores": []})


def _balancer_of(response: Any) -> Any:
    balancer = response.elbv2_backend.load_balancers.get(response._get_param("LoadBalancerArn"))
    if balancer is None:
        raise LoadBalancerNotFoundError()
    return balancer


def _describe_capacity(self: Any) -> ActionResult:
    balancer = _balancer_of(self)
    return ActionResult(
        {
            "DecreaseRequestsRemaining": 2,
            "MinimumLoadBalancerCapacity": {"CapacityUnits": balancer.minimum_capacity},
            "CapacityReservationState": [
                {"State": {"Code": "provisioned"}, "AvailabilityZone": zone.zone_name}
                for zone in balancer.availability_zones
            ],
        }
    )


def _modify_capacity(self: Any) -> ActionResult:
    balancer = _balancer_of(self)
    wanted = self._get_param("MinimumLoadBalancerCapacity") or {}
    balancer.minimum_capacity = int(wanted.get("CapacityUnits", 0))  # without one, it is a reset
    return _describe_capacity(self)


def _modify_ip_pools(self: Any) -> ActionResult:
    _balancer_of(self)
    return ActionResult({"IpamPools": self._get_param("IpamPools") or {}})
