"""The stage that makes everything in AWS with Terraform, and its opposite."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl import places
from chaosctl.adapters import acm, inventory
from chaosctl.adapters.aws import Aws, AwsRefused
from chaosctl.adapters.inventory import Deployment, Leftover
from chaosctl.adapters.terraform import Applied, Terraform, TerraformFailed
from chaosctl.adapters.terraform_messages import Changes
from chaosctl.adapters.terraform_plan import ResourceChange, changes
from chaosctl.config import Settings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import Emit, Step, Warned
from chaosctl.stages import adopt, controller, nodes
from chaosctl.stages.stage import KUBECONFIG, TOKEN, Context, StageResult
from chaosctl.stages.sweep import sweep
from chaosctl.toolbox import providers

STATE_MARK = "chaosctl/bootstrap"  # object that says with which version of terraform/bootstrap the bucket is complete
STATE_KEY = "{environment}/terraform.tfstate"  # in the bucket
LOCK_SUFFIX = ".tflock"
LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
MAIN, BOOTSTRAP, ALARMS = "terraform", "bootstrap", "alarms"  # in Context.workdir
EXAMINED, EXAMINED_MODULE = "plan", "plan-module"  # in Context.workdir
NOT_THERE = {"CREATING", "DELETING", "FAILED"}  # statuses of a cluster that cannot be changed
NOT_TERRAFORMS = {"deletion_protection"}  # provider 5.x cannot set it: `_protect` does


@dataclass(frozen=True)
class Infra:
    """Makes network, cluster, nodes, add-ons and identities."""

    name: str = "infra"

    def describe(self) -> str:
        """What it is going to do."""
        return "make network, cluster, nodes and identities with Terraform"

    def run(self, context: Context) -> StageResult:
        """State bucket, init, apply. Details: `changes` and `outputs` (those of terraform/outputs.tf)."""
        wanted = variables(context)
        bucket_made = ensure_state_bucket(context)
        terraform = open_terraform(context)
        taken_over = adopt.orphans(terraform, context.aws, deployment(context), wanted, context.emit)
        resized = nodes.resize(context)
        applied = _apply(terraform, wanted, taken_over, context.emit)
        protected = _protect(context, context.settings.infra.deletion_protection)
        return StageResult(
            changed=bool(applied.changes) or bucket_made or resized or protected,
            summary=f"Terraform: {applied.changes}" + (", another number of nodes" if resized else ""),
            details={"changes": _counts(applied.changes), "outputs": dict(applied.outputs)},
        )


def _apply(terraform: Terraform, wanted: Mapping[str, Any], taken_over: Mapping[str, str], emit: Emit) -> Applied:
    """Apply. After a run that was killed once more, should it fail: a last request of that one may have come between
    what Terraform read and what it did (a rule that was there, and is gone)."""
    try:
        return terraform.apply(wanted, taken_over)
    except TerraformFailed as error:
        if not taken_over:
            raise
        emit(Warned(f"after an interrupted run: {error}", "Terraform is run once more"))
        return terraform.apply(wanted, taken_over)


def variables(context: Context) -> dict[str, Any]:
    """Terraform's variables. Raises PreconditionFailed (INFRA-NO-CIDRS) when nobody says who may reach the cluster."""
    settings = context.settings
    return {
        **context.target.terraform_variables,
        **settings.infra.model_dump(exclude=NOT_TERRAFORMS),
        "public_access_cidrs": networks(context),
        "region": context.target.region,
        "environment": settings.environment,
        "cluster_name": settings.cluster_name,
        "namespace": settings.namespace,
        **_app_variables(settings),
        "retiring_domains": _retiring(context),
    }


def networks(context: Context) -> list[str]:
    """From where the Kubernetes API may be reached. Raises PreconditionFailed (INFRA-NO-CIDRS) when nobody says."""
    said = context.settings.infra.public_access_cidrs or context.target.terraform_variables.get("public_access_cidrs")
    if not said:
        raise PreconditionFailed(
            "it is not said from where the Kubernetes API may be reached",
            code="INFRA-NO-CIDRS",
            why="infra.public_access_cidrs is empty, and the target names no address of this machine",
            remedy='set it in chaosctl.toml to the address you are seen from: public_access_cidrs = ["203.0.113.7/32"]',
        )
    return list(said)


def _app_variables(settings: Settings) -> dict[str, Any]:
    """What Terraform makes for the app: the certificate of its domain, and the role that reads its secrets."""
    tls = settings.tls
    domain = tls.domain if tls.on and not tls.certificate_arn else ""
    return {
        "certificate_domain": domain,
        "hosted_zone": tls.zone if domain else "",
        "app_service_account": settings.release,
        "app_secrets": sorted(set(settings.app.secrets.values())),
    }


