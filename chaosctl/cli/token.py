"""chaosctl token: the exec plugin of the kubeconfig entry."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.adapters.aws import Aws, Token
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.ui.render import Raw


@command
def token(
    session: Session,
    cluster_name: Annotated[
        str | None, typer.Option("--cluster-name", metavar="NAME", help="Default: the configured one.")
    ] = None,
) -> Raw:
    """Print a token for the cluster as kubectl's exec plugins do (client.authentication.k8s.io/v1)."""
    context = session.context()
    aws = Aws(context.target.aws_env, context.target.region)
    return Raw(_credential(aws.eks_token(cluster_name or context.settings.cluster_name)))


def _credential(made: Token) -> dict[str, object]:
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {},
        "status": {"token": made.text, "expirationTimestamp": made.expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }
