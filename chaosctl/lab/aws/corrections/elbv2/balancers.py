"""Load balancers: their names, their attributes, what comes and goes with them."""

from __future__ import annotations

from typing import Any

from moto.elbv2.exceptions import DuplicateLoadBalancerName, ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer

from chaosctl.lab.aws.corrections.elbv2.interfaces import create_interfaces, delete_interfaces
from chaosctl.lab.aws.corrections.elbv2.replace import replace

LOAD_BALANCERS_GRANTED = 50  # in a Region: AWS's default quota

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


def apply() -> None:
    """Their names were not unique, they were active at once, and they told few of their attributes."""
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
        delete_interfaces(self, arn)

    replace(ELBv2Backend, create_load_balancer=create_load_balancer, delete_load_balancer=delete_load_balancer)
    replace(
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
    create_interfaces(backend, balancer)


def _rename(backend: Any, balancer: Any, arn: str) -> None:
    tags = backend.tagging_service.get_tag_dict_for_resource(balancer.arn)
    backend.tagging_service.delete_all_tags_for_resource(balancer.arn)
    backend.load_balancers[arn] = backend.load_balancers.pop(balancer.arn)
    balancer.arn = arn
    backend.tagging_service.tag_resource(arn, [{"Key": key, "Value": value} for key, value in tags.items()])
