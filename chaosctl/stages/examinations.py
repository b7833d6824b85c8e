"""What `doctor` looks at: one function per thing, each yields findings. The list of them is in stages/doctor.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from chaosctl import places
from chaosctl.adapters import acm, dns, inventory
from chaosctl.adapters.acm import Certificate
from chaosctl.adapters.aws import Aws, AwsRefused, Caller
from chaosctl.adapters.inventory import Deployment
from chaosctl.adapters.kube import SECRETS
from chaosctl.adapters.terraform import unlocking
from chaosctl.config import Settings, TlsSettings
from chaosctl.errors import ChaosctlError
from chaosctl.events import ignore
from chaosctl.findings import Finding, Level, ok, problem, unknown, warning
from chaosctl.once import once
from chaosctl.stages import certificate, controller, locks
from chaosctl.stages.access import Access
from chaosctl.stages.infra import deployment
from chaosctl.stages.locks import Held
from chaosctl.stages.rollback import last_rollback
from chaosctl.stages.stage import Context
from chaosctl.toolbox import Toolbox
from chaosctl.toolbox.toolbox import ToolReport

# End of standard support of EKS versions. Source: AWS, "Amazon EKS Kubernetes release calendar", read 2026-11-23.
SUPPORT_ENDS = {"1.34": date(2026, 12, 2), "1.35": date(2027, 3, 27), "1.36": date(2027, 8, 2)}
SUPPORT_WARNING = timedelta(days=60)
EXPIRY_WARNING = timedelta(hours=1)  # a first `up` takes half of that
MANAGED_BY_STAGES = ("terraform", "helm", "kubectl")  # what the stages run, whatever the target
STUCK = "owner=helm,status in (pending-install,pending-upgrade,pending-rollback,uninstalling)"
SHOWN = 5  # things that one line names; of the rest the number


@dataclass(frozen=True)
class Case:
    """What is examined. `context` is None when the target does not exist or cannot be opened."""

    settings: Settings
    context: Context | None
    today: date

    @property
    def deploys(self) -> bool:
        """Whether `up` is for this target, or will be once it exists: not to a cluster from somebody's kubeconfig."""
        return self.context is None or self.has_aws

    @property
    def has_aws(self) -> bool:
        """Whether there is an AWS to ask: a cluster from somebody's kubeconfig has none that we know of."""
        return self.context is not None and self.context.target.kubeconfig is None

    @once
    def access(self) -> Access:
        """Clients for AWS and the cluster."""
        assert self.context is not None
        return Access(self.context)

    @property
    def aws(self) -> Aws:
        """The AWS API."""
        return self.access.aws

    @once
    def caller(self) -> Caller:
        """Who AWS takes us for."""
        return self.aws.caller()

    @once
    def cluster(self) -> Mapping[str, Any] | None:
        """The cluster as EKS describes it, or None."""
        return described(self.aws, self.settings.cluster_name)


def described(aws: Aws, name: str) -> Mapping[str, Any] | None:
    """The cluster as EKS describes it, or None when there is none of that name."""
    try:
        found: Mapping[str, Any] = aws.call("eks", "describe_cluster", name=name)["cluster"]
    except AwsRefused as error:
        if error.not_found:
            return None
        raise
    return found


def of_error(error: ChaosctlError, level: Level = Level.UNKNOWN) -> Finding:
    """A finding that says what an error says, in one line."""
    evidence = next(iter(error.why.splitlines()), "")
    return Finding(level, f"{error.what}: {evidence}" if evidence else error.what, error.remedy, error.code)


def credentials(case: Case) -> Iterator[Finding]:
    """AWS accepts them, and will for a while."""
    try:
        arn, login = case.caller.arn, case.aws.login()
    except ChaosctlError as error:
        yield of_error(error, Level.PROBLEM)
        return
    yield ok(f"{arn}, renewed by themselves" if login.renewed else arn)
    left = (login.until or datetime.max.replace(tzinfo=UTC)) - datetime.now(UTC)
    if not login.renewed and left < EXPIRY_WARNING:
        yield warning(f"they expire in {left.total_seconds() / 60:.0f} min", "log in again before a long run")


def account(case: Case) -> Iterator[Finding]:
    """The account is the one that the settings name."""
    wanted, found = case.settings.account_id, case.caller.account
    if wanted in (None, found):
        yield ok(found)
        return
    yield problem(
        f"these credentials belong to the account {found}, not to {wanted}",
        "use the other credentials (AWS_PROFILE), or change account_id in chaosctl.toml",
    )


