"""Actions that moto does not have."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import ELBClientError, LoadBalancerNotFoundError
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer
from moto.elbv2.responses import ELBV2Response

from chaosctl.lab.aws.corrections.elbv2.replace import replace


def apply() -> None:
    """moto's dispatcher finds them by their names."""
    set_type = ELBv2Backend.set_ip_address_type

    def set_ip_address_type(self: Any, arn: str, ip_type: str) -> None:
        # Did not know dualstack-without-public-ipv4.
        set_type(self, arn, "dualstack" if ip_type == "dualstack-without-public-ipv4" else ip_type)
        self.load_balancers[arn].ip_address_type = ip_type

    replace(ELBv2Backend, set_ip_address_type=set_ip_address_type)
    replace(FakeLoadBalancer, minimum_capacity=0)
    replace(
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