def _retiring(context: Context) -> list[str]:
    """Domains of our certificates that the load balancer still serves and `app` is going to replace."""
    tls = context.settings.tls
    return [domain for domain in acm.served(context.aws, controller.tags(context)) if domain != tls.domain]


def open_terraform(context: Context) -> Terraform:
    """The main module, initialised, with the state of this environment."""
    return opened(context, MAIN, STATE_KEY)


def opened(context: Context, directory: str, key: str) -> Terraform:
    """A module, initialised, with its state of this environment under `key`."""
    terraform = _terraform(context, _sources(directory), context.workdir / directory)
    terraform.init(
        {
            "bucket": context.target.state_bucket,
            "key": key.format(environment=context.settings.environment),
            "region": context.target.region,
        }
    )
    return terraform


def _sources(directory: str) -> Path:
    main = places.asset("terraform")
    return main if directory == MAIN else main / directory


def examine_infra(context: Context) -> list[ResourceChange]:
    """Every resource that Terraform has or would have, and what `infra` would do to it. Takes no lock."""
    terraform = open_terraform(context) if has_bucket(context) else without_state(context, MAIN)
    return changes(terraform.examine(variables(context)))


def has_state(context: Context) -> bool:
    """Whether Terraform ever made anything that it remembers."""
    return has_bucket(context) and bool(open_terraform(context).known())


def has_bucket(context: Context) -> bool:
    """Whether the bucket of the states exists."""
    return _bucket_mark(context)[0]


def without_state(context: Context, directory: str) -> Terraform:
    """A module with an empty state on this machine: the bucket for the real one does not exist yet."""
    sources = context.workdir / EXAMINED_MODULE
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(_sources(directory), sources, ignore=shutil.ignore_patterns(".terraform", "tests"))
    (sources / "state_override.tf").write_text(LOCAL_STATE)
    terraform = _terraform(context, sources, context.workdir / EXAMINED)
    terraform.init()
    return terraform


def ensure_state_bucket(context: Context) -> bool:
    """Make the bucket for the state, or complete it; returns False, after one request, when it is complete already."""
    sources = places.asset("terraform") / "bootstrap"
    digest = _digest(sources)
    if _bucket_mark(context)[1] == digest:
        return False
    bucket, directory = context.target.state_bucket, context.workdir / BOOTSTRAP
    terraform = _terraform(context, sources, directory)
    terraform.wait_for_orphan()
    exists, _ = _bucket_mark(context)
    context.emit(Step(f"{'completing' if exists else 'making'} the bucket {bucket} for the Terraform state"))
    shutil.rmtree(directory, ignore_errors=True)  # its state is not kept, see terraform/bootstrap/main.tf
    terraform = _terraform(context, sources, directory)
    terraform.init()
    terraform.apply(
        {
            "region": context.target.region,
            "bucket": bucket,
            "adopt": exists,
            "mark": STATE_MARK,
            "digest": digest,
        }
    )
    return True


def _bucket_mark(context: Context) -> tuple[bool, str]:
    """Whether the state bucket exists, and what its mark says (nothing when there is none)."""
    aws = context.aws
    try:
        answer = aws.call("s3", "get_object", Bucket=context.target.state_bucket, Key=STATE_MARK)
    except AwsRefused as error:
        if error.aws_code in ("NoSuchBucket", "NoSuchKey"):
            return error.aws_code == "NoSuchKey", ""
        raise
    return True, answer["Body"].read().decode(errors="replace")


def lock_file(context: Context, aws: Aws, state: str = STATE_KEY) -> str:
    """What the lock beside a state says, for terraform_lock.of_file; empty when nobody, dead or alive, holds it."""
    key = state.format(environment=context.settings.environment) + LOCK_SUFFIX
    try:
        answer = aws.call("s3", "get_object", Bucket=context.target.state_bucket, Key=key)
    except AwsRefused as error:
        if error.aws_code not in ("NoSuchKey", "NoSuchBucket", "404"):
            raise
        return ""
    return str(answer["Body"].read().decode(errors="replace"))


def _digest(sources: Path) -> str:
    content = b"".join(path.read_bytes() for path in sorted(sources.glob("*.tf")))
    return hashlib.sha256(content).hexdigest()


def deployment(context: Context) -> Deployment:
    """What to look for in AWS; its VPC only when that is surely ours."""
    wanted = Deployment(context.settings.cluster_name, controller.tags(context))
    return Deployment(wanted.cluster, wanted.tags, inventory.vpc_of(context.aws, wanted))