def administrators(case: Case) -> Iterator[Finding]:
    """The cluster goes on letting us in, and whoever else administers it."""
    named, us = case.settings.infra.admin_principal_arns, principal(case.caller.arn)
    if named and us not in map(principal, named):
        yield problem(
            f"infra.admin_principal_arns leaves out {case.caller.arn}, so the cluster would not let us in",
            "add the role or user of these credentials, or use those of one that is named",
        )
    elif named:
        yield ok(f"{len(named)} are named, we among them")
    elif others := [arn for arn in _admitted(case) if principal(arn) != us]:
        yield warning(
            f"the cluster lets in {_some(others)}; `up` would take that away, since no administrators are named",
            "name all, yourself too, in infra.admin_principal_arns",
        )
    else:
        yield ok("only we; infra.admin_principal_arns names others")


def principal(arn: str) -> tuple[str, str]:
    """Kind and name of the role or user behind an ARN, which may be that of a session."""
    kind, *parts = arn.rpartition(":")[2].split("/")
    return ("role", parts[0]) if kind == "assumed-role" else (kind, parts[-1] if parts else "")


def _admitted(case: Case) -> Iterator[str]:
    """Whom Terraform lets into the cluster that is there, without those who are developers by the settings."""
    if case.cluster is None:
        return
    assert case.context is not None
    name = case.settings.cluster_name
    ours = Deployment(name, controller.tags(case.context))
    for arn in case.aws.pages("eks", "list_access_entries", "accessEntries", clusterName=name):
        entry = case.aws.call("eks", "describe_access_entry", clusterName=name, principalArn=arn)["accessEntry"]
        if inventory.is_ours(entry.get("tags", {}), ours) and arn not in case.settings.infra.developer_principal_arns:
            yield arn


def region(case: Case) -> Iterator[Finding]:
    """The region has enough zones."""
    filters = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    answer = case.aws.call("ec2", "describe_availability_zones", Filters=filters)
    zones = [zone["ZoneName"] for zone in answer["AvailabilityZones"]]
    wanted = case.settings.infra.az_count
    if len(zones) < wanted:
        yield problem(
            f"{case.settings.region} offers {len(zones)} zones, infra.az_count is {wanted}",
            "use another region, or lower infra.az_count",
        )
        return
    yield ok(f"{case.settings.region}, {len(zones)} zones")


@dataclass(frozen=True)
class Quota:
    """A limit of the account. `used` and `needed` count as AWS counts it."""

    name: str
    service: str
    code: str
    used: Callable[[Case], float]
    needed: Callable[[Case], float]


def _vpcs(case: Case) -> float:
    return len(list(case.aws.pages("ec2", "describe_vpcs", "Vpcs")))


def _addresses(case: Case) -> float:
    return len(list(case.aws.pages("ec2", "describe_addresses", "Addresses")))


def _vcpus(case: Case) -> float:
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    reservations = case.aws.pages("ec2", "describe_instances", "Reservations", Filters=alive)
    options = [i.get("CpuOptions", {}) for r in reservations for i in r["Instances"]]
    return sum(float(o.get("CoreCount", 1) * o.get("ThreadsPerCore", 1)) for o in options)


def _vcpus_needed(case: Case) -> float:
    infra = case.settings.infra
    answer = case.aws.call("ec2", "describe_instance_types", InstanceTypes=infra.node_instance_types)
    return infra.node_max_size * max(float(t["VCpuInfo"]["DefaultVCpus"]) for t in answer["InstanceTypes"])


def _nat_gateways(case: Case) -> float:
    return 1 if case.settings.infra.single_nat_gateway else case.settings.infra.az_count


QUOTAS = (
    Quota("vCPUs of on-demand instances", "ec2", "L-1216C47A", _vcpus, _vcpus_needed),
    Quota("Elastic IP addresses", "ec2", "L-0263D0A3", _addresses, _nat_gateways),
    Quota("VPCs", "vpc", "L-F678F1CE", _vpcs, lambda case: 1),
)


def quotas(case: Case) -> Iterator[Finding]:
    """The account's limits leave room for a deployment; one that exists has taken what it needs."""
    if case.cluster is not None:
        yield ok("the cluster exists already")
        return
    for quota in QUOTAS:
        yield from _quota(case, quota)


def _quota(case: Case, quota: Quota) -> Iterator[Finding]:
    try:
        answer = case.aws.call("service-quotas", "get_service_quota", ServiceCode=quota.service, QuotaCode=quota.code)
        limit = float(answer["Quota"]["Value"])
    except (ChaosctlError, KeyError):
        yield unknown(f"the quota of {quota.name} is not told", f"look up {quota.code} in the Service Quotas console")
        return
    used, needed = quota.used(case), quota.needed(case)
    if used + needed > limit:
        yield problem(
            f"{quota.name}: {used:.0f} of {limit:.0f} are used, {needed:.0f} more are needed",
            f"free some, or have the quota {quota.code} raised in {case.settings.region}",
        )
        return
    yield ok(f"{quota.name}: {used:.0f} of {limit:.0f} used, {needed:.0f} needed")


