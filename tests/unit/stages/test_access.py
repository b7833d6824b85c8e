"""How stages get at the cluster, several threads at once: `status` and `doctor` ask everything at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from chaosctl.adapters.aws import Aws, Cluster
from chaosctl.config import Settings
from chaosctl.events import ignore
from chaosctl.stages.access import Access
from chaosctl.stages.stage import Context
from chaosctl.target import Target

THREADS = 4
CLUSTER = Cluster("c", "arn", "ACTIVE", "1.36", "https://127.0.0.1:1", "", "vpc-1")


def test_aws_is_asked_once_for_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    together = threading.Barrier(2)

    def cluster(self: Aws, name: str) -> Cluster:
        asked.append(name)
        with suppress(threading.BrokenBarrierError):
            together.wait(0.3)  # a second thread that asks as well would come along
        return CLUSTER

    monkeypatch.setattr(Aws, "cluster", cluster)
    target = Target("here", "eu-west-1", {}, {}, "bucket")
    access = Access(Context(Settings(), target, ignore, lambda *_: {}, tmp_path))
    with ThreadPoolExecutor(THREADS) as pool:
        found = [task.result() for task in [pool.submit(lambda: access.cluster) for _ in range(THREADS)]]
    assert found == [CLUSTER] * THREADS
    assert len(asked) == 1
