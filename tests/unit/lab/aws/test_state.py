from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.acm.models import acm_backends
from moto.autoscaling.models import autoscaling_backends
from moto.core.base_backend import BackendDict
from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from chaosctl.errors import PreconditionFailed
from chaosctl.lab.aws import corrections, state

ACCOUNT, REGION = "123456789012", "us-west-2"


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    corrections.apply()
    BackendDict.reset()
    yield
    BackendDict.reset()


def backend(of: Any) -> Any:
    return of[ACCOUNT][REGION]


def reload(file: Path) -> None:
    state.save(file)
    BackendDict.reset()
    assert state.load(file)


def test_what_was_created_is_there_again(tmp_path: Path) -> None:
    vpc = backend(ec2_backends).create_vpc("10.0.0.0/16")
    reload(tmp_path / "state")
    assert backend(ec2_backends).vpcs[vpc.id].cidr_block == "10.0.0.0/16"


def test_services_still_hold_each_other(tmp_path: Path) -> None:
    assert backend(autoscaling_backends).ec2_backend is backend(ec2_backends)
    reload(tmp_path / "state")
    assert backend(autoscaling_backends).ec2_backend is backend(ec2_backends)


def test_certificates_and_parameters_survive(tmp_path: Path) -> None:
    arn = backend(acm_backends).request_certificate("a.example", None, [], None)
    name = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id"
    image = backend(ssm_backends).get_parameter(name).value
    reload(tmp_path / "state")
    assert backend(acm_backends).get_certificate(arn).arn == arn
    assert backend(ssm_backends).get_parameter(name).value == image


def test_without_a_file_it_begins_empty(tmp_path: Path) -> None:
    assert state.load(tmp_path / "state") is False


@pytest.mark.parametrize(
    "damage",
    [lambda good: good[:-1], lambda good: b"", lambda good: good[:-1] + b"x", lambda good: b"something else"],
)
def test_a_damaged_file_is_a_clear_error_and_is_kept(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "state"
    state.save(file)
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    with pytest.raises(PreconditionFailed) as caught:
        state.load(file)
    assert caught.value.code == "AWS-STATE-DAMAGED"
    (aside,) = tmp_path.glob("state.damaged-*")
    assert aside.read_bytes() == damaged
    assert not file.exists()


def test_the_file_is_private(tmp_path: Path) -> None:
    state.save(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_a_draft_that_was_not_finished_does_no_harm(tmp_path: Path) -> None:
    state.save(tmp_path / "state")
    (tmp_path / "state.new").write_bytes(b"half")
    assert state.load(tmp_path / "state")
    state.save(tmp_path / "state")
    assert state.load(tmp_path / "state")


@pytest.fixture
def saver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[state.Saver]:
    monkeypatch.setattr(state, "QUIET", 0.05)
    monkeypatch.setattr(state, "AT_MOST", 0.2)
    saver = state.Saver(tmp_path / "aws" / "state")
    saver.start()
    yield saver
    saver.stop()


def appears(file: Path) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not file.exists():
        time.sleep(0.01)
    return file.exists()


def test_a_change_is_saved_when_it_is_quiet(saver: state.Saver, tmp_path: Path) -> None:
    saver.changed()
    assert appears(tmp_path / "aws" / "state")


def test_a_storm_of_changes_is_saved_too(saver: state.Saver, tmp_path: Path) -> None:
    for _ in range(40):
        saver.changed()
        time.sleep(0.01)
    assert appears(tmp_path / "aws" / "state")


def test_the_last_change_is_saved_at_the_end(tmp_path: Path) -> None:
    saver = state.Saver(tmp_path / "state")
    saver.start()
    saver.changed()
    saver.stop()
    assert (tmp_path / "state").exists()


class Disk:
    """Stands in for `state.save`: each save tells that it began, waits for `go_on`, and may find the disk full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, full: int = 0, waits: bool = False) -> None:
        self.full, self.saved = full, 0
        self.begun, self.go_on = threading.Event(), threading.Event()
        if not waits:
            self.go_on.set()
        monkeypatch.setattr(state, "QUIET", 0.0)
        monkeypatch.setattr(state, "save", self.save)

    def save(self, file: Path) -> None:
        self.begun.set()
        self.go_on.wait()
        if self.full:
            self.full -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.saved += 1


def test_a_change_that_comes_while_it_saves_is_saved_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, waits=True)
    saver = state.Saver(tmp_path / "state")
    saver.start()
    saver.changed()
    disk.begun.wait()
    saver.changed()

    def go_on_at_the_end() -> None:
        saver._stopping.wait()
        disk.go_on.set()

    threading.Thread(target=go_on_at_the_end).start()
    saver.stop()
    assert disk.saved == 2


def test_what_the_disk_had_no_room_for_is_saved_without_another_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "RETRY", 0.0)
    disk = Disk(monkeypatch, full=2)
    saver = state.Saver(tmp_path / "state")
    saver.start()
    saver.changed()
    deadline = time.monotonic() + 5
    while not disk.saved and time.monotonic() < deadline:
        time.sleep(0.01)
    assert disk.saved == 1
    assert len([record for record in caplog.records if record.exc_info]) == 1
    saver.stop()


def test_a_full_disk_does_not_keep_it_from_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, full=1000)
    saver = state.Saver(tmp_path / "state")
    saver.start()
    saver.changed()
    disk.begun.wait()
    saver.stop()
    assert disk.saved == 0


SAVES = """
import sys, time
from pathlib import Path
from chaosctl.lab.aws import state
from moto.ec2.models import ec2_backends
while True:
    ec2_backends["123456789012"]["us-west-2"].create_vpc("10.0.0.0/16")
    state.save(Path(sys.argv[1]))
    print("saved", flush=True)
"""


def test_a_kill_in_the_middle_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", SAVES, str(file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert state.load(file)
