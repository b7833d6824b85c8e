"""A lab that is killed, taken away or stopped half way: each test leaves its machine clean, or says what is there."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.interruption import Point, end_at, terraforms
from tests.lab.user import User, interrupt

pytestmark = pytest.mark.lab


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    user = User(tmp_path)
    yield user
    user.chaosctl("lab", "stop", "--yes", status=None)
    left = user.json("lab", "status")["left"]
    assert left == []


@pytest.fixture
def lab(user: User) -> User:
    user.chaosctl("lab", "start")
    return user


def processes(user: User, word: str) -> list[int]:
    """Processes of this user's lab whose command line has `word` in it."""
    mark = f"LAB_OF_CHAOSCTL={user.state}/lab".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            ours = mark in (directory / "environ").read_bytes().split(b"\0")
            if ours and word.encode() in (directory / "cmdline").read_bytes():
                found.append(int(directory.name))
        except OSError:
            continue
    return found


def kill(user: User, *words: str) -> None:
    for pid in [pid for word in words for pid in processes(user, word)]:
        os.kill(pid, signal.SIGKILL)


def test_the_labs_aws_comes_back_for_the_command_that_needs_it(lab: User) -> None:
    kill(lab, "chaosctl.lab.aws")
    lab.chaosctl("status")


def test_a_lab_without_supervisor_is_started_again(lab: User) -> None:
    kill(lab, "supervisord", "chaosctl.lab.aws")
    dead = lab.chaosctl("status", status=7)
    assert "chaosctl lab start" in dead.stderr
    lab.chaosctl("lab", "start")
    lab.chaosctl("status")


def test_only_the_supervisor_is_gone(lab: User) -> None:
    kill(lab, "supervisord")
    lab.chaosctl("lab", "start")  # its own AWS, an orphan now, is no stranger on the port
    assert len(processes(lab, "supervisord")) == 1
    assert len(processes(lab, "chaosctl.lab.aws")) == 1


def test_stop_after_the_supervisor_was_killed_leaves_nothing(lab: User) -> None:
    kill(lab, "supervisord")
    lab.chaosctl("lab", "stop", "--yes")
    assert processes(lab, "") == []


def test_down_of_a_lab_that_was_killed_removes_it(lab: User) -> None:
    kill(lab, "supervisord", "chaosctl.lab.aws")
    lab.chaosctl("down", "--yes")
    assert lab.json("lab", "status")["left"] == []


@pytest.fixture
def orphan(user: User) -> User:
    """Their `chaosctl up` was killed; its Terraform goes on, and lives in a session of its own."""
    end_at(user, Point("the cluster is being made", r"aws_eks_cluster.main: create started", "SIGKILL"), "up")
    assert [process.name() for process in terraforms(user) if process.name() == "terraform"] == ["terraform"]
    return user


def test_stop_ends_a_terraform_that_outlived_its_up(orphan: User) -> None:
    orphan.chaosctl("lab", "stop", "--yes")
    assert terraforms(orphan) == []
    assert not (orphan.state / "environments").exists()


def test_a_lab_that_is_started_again_leaves_terraform_at_work(orphan: User) -> None:
    """The supervisor ends orphans of its own, and no more than that."""
    kill(orphan, "supervisord", "chaosctl.lab.aws")
    before = [process.pid for process in terraforms(orphan)]
    orphan.chaosctl("lab", "start")
    assert set(before) & {process.pid for process in terraforms(orphan)}
    # Not `down`: that waits for it, and what the AWS had not saved yet it misses for ten minutes.
    orphan.chaosctl("lab", "stop", "--yes")


def test_stop_removes_what_is_kept_of_every_environment(lab: User) -> None:
    """A state that Terraform could not store, above all: the next `up` would store it in another lab's bucket."""
    unstored = [lab.state / "environments" / "lab" / name / "terraform/module/errored.tfstate" for name in "ab"]
    for file in unstored:
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    lab.chaosctl("lab", "stop", "--yes")
    assert not (lab.state / "environments").exists()


@pytest.mark.parametrize("seconds", [0.6, 1.5, 3])
def test_an_interrupted_start_is_carried_on_or_removed(user: User, seconds: float) -> None:
    process = user.start("up")
    time.sleep(seconds)
    interrupt(process)
    _, said = process.communicate(timeout=180)
    assert (process.returncode, "Traceback" in said) == (130, False), said
    user.chaosctl("down", "--yes")
    assert user.json("lab", "status")["left"] == []


def test_a_port_that_is_taken_is_named_with_its_holder(user: User) -> None:
    address = user.json("lab", "status")["endpoint"].removeprefix("http://").partition(":")
    with socket.socket() as holder:
        holder.bind((address[0], int(address[2])))
        holder.listen()
        refused = user.chaosctl("up", status=3)
    assert f"process {os.getpid()} " in refused.stderr
    assert "aws_port" in refused.stderr


def test_a_directory_that_was_deleted_under_a_running_lab(lab: User) -> None:
    lab.run("rm", "-rf", str(lab.state / "lab"))
    lab.chaosctl("lab", "start")
    assert len(processes(lab, "supervisord")) == 1
    lab.chaosctl("status")


def test_without_internet_and_without_go_it_fails_at_once(user: User) -> None:
    line = "ip link set lo up; exec chaosctl up"
    path = f"{Path(user.env['PATH'].split(':')[0])}:/usr/sbin:/usr/bin:/sbin:/bin"
    begun = time.monotonic()
    refused = user.run(
        "unshare", "-n", "sh", "-c", line, status=3, PATH=path, CHAOSCTL_CACHE_DIR=str(user.home / "cache")
    )
    assert time.monotonic() - begun < 30
    assert "TOOL-UNAVAILABLE" in refused.stderr


def test_a_state_directory_without_room(user: User) -> None:
    small = user.home / "small"
    small.mkdir()
    user.run("mount", "-t", "tmpfs", "-o", "size=50m", "none", str(small))
    try:
        refused = user.run("chaosctl", "up", status=3, CHAOSCTL_STATE_DIR=str(small))
    finally:
        user.run("umount", str(small))
    assert "GB free, the lab needs" in refused.stderr