def tools(case: Case) -> Iterator[Finding]:
    """Which version of each tool is used, and from where."""
    reports = Toolbox(places.cache_dir(), case.settings.toolbox, ignore).report()
    yield from judge_tools(reports)


def judge_tools(reports: Sequence[ToolReport]) -> Iterator[Finding]:
    """Findings about tools that were looked for."""
    there = [r for r in reports if r.path is not None]
    named = [r for r in there if r.tool in MANAGED_BY_STAGES]
    others = f", and {len(there) - len(named)} for the lab" if len(there) > len(named) else ""
    if named:
        yield ok(", ".join(f"{r.tool} {r.version} ({r.origin})" for r in named) + others)
    missing = [r.tool for r in reports if r.path is None]
    if missing:
        yield warning(
            f"not here, or not in a version that will do: {_some(missing)}",
            "nothing to do with a network: they are fetched when they are needed; `chaosctl tools` lists all",
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def support(case: Case) -> Iterator[Finding]:
    """The configured version of Kubernetes is supported by EKS, and will be for a while."""
    yield from judge_version(case.settings.infra.kubernetes_version, "infra.kubernetes_version", case.today)


def live_support(case: Case) -> Iterator[Finding]:
    """So is the one that runs."""
    running = str((case.cluster or {}).get("version", ""))
    if running and running != case.settings.infra.kubernetes_version:
        yield from judge_version(running, "the cluster", case.today)


def judge_version(version: str, whose: str, today: date) -> Iterator[Finding]:
    """Findings about an EKS version on a day."""
    oldest, newest = min(SUPPORT_ENDS, key=_number), max(SUPPORT_ENDS, key=_number)
    end = SUPPORT_ENDS.get(version)
    if end is None and _number(version) < _number(oldest):
        yield problem(
            f"{whose} is {version}: its standard support by EKS ended before that of {oldest}",
            f'set kubernetes_version = "{newest}" in [infra] of chaosctl.toml',
        )
    elif end is None:
        yield unknown(f"{whose} is {version}, of which no end of support is known here", f"{newest} is known")
    elif today > end:
        yield problem(
            f"{whose} is {version}: its standard support by EKS ended on {end}",
            f'set kubernetes_version = "{newest}" in [infra] of chaosctl.toml',
        )
    elif end - today <= SUPPORT_WARNING:
        yield warning(
            f"{whose} is {version}: its standard support by EKS ends on {end}, in {(end - today).days} days",
            f'upgrade one minor version at a time: kubernetes_version in [infra] of chaosctl.toml, up to "{newest}"',
        )
    else:
        yield ok(f"{whose} is {version}, supported until {end}")


def _number(version: str) -> tuple[int, ...]:
    """For comparing: 1.9 is older than 1.36."""
    return tuple(map(int, version.split(".")))


def tls(case: Case) -> Iterator[Finding]:
    """The certificate that the settings name can be served, the zone is there, and what is served does not end soon."""
    wanted = case.settings.tls
    assert case.context is not None
    if not wanted.on:
        yield ok("off: users get plain HTTP")
        return
    if not (wanted.domain or wanted.certificate_arn):
        yield from _own_certificate(case.context)
        return
    if wanted.zone and not dns.zone(case.aws, wanted.zone):
        yield problem(f"the account has no public hosted zone {wanted.zone}", "correct tls.zone, or leave it out")
    if wanted.certificate_arn:
        yield from judge_named(acm.describe(case.aws, wanted.certificate_arn), wanted, case.today)
    elif found := certificate.of_domain(case.context, case.aws):
        yield judge_certificate(found, case.today)
    else:
        yield ok(f"`infra` will ask ACM for a certificate for {wanted.domain}")


def _own_certificate(context: Context) -> Iterator[Finding]:
    if context.target.ca_file is None:
        yield problem(
            "tls.enabled needs a certificate, and AWS issues none for the names of load balancers",
            "set tls.domain, or import one and set tls.certificate_arn",
        )
        return
    yield ok(f"a certificate of the target's own authority, {context.target.ca_file}")


def judge_named(found: Certificate | None, wanted: TlsSettings, today: date) -> Iterator[Finding]:
    """Findings about the certificate that tls.certificate_arn names."""
    if found is None:
        yield problem(
            f"ACM has no {wanted.certificate_arn}", "correct tls.certificate_arn; it must be in the app's own region"
        )
        return
    if wanted.domain and not found.covers(wanted.domain):
        yield problem(
            f"the certificate is for {', '.join(found.names)}, not for {wanted.domain}",
            "correct tls.domain or tls.certificate_arn",
        )
    yield judge_certificate(found, today)


def judge_certificate(found: Certificate, today: date) -> Finding:
    """What to think of a certificate on a day."""
    now = datetime.combine(today, datetime.min.time(), UTC)
    if found.status == "PENDING_VALIDATION":
        waited = certificate.not_issued(found)
        return warning(f"{waited.what}: {' '.join(waited.why.splitlines())}", waited.remedy)
    trouble = certificate.trouble(found, now)
    if not found.issued:
        return problem(trouble, "ask ACM for another one")
    if trouble:
        return warning(trouble, certificate.renewal(renewed=found.renewed))
    return ok(f"{found.domain}, until {found.not_after:%Y-%m-%d}")


def state_lock(case: Case) -> Iterator[Finding]:
    """Nobody, dead or alive, holds a Terraform state."""
    assert case.context is not None
    found = list(locks.held(case.context, case.aws))
    yield from map(judge_lock, found)
    if not found:
        yield ok("not locked")


def judge_lock(held: Held) -> Finding:
    """What to think of a lock on a state."""
    lock = held.info
    if lock is None:
        return unknown(
            f"{held.state} is locked by something that is not Terraform", "look at its .tflock in the bucket"
        )
    if held.stale:
        return warning(f"a run that died left a lock: {lock}", "nothing to do: the next `chaosctl up` removes it")
    holder = held.runs.holder(lock)
    if holder and (holder.alive or holder.pid == os.getpid()):
        return warning(f"another run is at work: {lock}", f"wait for process {holder.pid} to end")
    return warning(
        f"{held.state} is held by {lock}", f"wait for that run; if it is dead for certain: {unlocking(lock)}"
    )


def releases(case: Case) -> Iterator[Finding]:
    """No Helm release is stuck half way, and the last upgrade of the app did not have to be undone."""
    if case.cluster is None or not case.cluster.get("endpoint"):
        return
    kube, settings = case.access.kube, case.settings
    stuck, undone = kube.list(SECRETS, labels=STUCK), last_rollback(kube, settings.namespace, settings.release)
    if undone:
        yield warning(f"{settings.namespace}/{settings.release}: {undone}", "correct it, then run `chaosctl up`")
    if not stuck and not undone:
        yield ok("none is stuck")
    for secret in stuck:
        meta = secret["metadata"]
        labels = meta.get("labels") or {}
        yield warning(
            f"the release {meta['namespace']}/{labels.get('name')} is {labels.get('status')}",
            _unstick(case, str(labels.get("name")), meta["namespace"]),
        )


def _unstick(case: Case, name: str, namespace: str) -> str:
    if name in (case.context.target.charts if case.context else {}):
        return "unless a run is at work: nothing to do, the next `chaosctl up` frees it"
    return f"unless it is being installed: `helm rollback {name} -n {namespace}`"


def leftovers(case: Case) -> Iterator[Finding]:
    """Without a cluster nothing of a deployment should be there."""
    assert case.context is not None
    if case.cluster is not None:
        return
    left = inventory.leftovers(case.aws, deployment(case.context))
    if not left:
        yield ok("none")
        return
    yield warning(
        f"{len(left)} things of an earlier run are there without a cluster: "
        + _some([f"{item.kind} {item.id}" for item in left]),
        "`chaosctl up` carries on with them, `chaosctl down` removes them",
    )


def address_inside(own: str, configured: Sequence[str], cluster: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Whether the address that we are seen from may use the public endpoint; `cluster` as EKS describes it."""
    if configured and not _inside(own, configured):
        yield problem(
            f"you are seen from {own}, which infra.public_access_cidrs ({', '.join(configured)}) leaves out",
            f'add "{own}/32" to public_access_cidrs in [infra] of chaosctl.toml, or use a network that is in it',
        )
        return
    live = (cluster or {}).get("resourcesVpcConfig", {})
    allowed: list[str] = live.get("publicAccessCidrs") or []
    if live.get("endpointPublicAccess") and not _inside(own, allowed):
        yield warning(
            f"you are seen from {own}, the cluster lets in {', '.join(allowed)} only",
            "`chaosctl infra` opens it for where you are now",
        )
        return
    yield ok(f"{own} may reach the Kubernetes API")


def _inside(address: str, networks: Sequence[str]) -> bool:
    return any(ip_address(address) in ip_network(network) for network in networks)