@dataclass(frozen=True)
class Destroyed:
    """What went: with Terraform, and by request before it: all, of a run that was killed before it stored a state."""

    terraform: Changes
    requested: int

    def __bool__(self) -> bool:
        return bool(self.terraform or self.requested)

    def __str__(self) -> str:
        if self.terraform or not self.requested:
            return f"Terraform: {self.terraform}"
        return f"{self.requested} things deleted that Terraform did not know of"


def destroy_infra(context: Context) -> Destroyed:
    """Remove all that `infra` made, except the state bucket, which other environments may use. May be run again.

    Nothing but the controller's own things may be left in the cluster that hold AWS objects: see stages/destroy.py.
    """
    if not has_bucket(context):
        return Destroyed(Changes(), 0)  # no state, so nothing was ever made
    terraform = open_terraform(context)
    terraform.recover()
    known = terraform.known()
    if not known and not lock_file(context, context.aws):  # a run that was killed at once leaves no more than its lock
        return Destroyed(Changes(), 0)
    _protect(context, False)
    requested = _remove_cluster(context) + _clear_the_way(context, known, settled=terraform.settled)
    return Destroyed(terraform.destroy(variables(context)), requested)


def forget(workdir: Path) -> None:
    """Remove what this machine keeps of an environment that is gone, in `workdir`; journals of chaos runs stay.

    The Terraform state, if any, is in its bucket.
    """
    for directory in (MAIN, BOOTSTRAP, ALARMS, EXAMINED, EXAMINED_MODULE):
        shutil.rmtree(workdir / directory, ignore_errors=True)
    for file in (providers.FILE, KUBECONFIG, TOKEN):
        (workdir / file).unlink(missing_ok=True)


def _clear_the_way(context: Context, known: frozenset[str], *, settled: bool) -> int:
    """Delete what Terraform does not know and would wait for in vain: unattached network interfaces, forgotten things.

    After a run that ended by itself nothing is forgotten. Returns how many went.
    """
    aws = context.aws

    def unattached() -> list[Leftover]:
        return inventory.unattached_interfaces(aws, deployment(context))

    def unknown() -> list[Leftover]:
        found = [item for item in inventory.leftovers(aws, deployment(context)) if not _is_known(item, known)]
        return [item for item in found if item.kind != "network interface"] + unattached()

    return sweep(unattached if settled else unknown, aws, context.emit)[0]


def _is_known(item: Leftover, known: frozenset[str]) -> bool:
    return bool({item.id, item.id.replace("/", ":"), item.id.rpartition("/")[2]} & known)


def _remove_cluster(context: Context) -> int:
    """Remove nodes and cluster by request, so that Terraform finds them gone; how many went.

    Before it asks for a cluster's removal, provider 5.x sleeps for a random time of up to a minute. What is still there
    after this is Terraform's: it tries again, slowly, and has the last word.
    """
    aws, wanted = context.aws, deployment(context)
    return sweep(lambda: inventory.cluster(aws, wanted), aws, context.emit)[0]


def protected(context: Context) -> bool | None:
    """Whether the cluster is protected against deletion; None when there is no cluster."""
    try:
        told = context.aws.call("eks", "describe_cluster", name=context.settings.cluster_name)["cluster"]
    except AwsRefused as error:
        if error.not_found:
            return None
        raise
    return bool(told.get("deletionProtection"))


def unprotected(context: Context) -> str:
    """How the deletion protection differs from the settings, in words; empty when it does not."""
    now, wanted = protected(context), context.settings.infra.deletion_protection
    return "" if now in (None, wanted) else f"is {_switch(now)}, infra.deletion_protection is {_switch(wanted)}"


def _switch(on: bool | None) -> str:
    return "on" if on else "off"


def _protect(context: Context, wanted: bool) -> bool:
    """Set the cluster's deletion protection; returns whether that changed anything. No cluster, nothing to do."""
    if protected(context) in (None, wanted):
        return False
    context.aws.call("eks", "update_cluster_config", name=context.settings.cluster_name, deletionProtection=wanted)
    return True


def _terraform(context: Context, sources: Path, directory: Path) -> Terraform:
    return Terraform(
        context.tool("terraform"),
        sources,
        directory,
        cli_config=providers.cli_config(context.workdir),
        env={**context.target.aws_env, **context.target.marks},
        emit=context.emit,
    )


def _counts(changes: Changes) -> dict[str, int]:
    return {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
