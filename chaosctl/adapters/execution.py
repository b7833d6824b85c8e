"""Commands inside running containers, as `kubectl exec` runs them; the websocket comes from the client library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.adapters.kube import PODS, Kube
from chaosctl.errors import StageFailed, Unreachable


@dataclass(frozen=True)
class Execution:
    """How a command ended. `status` is None when it did not end in time, or took its own connection along."""

    status: int | None
    stdout: str
    stderr: str


def execute(kube: Kube, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float) -> Execution:
    """Run `command` in a container. Raises StageFailed (KUBE-EXEC) when it cannot even be started.

    Raises Unreachable when the connection breaks meanwhile.
    """
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
    try:
        return _followed(client, timeout)
    except OSError as error:
        raise Unreachable(
            f"the connection to the pod {namespace}/{pod} broke",
            code="KUBE-UNREACHABLE",
            why=f"while {command[0]} ran in its container {container}: {error}",
            remedy="see with `chaosctl status` what became of it, then run the same command again",
        ) from error


def _followed(client: Any, timeout: float) -> Execution:
    """Until it has ended. Raises OSError for a connection that breaks in any other way than by ending."""
    cut_off = _run(client, timeout)
    if cut_off:
        _close(client)  # else reading what has arrived would ask the broken connection for more
    stdout, stderr = client.read_stdout(timeout=0), client.read_stderr(timeout=0)
    ended = not client.is_open() and not cut_off
    try:
        status = client.returncode if ended else None
    except (TypeError, KeyError, ValueError):  # cut off before it could tell its status
        status = None
    finally:
        _close(client)
    return Execution(status, stdout or "", stderr or "")


def _run(client: Any, timeout: float) -> bool:
    """Whether the connection ended without a word: the command may have taken it along."""
    from websocket import WebSocketConnectionClosedException, WebSocketException

    try:
        client.run_forever(timeout=timeout)
    except (WebSocketConnectionClosedException, ConnectionError):
        return True
    except WebSocketException as error:
        _close(client)
        raise OSError(str(error)) from error
    return False


def _close(client: Any) -> None:
    """Once the other side has closed, the library's own close() returns at once and leaves the socket open."""
    client.close()
    client.sock.shutdown()
