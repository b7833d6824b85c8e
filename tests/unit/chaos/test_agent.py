"""The program in a helper, as far as it does nothing to anyone: what it reads, what it says, how it is handed over."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaosctl.chaos import helper
from chaosctl.chaos.agent import main
from chaosctl.chaos.agent.act import Act, Cannot
from chaosctl.chaos.agent.container import Container
from chaosctl.chaos.agent.network import Route

V1 = {
    "cpu": {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n", "cpu.stat": "nr_periods 9\nnr_throttled 4"},
    "cpuacct": {"cpuacct.usage": "1500000000\n"},
    "memory": {"memory.usage_in_bytes": "1048576\n", "memory.limit_in_bytes": "134217728\n"},
}
V2 = {
    "": {
        "cpu.max": "50000 100000\n",
        "cpu.stat": "usage_usec 1500000\nnr_throttled 4\n",
        "memory.current": "1048576\n",
        "memory.max": "134217728\n",
    }
}


def cgroups(root: Path, hierarchies: dict[str, dict[str, str]], pids: str) -> None:
    for hierarchy, files in hierarchies.items():
        group = root / hierarchy / "kubepods" / "pod7" / "cri-abc123.scope"
        group.mkdir(parents=True)
        for name, text in {**files, "cgroup.procs": pids}.items():
            (group / name).write_text(text)


@pytest.mark.parametrize("hierarchies", [V1, V2], ids=["v1", "v2"])
def test_a_container_is_found_by_its_cgroups_and_read(tmp_path: Path, hierarchies: dict[str, dict[str, str]]) -> None:
    cgroups(tmp_path, hierarchies, f"{2**22 + 1}\n{os.getpid()}\n")  # the first has ended since
    found = Container.find("abc123", tmp_path)
    assert found.main == os.getpid()
    assert (found.cpus(), found.cpu_seconds(), found.throttled()) == (0.5, 1.5, 4)
    assert (found.memory(), found.memory_limit()) == (1 << 20, 128 << 20)


@pytest.mark.parametrize("limit", ["max\n", f"{2**63 - 4096}\n"])
def test_a_container_without_a_limit_is_not_filled(tmp_path: Path, limit: str) -> None:
    cgroups(tmp_path, {"": {"cpu.max": "max 100000", "memory.max": limit}}, f"{os.getpid()}\n")
    found = Container.find("abc123", tmp_path)
    assert found.cpus() == float("inf")
    with pytest.raises(Cannot, match="no memory limit"):
        found.memory_limit()


def test_a_container_that_does_not_run_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(Cannot, match="does not run"):
        Container.find("abc123", tmp_path)


def test_a_route_is_led_through_another_device() -> None:
    route = Route.of("eth0\t0000090A\t0100090A\t0003\t0\t0\t100\t00FFFFFF\t0\t0\t0")
    assert (route.device, route.destination, route.bits, route.metric) == ("eth0", bytes([10, 9, 0, 0]), 24, 100)
    message = route.diverted(7, socket.inet_aton("10.9.0.5"))
    size, kind, flags = struct.unpack_from("=IHH", message)
    assert (size, kind, flags) == (len(message), 24, 0x405)  # create, but not instead of what is there
    attributes = message[16 + 12 :]
    assert struct.unpack("=" + "HHI" * 4, attributes)[2::3] == tuple(
        struct.unpack("=I", word)[0]
        for word in (bytes([10, 9, 0, 0]), struct.pack("=I", 7), struct.pack("=I", 100), bytes([10, 9, 0, 5]))
    )


class Endless(Act):
    """Sees its effect at once."""

    def __init__(self, *_: Any) -> None:
        self.looked = 0

    def work(self, until: float) -> None:
        self.over = "it was enough" if self.looked == 2 else ""

    def proof(self) -> str:
        self.looked += 1
        return f"look {self.looked}"


def said(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    words = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(word["state"], word["said"]) for word in words]


def test_it_says_what_it_sees_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "ACTS", {"endless": Endless})
    monkeypatch.setattr(Container, "find", lambda identity: None)
    main.carry_out({"act": "endless", "container": "abc", "seconds": 60})
    acting = [("acting", ""), ("acting", "look 1"), ("acting", "look 2"), ("acting", "look 3")]
    assert said(capsys) == [*acting, ("over", "it was enough")]


def test_what_cannot_be_done_is_its_only_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot(*_: Any) -> Act:
        raise Cannot("no tun")

    monkeypatch.setattr(main, "ACTS", {"network": cannot})
    monkeypatch.setattr(Container, "find", lambda identity: None)
    main.carry_out({"act": "network", "container": "abc", "seconds": 60})
    assert said(capsys) == [("cannot", "no tun")]


def test_it_ends_what_it_did_before_it_says_that_it_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = []

    def told(task: Any, container: Any, resources: ExitStack) -> Act:
        resources.callback(lambda: order.append(said(capsys)))
        raise main.Told

    monkeypatch.setattr(main, "ACTS", {"network": told})
    monkeypatch.setattr(Container, "find", lambda identity: None)
    main.carry_out({"act": "network", "container": "abc", "seconds": 60})
    assert (order, said(capsys)) == ([[]], [("over", "told to end")])


def handed_over(task: dict[str, Any]) -> list[str]:
    _, *words = helper._command(task)
    return [sys.executable, "-S", *words]


def test_handed_over_as_text_it_needs_nothing_but_an_interpreter(tmp_path: Path) -> None:
    argv = handed_over({"act": "crash", "container": "no-such-container", "seconds": 1})
    done = subprocess.run(argv, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {"state": "cannot", "said": "its container does not run"}
    assert done.stderr == ""
