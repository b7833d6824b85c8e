from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from chaosctl.adapters import terraform_lock
from chaosctl.adapters.terraform_lock import LockInfo, Run, Runs, is_stale, parse

DETAIL = """\
operation error S3: PutObject, https response error StatusCode: 412, RequestID: , HostID: , api error
PreconditionFailed: At least one of the pre-conditions you specified did not hold
Lock Info:
  ID:        9db590f1-b6fe-c5f2-2678-8804f089deba
  Path:      chaosctl-state-x/default/terraform.tfstate
  Operation: OperationTypeApply
  Who:       root@builder
  Version:   1.11.4
  Created:   2026-11-23 16:40:53.620648123 +0000 UTC
  Info:

Terraform acquires a state lock to protect the state from being written by multiple users at the same time.
"""
NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)
DEAD = Run(pid=2**22 + 1, process_created=1.0, host=socket.gethostname(), began=NOW.timestamp())


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs.jsonl")


def lock(seconds_after: float = 1.0, host: str = socket.gethostname()) -> LockInfo:
    created = datetime.fromtimestamp(NOW.timestamp() + seconds_after, UTC)
    return LockInfo("id", "path", "OperationTypeApply", f"root@{host}", created)


def record(runs: Runs, *each: Run) -> None:
    for run in each:
        runs.begin()
        lines = runs.file.read_text().splitlines()[:-1]
        runs.file.write_text("\n".join([*lines, json.dumps(vars(run))]) + "\n")


def test_a_lock_is_read_from_the_complaint() -> None:
    found = parse(DETAIL)
    assert found is not None
    assert (found.id, found.host, found.operation) == (
        "9db590f1-b6fe-c5f2-2678-8804f089deba",
        "builder",
        "OperationTypeApply",
    )
    assert found.created == datetime(2026, 11, 23, 16, 40, 53, 620648, tzinfo=UTC)


def test_a_time_without_fractions_is_read() -> None:
    found = parse(DETAIL.replace(".620648123", ""))
    assert found is not None and found.created == datetime(2026, 11, 23, 16, 40, 53, tzinfo=UTC)


def test_other_complaints_are_no_lock() -> None:
    assert parse("AccessDenied: not authorized to perform s3:PutObject") is None


def test_the_lock_of_a_dead_run_is_stale(runs: Runs, tmp_path: Path) -> None:
    record(runs, DEAD)
    assert is_stale(lock(), runs, tmp_path)


def test_a_lock_from_another_machine_is_not(runs: Runs, tmp_path: Path) -> None:
    record(runs, DEAD)
    assert not is_stale(lock(host="elsewhere"), runs, tmp_path)


def test_a_lock_from_before_our_runs_is_not(runs: Runs, tmp_path: Path) -> None:
    record(runs, DEAD)
    assert not is_stale(lock(seconds_after=-60), runs, tmp_path)


def test_a_lock_of_unknown_age_is_not(runs: Runs, tmp_path: Path) -> None:
    record(runs, DEAD)
    assert not is_stale(replace(lock(), created=None), runs, tmp_path)


def test_a_lock_nobody_wrote_down_is_not(runs: Runs, tmp_path: Path) -> None:
    assert not is_stale(lock(), runs, tmp_path)


def test_the_lock_of_a_living_run_is_not(runs: Runs, tmp_path: Path) -> None:
    parent = psutil.Process(os.getppid())
    record(runs, replace(DEAD, pid=parent.pid, process_created=parent.create_time()))
    assert not is_stale(lock(), runs, tmp_path)


def test_a_process_that_got_the_number_of_a_dead_one_does_not_count(runs: Runs, tmp_path: Path) -> None:
    record(runs, replace(DEAD, pid=os.getppid()))
    assert is_stale(lock(), runs, tmp_path)


def test_while_a_terraform_is_at_work_nothing_is_stale(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terraform_lock, "at_work", lambda data_dir: [psutil.Process()])
    record(runs, DEAD)
    assert not is_stale(lock(), runs, tmp_path)


def test_the_latest_run_before_the_lock_is_its_holder(runs: Runs) -> None:
    later = replace(DEAD, began=NOW.timestamp() + 100)
    record(runs, DEAD, later)
    assert runs.holder(lock(seconds_after=50)) == DEAD
    assert runs.holder(lock(seconds_after=150)) == later


def test_only_the_latest_runs_are_kept(runs: Runs) -> None:
    for _ in range(terraform_lock.KEPT_RUNS + 5):
        runs.begin()
    assert len(runs.read()) == terraform_lock.KEPT_RUNS
    assert runs.read()[-1].pid == os.getpid()
