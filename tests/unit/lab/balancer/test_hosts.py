from __future__ import annotations

import errno
from pathlib import Path

import pytest

from chaosctl.lab.hosts import HostsFile

OTHERS = b"127.0.0.1 localhost\r\n\n# caf\xe9\n127.9.0.1\told.example\t# chaosctl-dead\n10.0.0.1 no-newline"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "hosts"
    file.write_bytes(OTHERS)
    file.chmod(0o640)
    return file


def test_lines_are_added_and_nothing_else_changes(path: Path) -> None:
    HostsFile("# chaosctl-1234", path).set({"web.example": "127.128.0.201"})
    assert path.read_bytes() == b"127.128.0.201\tweb.example\t# chaosctl-1234\n" + OTHERS
    assert path.stat().st_mode & 0o777 == 0o640


def test_clearing_restores_every_byte_and_leaves_no_file(path: Path) -> None:
    hosts = HostsFile("# chaosctl-1234", path)
    hosts.set({"web.example": "127.128.0.201"})
    hosts.clear()
    assert path.read_bytes() == OTHERS
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_is_gone_loses_its_line(path: Path) -> None:
    hosts = HostsFile("# chaosctl-1234", path)
    hosts.set({"a.example": "127.128.0.1", "b.example": "127.128.0.2"})
    hosts.set({"b.example": "127.128.0.3"})
    assert hosts.names() == {"b.example": "127.128.0.3"}


def test_labs_do_not_touch_each_others_lines(path: Path) -> None:
    HostsFile("# chaosctl-aaaa", path).set({"a.example": "127.128.0.1"})
    HostsFile("# chaosctl-bbbb", path).set({"b.example": "127.65.0.1"})
    HostsFile("# chaosctl-bbbb", path).clear()
    assert HostsFile("# chaosctl-aaaa", path).names() == {"a.example": "127.128.0.1"}


def test_what_says_it_already_is_not_written(path: Path) -> None:
    hosts = HostsFile("# chaosctl-1234", path)
    hosts.set({"web.example": "127.128.0.201"})
    before = path.stat()
    hosts.set({"web.example": "127.128.0.201"})
    assert path.stat().st_ino == before.st_ino


def test_a_bind_mount_is_written_in_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    inode = path.stat().st_ino
    hosts = HostsFile("# chaosctl-1234", path)
    hosts.set({"web.example": "127.128.0.201"})
    assert path.read_bytes().endswith(OTHERS)
    hosts.clear()
    assert path.read_bytes() == OTHERS
    assert path.stat().st_ino == inode
    assert list(path.parent.iterdir()) == [path]


def test_the_draft_of_a_process_that_was_killed_is_known_by_the_labs_tag(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = HostsFile("# chaosctl-1234", path)

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        hosts.set({"web.example": "127.128.0.201"})
    assert len(hosts.drafts()) == 1
    assert HostsFile("# chaosctl-abcd", path).drafts() == []
    hosts.clear()
    assert list(path.parent.iterdir()) == [path]


def test_without_the_file_there_are_no_names_and_nothing_to_clear(tmp_path: Path) -> None:
    hosts = HostsFile("# chaosctl-1234", tmp_path / "hosts")
    assert hosts.names() == {}
    hosts.clear()
    assert list(tmp_path.iterdir()) == []


def test_why_it_cannot_be_written_is_told(path: Path, tmp_path: Path) -> None:
    assert HostsFile("# chaosctl-1234", path).unwritable() == ""
    assert HostsFile("# chaosctl-1234", tmp_path / "none").unwritable() == "No such file or directory"
    assert HostsFile("# chaosctl-1234", tmp_path).unwritable() == "Is a directory"
