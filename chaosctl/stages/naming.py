"""The name of the app in DNS: an alias of its load balancer, where its zone is in Route 53."""

from __future__ import annotations

from chaosctl.adapters import dns
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.elb import LoadBalancer
from chaosctl.adapters.inventory import Leftover
from chaosctl.adapters.kube import INGRESSES
from chaosctl.errors import PreconditionFailed
from chaosctl.events import Step
from chaosctl.stages import entrance
from chaosctl.stages.access import Access
from chaosctl.stages.controller import tags
from chaosctl.stages.stage import Context


def owner(context: Context) -> str:
    """The text that marks a name as this deployment's."""
    return ",".join(["heritage=chaosctl", *(f"{key}={value}" for key, value in tags(context).items())])


def zone_id(context: Context, aws: Aws) -> str:
    """Id of the domain's zone; empty when the settings name none. Raises PreconditionFailed (TLS-NO-ZONE)."""
    wanted = context.settings.tls
    if not (wanted.on and wanted.zone):
        return ""
    found = dns.zone(aws, wanted.zone)
    if not found:
        raise PreconditionFailed(
            f"this account has no public hosted zone {wanted.zone} in Route 53",
            code="TLS-NO-ZONE",
            why=f"tls.zone says that {wanted.domain} is in it",
            remedy="correct tls.zone, or leave it out and make the records of the domain where its DNS is",
        )
    return found


def lacks(context: Context, aws: Aws, balancer: LoadBalancer) -> str:
    """Why the domain does not lead to the load balancer, in words; empty when it does or nobody asked for it.

    Raises PreconditionFailed (TLS-NAME-TAKEN) when the name is somebody else's.
    """
    zone = zone_id(context, aws)
    if not zone:
        return ""
    held = dns.address(aws, zone, context.settings.tls.domain)
    if held.target and held.owner != owner(context):
        raise PreconditionFailed(
            f"{held.name} is somebody else's",
            code="TLS-NAME-TAKEN",
            why=f"Route 53 has a record that leads to {held.target}, and "
            + (f"it is marked {held.owner}" if held.owner else "no mark of chaosctl beside it"),
            remedy="remove that record, or use another tls.domain",
        )
    if held.target == balancer.dns_name.lower() and held.owner:
        return ""
    return f"{held.name} leads to {held.target}" if held.target else f"{held.name} leads nowhere"


def astray(context: Context, access: Access) -> str:
    """Why the domain does not lead to the app's load balancer, in words; empty when it does, or there is none yet."""
    settings = context.settings
    ingress = access.kube.get(INGRESSES, settings.release, settings.namespace)
    door = entrance.entrance(access.aws, ingress) if ingress else None
    try:
        return lacks(context, access.aws, door.balancer) if door else ""
    except PreconditionFailed as error:
        return f"{error.what}: {error.why}"


def retired(context: Context, access: Access) -> str:
    """The domain that the app has and is not to have any more, when its records are ours; empty when there is none."""
    settings = context.settings
    before = entrance.host_of(access.kube.get(INGRESSES, settings.release, settings.namespace))
    kept = settings.tls.domain if settings.tls.on else ""
    return before if before not in ("", kept) and _is_ours(context, access.aws, before) else ""


def point(context: Context, aws: Aws, balancer: LoadBalancer) -> bool:
    """Make the domain lead to the load balancer; False when it does already. Without a zone it says what to do."""
    wanted = context.settings.tls
    if wanted.on and wanted.domain and not wanted.zone:
        context.emit(
            Step(f"{wanted.domain} has to be a CNAME or an alias of {balancer.dns_name}: its zone is not ours")
        )
        return False
    if not lacks(context, aws, balancer):
        return False
    dns.point(aws, zone_id(context, aws), wanted.domain, balancer, owner(context))
    context.emit(Step(f"{wanted.domain} leads to {balancer.dns_name} now"))
    return True


def leftovers(context: Context, aws: Aws) -> list[Leftover]:
    """The domain of the settings, while it is in Route 53 and marked as ours."""
    domain = context.settings.tls.domain
    return [Leftover("DNS name", domain, "its mark")] if domain and _is_ours(context, aws, domain) else []


def remove(context: Context, aws: Aws, *names: str) -> bool:
    """Take names out of Route 53; False when none of them is there and ours.

    One that went on leading to a load balancer which is gone would be for whoever gets that address next.
    """
    ours = [name for name in dict.fromkeys(names) if name and _is_ours(context, aws, name)]
    for name in ours:
        dns.remove(aws, dns.zone_of(aws, name), name)
        context.emit(Step(f"deleted the records of {name}"))
    return bool(ours)


def _is_ours(context: Context, aws: Aws, name: str) -> bool:
    zone = dns.zone_of(aws, name)
    return bool(zone) and dns.address(aws, zone, name).owner == owner(context)
