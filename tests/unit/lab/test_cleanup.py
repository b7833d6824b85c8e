import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.lab import cleanup, namespaces, processes, supervisor
from chaosctl.lab.hosts import HostsFile
from chaosctl.lab.layout import Layout


def test_a_lab_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path / "lab")) == []


def test_files_of_a_lab_are_seen(tmp_path: Path) -> None:
    assert cleanup.inventory(Layout(tmp_path)) == [f"directory {tmp_path}"]


def test_the_pid_of_somebody_else_is_not_the_supervisors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    monkeypatch.setattr(Layout, "run", tmp_path)
    supervisor.pid_file(layout).write_text("1")
    assert supervisor.pid(layout) == 0


def test_a_family_is_a_process_and_its_descendants() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        try:
            assert processes.family(child.pid) == {child.pid, grandchild}
            assert processes.family(0) == set()
            assert os.getpid() not in processes.family(os.getppid())
        finally:
            processes.end([grandchild, child.pid], grace=0)


def test_the_process_that_looks_is_not_found_nor_are_its_ancestors() -> None:
    script = "import os; from chaosctl.lab import processes; print(processes.with_environment('LOOKS=1'), os.getppid())"
    argv = ["sh", "-c", f'{sys.executable} -c "{script}"; true']
    done = subprocess.run(argv, env={**os.environ, "LOOKS": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "[]"


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """What stands for a Terraform that works on the lab in `tmp_path`/lab, and has lost its chaosctl."""
    monkeypatch.setattr(namespaces, "NETNS", tmp_path / "netns")
    env = {**os.environ, **dict([Layout(tmp_path / "lab").guest_marker])}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env) as process:
        yield process
        process.kill()


def test_what_works_on_the_lab_ends_with_it(tmp_path: Path, terraform: subprocess.Popen[bytes]) -> None:
    layout = Layout(tmp_path / "lab")
    assert [line.split()[:2] for line in cleanup.inventory(layout)] == [["process", str(terraform.pid)]]
    cleanup.remove_everything(layout)
    assert terraform.wait(10) < 0
    assert cleanup.inventory(layout) == []


def test_what_works_on_the_lab_is_none_of_its_own_processes(tmp_path: Path, terraform: subprocess.Popen[bytes]) -> None:
    layout = Layout(tmp_path / "lab")
    assert cleanup.processes_of(layout) == set()
    supervisor.Supervisor(layout)._end_orphans()  # a supervisor that comes back leaves it at work
    assert terraform.poll() is None


def test_the_next_lab_knows_nothing_of_what_was_deployed_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "NETNS", tmp_path / "netns")
    layout = Layout(tmp_path / "lab")
    journal, unstored = "chaos/run/journal.jsonl", "terraform/module/errored.tfstate"
    kept = [layout.environments / environment / journal for environment in ("default", "staging")]
    for environment in ("default", "staging"):
        for name in (journal, unstored, "kubeconfig", "token", "terraform.tfrc"):
            (layout.environments / environment / name).parent.mkdir(parents=True, exist_ok=True)
            (layout.environments / environment / name).touch()
    cleanup.remove_everything(layout)
    assert sorted(path for path in layout.environments.rglob("*") if path.is_file()) == kept


def test_a_draft_of_the_hosts_file_is_seen_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "NETNS", tmp_path / "netns")
    layout, hosts = Layout(tmp_path / "lab"), tmp_path / "etc" / "hosts"
    hosts.parent.mkdir()
    hosts.touch()
    monkeypatch.setattr(cleanup, "HostsFile", lambda marker: HostsFile(marker, hosts))
    draft, others = (hosts.with_name(f".hosts.chaosctl-{tag}-4711") for tag in (layout.tag, "zzzz"))
    draft.touch()
    others.touch()
    assert cleanup.inventory(layout) == [f"file {draft}"]
    cleanup.remove_everything(layout)
    assert sorted(hosts.parent.iterdir()) == [others, hosts]
