"""The faults that act from beside the pods, on one deployment in the lab: seen by the user, and gone afterwards."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
NAMESPACE = "chaotic-backend"
BESIDE = """
name: beside the pods
seed: 3
observe: 1
steady: {seconds: 1, within: 240}
budgets: {success_percent: 0, downtime_seconds: 100, latency_seconds: 60, recovery_seconds: 300}
steps:
  - {fault: container-crash}
  - {fault: network-latency, with: {milliseconds: 100, seconds: 3}}
  - {fault: network-loss, with: {percent: 30, seconds: 3}}
  - {fault: network-partition, with: {seconds: 3}}
  - {fault: memory-pressure, with: {percent: 90, seconds: 3}}
  - {fault: hpa-load, with: {scale_in: true}}
  - {fault: cpu-pressure, with: {seconds: 3}}
"""


def helpers(user: User) -> str:
    return user.kubectl(
        "-n", "kube-system", "get", "jobs", "-l", "app.kubernetes.io/name=chaosctl-helper", "-o", "name"
    )


def detours(user: User) -> list[str]:
    """The pods whose packets are led through a helper; one that the HPA takes away meanwhile does not count."""
    kubectl = (user.tools["kubectl"], "--context", "chaotic-backend-cluster", "-n", NAMESPACE)
    pods = user.run(*kubectl, "get", "pods", "-o", "name").stdout.split()
    look = ("--", "python3", "-S", "-c", "import socket; print(socket.if_nameindex())")
    return [pod for pod in pods if "chaosctl0" in user.run(*kubectl, "exec", pod, *look, status=None).stdout]


def figures(pattern: str, evidence: str) -> list[int]:
    found = re.fullmatch(pattern, evidence)
    assert found is not None, evidence
    return [int(figure) for figure in found.groups()]


def until(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_fault_whose_run_was_killed_ends_by_itself(user: User) -> None:
    process = user.start("chaos", "--fault", "network-loss", "--with", "seconds=40")
    until(60, lambda: bool(detours(user)))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert detours(user)
    until(180, lambda: not detours(user))  # 40 s, and a minute to spare
    assert len(user.json("chaos", "--undo")["undone"]) == 1
    assert helpers(user) == ""


def test_what_helpers_do_is_seen_and_ends(user: User) -> None:
    file = user.home / "beside.yaml"
    file.write_text(BESIDE)
    result: Any = user.json("chaos", "run", str(file))
    assert result["verdict"] == "PASS", result
    crash, latency, loss, partition, memory, hpa, cpu = (step["kills"][0]["evidence"] for step in result["steps"])
    assert re.fullmatch(r"restarts 0 -> [12]", crash)
    assert figures(r".*packets delayed by (\d+) ms on average", latency) >= [100]
    lost, of = figures(r"(\d+) of (\d+) packets lost", loss)
    assert 0 < lost < of
    assert re.fullmatch(r"(\d+) of \1 packets lost", partition)
    assert figures(r"(\d+) of 128 MiB in use", memory) >= [110]
    assert re.fullmatch(r"3 -> ([4-9]|1\d) replicas, CPU at \d+ %", hpa)
    assert re.match(r"uses \d+ m of 500 m CPU", cpu)
    assert (helpers(user), detours(user)) == ("", [])
