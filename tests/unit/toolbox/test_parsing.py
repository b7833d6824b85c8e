"""What checksum files, apt and go print."""

import socket
import threading
import time
from pathlib import Path

import pytest

from chaosctl.adapters import process
from chaosctl.toolbox import debian, golang
from chaosctl.toolbox.download import mirrored, published
from chaosctl.toolbox.reach import Reach, address
from chaosctl.toolbox.table import BUNDLES

DIGEST = "ab" * 32
SHOWN = """Package: haproxy
Pre-Depends: dpkg (>= 1.17.14)
Depends: libc6 (>= 2.34), liblua5.3-0, libfoo1 | libfoo2, adduser, libbar1 | libbar2

Package: liblua5.3-0
Version: 5.3

Package: libfoo1
Depends: libbaz++1 (>= 1)
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DIGEST, DIGEST),
        (f"{DIGEST.upper()}\n", DIGEST),
        (f"{'0' * 64}  other.tgz\n{DIGEST}  tool.tgz\n", DIGEST),
        (f"{DIGEST} *./dir/tool.tgz\n", DIGEST),
        (f"{DIGEST}  other.tgz\n", ""),
        ("<html>not found</html>", ""),
        ("", ""),
    ],
)
def test_checksum_files(text: str, found: str) -> None:
    assert published(text, "tool.tgz") == found


def test_mirror_replaces_the_scheme() -> None:
    assert mirrored("https://host/a/b", "http://mirror:8080/x/") == "http://mirror:8080/x/host/a/b"
    assert mirrored("https://host/a/b", "") == "https://host/a/b"


def test_sizes_of_debian_packages() -> None:
    uris = (
        "'http://host/pool/a%2b1.deb' a_1%3a2_amd64.deb 35240 SHA256:98\nNeed to get 2\n'http://h/b' b.deb 7 SHA256:1"
    )
    assert debian.sizes(uris) == [35240, 7]


def test_libraries_that_the_system_lacks() -> None:
    needs = debian.libraries(SHOWN, {"libc6", "dpkg", "libbar2"})
    assert needs == {"haproxy": ["liblua5.3-0", "libfoo1"], "liblua5.3-0": [], "libfoo1": ["libbaz++1"]}


def test_libraries_of_libraries_and_circles() -> None:
    needs = {"a": ["b", "c"], "b": ["c"], "c": ["b", "d"], "d": []}
    assert debian.closure(["a"], needs) == ["a", "b", "c", "d"]


def test_program_with_libraries_beside_it_runs_from_anywhere(tmp_path: Path) -> None:
    program = tmp_path / "tree" / "root" / "tool"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH $1"\n')
    program.chmod(0o755)
    (tmp_path / "tree" / "bin").mkdir()
    debian._place(tmp_path / "tree" / "bin" / "tool", program, [Path("root/lib")])
    moved = (tmp_path / "tree").rename(tmp_path / "moved")
    said = process.run([moved / "bin" / "tool", "x y"], env={"LD_LIBRARY_PATH": ""}).stdout
    assert said == f"{moved}/bin/../root/lib x y\n"


def test_program_names_that_go_gives() -> None:
    names = {b.name: golang._program(b) for b in BUNDLES if b.go}
    assert (names["etcd"], names["kubelet"], names["metrics-server"]) == ("server", "kubelet", "metrics-server")


def test_go_output_is_counted() -> None:
    lines = golang._Lines()
    for line in ("go: downloading k8s.io/api v0.36.3", "internal/abi", "k8s.io/api", "# command output", ""):
        lines(line)
    assert (lines.packages, lines.note) == (2, "downloading k8s.io/api v0.36.3")


def test_address_is_the_proxys_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.test")
    assert address("https://outside.test/x") == ("proxy", 3128)
    assert address("https://inside.test/x") == ("inside.test", 443)


def test_hosts_that_do_not_answer_cost_one_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> socket.socket:
        over.wait()
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    reach, began = Reach(seconds=0.2), time.monotonic()
    reach.probe(f"https://host{n}.test/" for n in range(20))
    assert not reach.reachable("https://host7.test/other")
    assert time.monotonic() - began < 1
    over.set()
