"""chaosctl token: the exec plugin of the kubeconfig entry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chaosctl.adapters.aws import Aws, Token
from chaosctl.cli import compose
from chaosctl.cli.command import Common, command
from chaosctl.cli.session import Session, lab_not_running
from chaosctl.config import Settings
from chaosctl.ui.render import Raw


@command
def token(
    session: Session,
    cluster_name: Annotated[
        str | None, typer.Option("--cluster-name", metavar="NAME", help="Default: the configured one.")
    ] = None,
) -> Raw:
    """Print a token for the cluster as kubectl's exec plugins do (client.authentication.k8s.io/v1)."""
    settings = _told(session.common, cluster_name) or session.settings
    env = compose.aws_environment(settings, session.emit)
    if env is None:
        raise lab_not_running()
    return Raw(_credential(Aws(env, settings.region).eks_token(cluster_name or settings.cluster_name)))


def _told(common: Common, cluster_name: str | None) -> Settings | None:
    """The settings when the command line says all that matters, as in our kubeconfig entries.

    kubectl runs in any directory: what the chaosctl.toml there says, or how it is broken, is not its business.
    """
    if common.config or not (cluster_name and common.region and common.target in ("lab", "aws")):
        return None
    told: dict[str, Any] = {"target": common.target, "region": common.region, "cluster_name": cluster_name}
    return Settings.model_construct(**told)


def _credential(made: Token) -> dict[str, object]:
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {},
        "status": {"token": made.text, "expirationTimestamp": made.expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }
