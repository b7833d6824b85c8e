"""Letting this machine reach the API of a cluster that is there, and nothing else: what another runner of CI needs."""

from __future__ import annotations

from dataclasses import dataclass

from chaosctl.adapters import eks
from chaosctl.adapters.aws import AwsRefused
from chaosctl.stages import infra
from chaosctl.stages.stage import Context, StageResult

NOTHING = {"changes": {"added": 0, "changed": 0, "removed": 0}, "outputs": {}}
OPENED = {"changes": {"added": 0, "changed": 1, "removed": 0}, "outputs": {}}


@dataclass(frozen=True)
class Reach:
    """Opens the public endpoint of the Kubernetes API for the networks of the settings, or for where we are."""

    name: str = "infra"

    def describe(self) -> str:
        """What it is going to do."""
        return "let this machine reach the Kubernetes API, and change nothing else"

    def run(self, context: Context) -> StageResult:
        """Whom the cluster lets in already stays in: they may be at work. `infra` makes the list what it should be.

        Raises PreconditionFailed (INFRA-NO-CIDRS). Without a cluster, or while it comes or goes, nothing is done.
        """
        name, wanted = context.settings.cluster_name, infra.networks(context)
        try:
            cluster = context.aws.call("eks", "describe_cluster", name=name)["cluster"]
        except AwsRefused as error:
            if error.not_found:
                return StageResult(False, f"there is no cluster {name} to reach", NOTHING)
            raise
        if cluster["status"] in infra.NOT_THERE:
            return StageResult(False, f"the cluster {name} is {cluster['status']}", NOTHING)
        config = cluster["resourcesVpcConfig"]
        there = list(config.get("publicAccessCidrs") or ())
        missing = [network for network in wanted if network not in there]
        if not config.get("endpointPublicAccess") or not missing:
            return StageResult(False, f"{', '.join(wanted)} may reach it already", NOTHING)
        eks.let_in(context.aws, name, [*there, *missing], context.emit)
        return StageResult(True, f"{', '.join(missing)} may reach the Kubernetes API", OPENED)
