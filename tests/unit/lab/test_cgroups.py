from pathlib import Path

from chaosctl.lab import cgroups

VERSION_1 = """\
30 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_version_1_has_a_hierarchy_per_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(VERSION_1)

    assert [path.name for path in cgroups.hierarchies(tmp_path, mounts)] == ["memory", "cpu,cpuacct", "unified"]


def test_version_2_has_one(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")

    assert cgroups.hierarchies(tmp_path) == (tmp_path,)


def test_missing_controllers_are_delegated_one_by_one(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("cpu cpuset memory")
    cgroups._delegate(tmp_path, ["cpu", "cpuset", "memory", "pids"])

    assert control.read_text() == "+pids"
