"""EC2: launch templates, security group rules, gateway endpoints, images."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import InvalidRouteError
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.models.security_groups import SecurityGroupRule

from chaosctl.lab.aws.eks.versions import KUBERNETES, image_id, image_parameter

IMAGE_OWNER = "602401143452"  # the account from which AWS publishes EKS's images


def apply() -> None:
    """Apply all of them."""
    _launch_template_tags()
    _rule_descriptions()
    _gateway_endpoints()
    AmiBackend._load_amis = _node_images


def _launch_template_tags() -> None:
    # The template's own tags come back inside its data: with default_tags, every plan wants a change.
    init = LaunchTemplateVersion.__init__

    def without_own_tags(
        self: LaunchTemplateVersion, template: Any, number: int, data: dict[str, Any], description: str
    ) -> None:
        specifications = data.pop("TagSpecifications", [])
        others = [spec for spec in specifications if spec.get("ResourceType") != "launch-template"]
        init(self, template, number, {**data, "TagSpecifications": others} if others else data, description)

    LaunchTemplateVersion.__init__ = without_own_tags


def _rule_descriptions() -> None:
    # A rule that names a group instead of addresses loses its description: every plan wants a change.
    def description(self: SecurityGroupRule) -> str | None:
        text: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return text

    SecurityGroupRule.description = property(description)


def _gateway_endpoints() -> None:
    # Route tables that were added later have no route to the endpoint, and deleting it fails on the first of them.
    delete = EC2Backend.delete_vpc_endpoints

    def delete_vpc_endpoints(self: EC2Backend, vpce_ids: list[str] | None = None) -> None:
        for endpoint in map(self.vpc_end_points.get, vpce_ids or []):
            if endpoint is None:
                continue
            endpoint.vpc_endpoint_type = endpoint.vpc_endpoint_type or "Gateway"  # AWS's default
            if endpoint.vpc_endpoint_type == "Gateway":
                _delete_routes(self, endpoint)
        delete(self, vpce_ids)

    EC2Backend.delete_vpc_endpoints = delete_vpc_endpoints


def _delete_routes(backend: EC2Backend, endpoint: Any) -> None:
    for table in endpoint.route_table_ids:
        try:
            backend.delete_route(table, endpoint.destination_prefix_list_id)
        except InvalidRouteError:
            continue
    endpoint.route_table_ids = []


def _node_images(backend: EC2Backend) -> None:
    # moto fills each region with 1,300 images, none of them EKS's: half a second, and most of every saved state.
    for version in KUBERNETES:
        for arch in ("x86_64", "arm64"):
            ami_id = image_id(version, arch)
            backend.amis[ami_id] = Ami(
                backend,
                ami_id,
                name=image_parameter(
                    f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{arch}/standard/recommended/image_name"
                ),
                owner_id=IMAGE_OWNER,
                owner_alias="amazon",
                public=True,
                virtualization_type="hvm",
                architecture=arch,
                hypervisor="xen",
                root_device_type="ebs",
                root_device_name="/dev/xvda",
            )
