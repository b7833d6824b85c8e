"""chaosctl token: the exec plugin of the kubeconfig entry."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.adapters.aws import Aws, Token
from chaosctl.cli import compose
from chaosctl.cli.command import command
from chaosctl.cli.session import Session, lab_not_running
from chaosctl.ui.render import Raw


@command
def token(
    session: Session,
    cluster_name: Annotated[
        str | None, typer.Option("--cluster-name", metavar="NAME", help="Default: the configured one.")
    ] = None,
) -> Raw:
    """Print a token for the cluster as kubectl's exec plugins do (client.authentication.k8s.io/v1)."""
    cluster, target, region, profile = _wanted(session, cluster_name)
    env = compose.aws_environment(target, region, profile, session.emit)
    if env is None:
        raise lab_not_running()
    return Raw(_credential(Aws(env, region).eks_token(cluster)))


def _wanted(session: Session, cluster: str | None) -> tuple[str, str, str, str | None]:
    """Name of the cluster, target, region and profile.

    The settings are not read when the command line says all that matters, as in our kubeconfig entries: kubectl runs in
    any directory, and what the chaosctl.toml there says, or how it is broken, is not its business.
    """
    said = session.common
    if cluster and said.region and said.target in ("lab", "aws") and not said.config:
        return cluster, said.target, said.region, None
    settings = session.settings
    return cluster or settings.cluster_name, settings.target, settings.region, settings.profile


def _credential(made: Token) -> dict[str, object]:
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {},
        "status": {"token": made.text, "expirationTimestamp": made.expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }
