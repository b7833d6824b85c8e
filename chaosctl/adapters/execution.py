"""Commands inside running containers, as `kubectl exec` runs them; the websocket comes from the client library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.kube import PODS, Kube
from chaosctl.errors import StageFailed


@dataclass(frozen=True)
class Execution:
    """How a command ended. `status` is None when it did not end in time, or took its own connection along."""

    status: int | None
    stdout: str
    stderr: str


def execute(kube: Kube, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float) -> Execution:
    """Run `command` in a container. Raises StageFailed (KUBE-EXEC) when it cannot even be started."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import ws_client

    configuration, headers = kube.websocket_access()
    words = [("command", word) for word in command]
    try:
        client = ws_client.websocket_call(  # type: ignore[no-untyped-call]
            configuration,
            "GET",
            configuration.host + PODS.path(namespace, pod) + "/exec",
            query_params=[("container", container), ("stdout", "true"), ("stderr", "true"), *words],
            headers=headers,
            _preload_content=False,
        )
    except ApiException as error:
        raise StageFailed(
            f"no command can be run in the pod {namespace}/{pod}",
            code="KUBE-EXEC",
            why=str(error.reason),
            remedy=f"try it by hand: kubectl -n {namespace} exec {pod} -c {container} -- {command[0]}",
        ) from error
    return _followed(client, timeout)


def _followed(client: Any, timeout: float) -> Execution:
    client.run_forever(timeout=timeout)
    stdout, stderr = client.read_stdout(timeout=0), client.read_stderr(timeout=0)
    ended = not client.is_open()
    try:
        status = client.returncode if ended else None
    except (TypeError, KeyError, ValueError):  # cut off before it could tell its status
        status = None
    finally:
        client.close()
    return Execution(status, stdout, stderr)
