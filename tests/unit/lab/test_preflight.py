import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaosctl.errors import ExitStatus, PreconditionFailed
from chaosctl.lab import cgroups, hosts, preflight, processes
from chaosctl.lab.layout import CLUSTERS, LOAD_BALANCERS, Layout

PORT = 45661


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "lab")


def found(check: str, layout: Layout) -> list[str]:
    return [what for what, _ in getattr(preflight, check)(layout, PORT)]


def test_every_problem_is_named_at_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(preflight, "DISK_NEEDED", 10**18)
    with pytest.raises(PreconditionFailed) as failure:
        preflight.check(layout, PORT)
    assert "uid 1000" in failure.value.why
    assert "GB free" in failure.value.why
    assert failure.value.status is ExitStatus.PRECONDITION


def test_another_system_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(PreconditionFailed) as failure:
        preflight.check(layout, PORT)
    assert failure.value.why == "it runs Darwin, not Linux"


def test_a_full_disk_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "DISK_NEEDED", 10**18)
    assert "GB free" in found("disk_full", layout)[0]


def test_a_taken_port_is_named(layout: Layout) -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", PORT))
        holder.listen()
        assert f":{PORT}" in found("ports_taken", layout)[0]


@pytest.mark.parametrize(("index", "port"), [(CLUSTERS[0], "API_PORT"), (LOAD_BALANCERS[0], "HTTP_PORT")])
def test_the_ports_of_what_is_made_later_are_looked_at_too(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, index: int, port: str
) -> None:
    monkeypatch.setattr(preflight, "API_PORT", PORT + 1)
    monkeypatch.setattr(preflight, "HTTP_PORT", PORT + 2)
    with socket.socket() as holder:
        holder.bind((layout.loopback(index), getattr(preflight, port)))
        holder.listen()
        (what,) = found("ports_taken", layout)
    assert what.startswith(f"{layout.loopback(index)}:{getattr(preflight, port)}, for ")


def test_a_free_port_is_no_problem(layout: Layout) -> None:
    assert found("ports_taken", layout) == []


def test_an_overlay_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_filesystem", lambda path: "overlay")
    assert "inside a container" in found("overlay_on_overlay", layout)[0]


def test_too_few_inotify_instances_are_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    libc = SimpleNamespace(inotify_init1=lambda flags: -1)
    monkeypatch.setattr("ctypes.CDLL", lambda name, use_errno: libc)
    assert "grants 0 more inotify instances" in found("few_watches", layout)[0]


def test_missing_overlayfs_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: "nodev\ttmpfs\n")
    monkeypatch.setattr(preflight, "_loads", lambda module: False)
    assert "overlayfs" in found("kernel_lacks", layout)[0]


def test_no_rights_to_touch_a_lab(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PreconditionFailed, match="uid 1000"):
        preflight.check_rights(layout)


def test_the_holder_of_a_port_is_named(layout: Layout) -> None:
    with socket.socket() as holder:
        holder.bind((layout.loopback(0), PORT))
        holder.listen()
        assert f"process {os.getpid()} " in found("ports_taken", layout)[0]


def test_ports_of_our_own_orphans_are_not_taken(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "with_marker", lambda marker: [4711])
    with socket.socket() as holder:
        holder.bind((layout.loopback(0), PORT))
        holder.listen()
        assert found("ports_taken", layout) == []


def test_a_lab_that_exists_needs_less_room(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "DISK_NEEDED", 10**18)
    layout.root.mkdir()
    assert found("disk_full", layout) == []


def test_a_cgroup_that_somebody_else_uses(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "existing", lambda layout: [tmp_path])
    (tmp_path / "cgroup.procs").write_text("4711\n")
    assert "process 4711" in found("names_taken", layout)[0]


class NoNetwork(socket.socket):
    """A socket on a machine whose loopback interface is down."""

    def connect_ex(self, address: object) -> int:
        return errno.ENETUNREACH


def without_memory_controller(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu cpuset pids io\n")
    patch.setattr(preflight, "CGROUPS", tmp_path)


def without_cgroups(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch.setattr(preflight, "CGROUPS", tmp_path / "nowhere")


def read_only_state(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch.setattr(os, "access", lambda place, how: (place, how) != (tmp_path, os.W_OK))


def loopback_down(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch.setattr(socket, "socket", NoNetwork)


def run_is_a_file(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    patch.setattr(Layout, "run", tmp_path / "file")


def no_hosts_file(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch.setattr(preflight, "HostsFile", lambda marker: hosts.HostsFile(marker, tmp_path / "hosts"))
    patch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.parametrize(
    ("check", "obstacle", "told"),
    [
        ("no_cgroups", without_memory_controller, "cgroup controllers are missing: memory"),
        ("no_cgroups", without_cgroups, "cgroup controllers are missing: cpu, cpuset, memory, pids"),
        ("not_writable", read_only_state, "cannot be written"),
        ("no_loopback", loopback_down, "the loopback interface is down"),
        ("names_taken", run_is_a_file, "is there and is no directory"),
        ("hosts_unwritable", no_hosts_file, "cannot be written: No such file or directory"),
    ],
)
def test_what_stands_in_the_way_is_named(
    layout: Layout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    obstacle: Callable[[pytest.MonkeyPatch, Path], None],
    told: str,
) -> None:
    obstacle(monkeypatch, tmp_path)
    (what,) = found(check, layout)
    assert told in what
    assert getattr(preflight, check) in preflight.CHECKS


def test_who_is_not_root_is_not_told_about_the_hosts_file(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    no_hosts_file(monkeypatch, layout.root)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert found("hosts_unwritable", layout) == []
