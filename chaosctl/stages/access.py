"""How a stage gets at the cluster: the AWS API, the Kubernetes API and Helm, all as the same caller.

The program has a kubeconfig of its own in the environment's directory, so that whatever is in the user's does not
matter. Its token is a file beside it that is renewed before each use: helm would otherwise start an exec plugin, a
whole Python, for each of its commands.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chaosctl.adapters import kubeconfig
from chaosctl.adapters.aws import Aws, Cluster, Token
from chaosctl.adapters.helm import Helm
from chaosctl.adapters.kube import Kube
from chaosctl.errors import PreconditionFailed
from chaosctl.once import once
from chaosctl.stages.stage import Context

RENEW_BEFORE = timedelta(minutes=4)


class Access:
    """The cluster of a context. Nothing is asked of anyone until it is used."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.aws = context.aws

    @once
    def cluster(self) -> Cluster:
        """The EKS cluster. Raises PreconditionFailed (CLUSTER-MISSING) when it cannot be used."""
        name = self._context.settings.cluster_name
        found = self.aws.cluster(name)
        if found is None or not found.endpoint:
            raise PreconditionFailed(
                f"there is no EKS cluster {name} in {self._context.target.region}",
                code="CLUSTER-MISSING",
                why=f"its status is {found.status}" if found else "AWS knows none of that name",
                remedy="run `chaosctl infra`, or `chaosctl up` for everything",
            )
        return found

    @once
    def kube(self) -> Kube:
        """The Kubernetes API."""
        target = self._context.target
        if target.kubeconfig is not None:
            return Kube(target.kubeconfig, target.kube_context)
        return Kube(self._own_kubeconfig, token=self._tokens.current)

    @once
    def helm(self) -> Helm:
        """Helm."""
        return Helm(self._context.tool("helm"), self._own_kubeconfig, prepare=self._tokens.write)

    @once
    def _tokens(self) -> TokenFile:
        return TokenFile(self.aws, self.cluster.name, self._context.token)

    @once
    def _own_kubeconfig(self) -> Path:
        path = self._context.kubeconfig
        user = {"tokenFile": str(self._tokens.path)}
        entry = kubeconfig.Entry("chaosctl", self.cluster.endpoint, self.cluster.ca, user)
        kubeconfig.write(path, entry, switch=True)
        self._tokens.write()
        return path


class TokenFile:
    """A token for the cluster, renewed in time; `path` is for programs that read it from a file."""

    def __init__(self, aws: Aws, cluster: str, path: Path) -> None:
        self.path = path
        self._aws, self._cluster = aws, cluster
        self._token: Token | None = None
        self._lock = threading.Lock()

    def current(self) -> str:
        """A token that is good for some minutes."""
        with self._lock:
            if self._token is None or datetime.now(UTC) > self._token.expires - RENEW_BEFORE:
                self._token = self._aws.eks_token(self._cluster)
            return self._token.text

    def write(self) -> None:
        """Put a good token into the file (0600)."""
        text = self.current()
        with self._lock:
            temporary = self.path.with_name(f".token.{os.getpid()}")
            temporary.unlink(missing_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as out:
                out.write(text)
            temporary.replace(self.path)
