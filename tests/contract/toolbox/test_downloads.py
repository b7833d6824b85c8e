"""The download path, against a real server on loopback as the mirror."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaosctl.config import ToolboxSettings
from chaosctl.errors import PreconditionFailed
from chaosctl.events import Event, Transfer, Warned
from chaosctl.toolbox import Toolbox, download
from chaosctl.toolbox.download import mirrored
from chaosctl.toolbox.sources import PARALLEL, Downloads
from chaosctl.toolbox.table import Bundle
from tests.contract.toolbox.mirror import Mirror, archive, bundle, program, serving
from tests.unit.toolbox.machine import Ledger, context

LONG = 1 << 20


class Run:
    """A toolbox with one tool in its table, and what it said."""

    def __init__(self, cache: Path, url: str, entry: Bundle) -> None:
        self.events: list[Event] = []
        self.cache = cache
        self.toolbox = Toolbox(cache, ToolboxSettings(mirror=url), self.events.append, [entry])

    def path(self) -> Path:
        return self.toolbox.ensure("example")["example"]

    def fails(self) -> PreconditionFailed:
        with pytest.raises(PreconditionFailed) as caught:
            self.path()
        return caught.value

    def parts(self) -> list[Path]:
        return list((self.cache / "toolbox" / "downloads").iterdir())


def test_program_is_fetched_from_the_mirror_and_runs(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program()
    path = Run(tmp_path, mirror.url, bundle("/tool", program())).path()
    assert subprocess.run([path], capture_output=True, check=True).stdout == b"tool v1.2.3\n"


def test_program_in_an_archive(tmp_path: Path, mirror: Mirror) -> None:
    content = archive("./dir/tool", program())
    mirror.files["/example.test/tool.tgz"] = content
    path = Run(tmp_path, mirror.url, bundle("/tool.tgz", content, member="dir/tool")).path()
    assert path.read_bytes() == program()


def test_second_time_asks_nobody(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program()
    Run(tmp_path, mirror.url, bundle("/tool", program())).path()
    mirror.asked.clear()
    Run(tmp_path, mirror.url, bundle("/tool", program())).path()
    assert mirror.asked == []


def test_nothing_but_the_tool_is_kept(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program()
    run = Run(tmp_path, mirror.url, bundle("/tool", program()))
    run.path()
    assert run.parts() == []


def test_publishers_checksum_file_counts_where_nothing_is_pinned(tmp_path: Path, mirror: Mirror) -> None:
    digest = hashlib.sha256(program()).hexdigest()
    mirror.files |= {"/example.test/tool": program(), "/example.test/SUMS": f"{digest}  tool\n".encode()}
    entry = bundle("/tool", program(), checksums="https://example.test/SUMS")
    assert Run(tmp_path, mirror.url, entry).path().is_file()


def test_publishers_checksum_file_without_the_tool(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files |= {"/example.test/tool": program(), "/example.test/SUMS": b"nothing here\n"}
    entry = bundle("/tool", program(), checksums="https://example.test/SUMS")
    assert "no checksum is known" in Run(tmp_path, mirror.url, entry).fails().why


def test_a_mirror_that_vouches_for_itself_is_named(tmp_path: Path, mirror: Mirror) -> None:
    digest = hashlib.sha256(program()).hexdigest()
    mirror.files |= {"/example.test/tool": program(), "/example.test/SUMS": f"{digest}  tool\n".encode()}
    run = Run(tmp_path, mirror.url, bundle("/tool", program(), checksums="https://example.test/SUMS"))
    run.path()
    warning = next(event for event in run.events if isinstance(event, Warned))
    assert "the mirror itself vouches for tool" in warning.text
    assert "https://example.test/SUMS" in warning.remedy


@pytest.fixture
def publisher() -> Iterator[Mirror]:
    with serving() as running:
        yield running


def test_mirror_is_held_to_the_checksum_of_a_publisher_that_answers(
    tmp_path: Path, mirror: Mirror, publisher: Mirror
) -> None:
    place, forged = f"{publisher.url}/SUMS", b"#!/bin/sh\necho evil v1.2.3\n"
    publisher.files["/SUMS"] = hashlib.sha256(program()).hexdigest().encode()
    mirror.files["/example.test/tool"] = forged
    mirror.files[mirrored(place, mirror.url).removeprefix(mirror.url)] = hashlib.sha256(forged).hexdigest().encode()
    run = Run(tmp_path, mirror.url, bundle("/tool", program(), checksums=place))
    assert "not what was published" in run.fails().why
    mirror.files["/example.test/tool"] = program()
    assert run.path().is_file()


def test_wrong_content_is_refused_and_thrown_away(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = b"#!/bin/sh\necho evil v1.2.3\n"
    run = Run(tmp_path, mirror.url, bundle("/tool", program()))
    assert "not what was published" in run.fails().why
    assert run.parts() == []


def test_missing_file_says_what_the_server_said(tmp_path: Path, mirror: Mirror) -> None:
    error = Run(tmp_path, mirror.url, bundle("/tool", program())).fails()
    assert (error.code, "404" in error.why, error.remedy) == ("TOOL-UNAVAILABLE", True, "install example")


def test_broken_transfers_are_carried_on(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    mirror.breaks, mirror.break_after = 2, 300_000
    path = Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).path()
    assert path.stat().st_size == LONG
    assert mirror.ranges_asked() == ["bytes=300000-", "bytes=600000-"]


def test_server_without_ranges_starts_again(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    mirror.breaks, mirror.break_after, mirror.ranges = 1, 300_000, False
    assert Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).path().stat().st_size == LONG


def test_a_transfer_that_always_breaks_ends(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    mirror.breaks = 99
    assert "cannot be fetched" in Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).fails().why


def test_a_transfer_that_stalls_in_the_middle_is_carried_on(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    mirror.files["/example.test/tool"] = program(LONG)
    mirror.stalls, mirror.break_after = 1, 300_000
    assert Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).path().stat().st_size == LONG
    assert mirror.ranges_asked() == ["bytes=300000-"]


def test_a_host_that_says_nothing_is_not_asked_again(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    entries = [bundle(f"/{n}", program(), name=f"tool{n}") for n in range(3 * PARALLEL)]
    mirror.files |= {f"/example.test/{n}": program() for n in range(3 * PARALLEL)}
    mirror.stalls, ledger = 99, Ledger()
    Downloads(context(tmp_path), mirror.url, refused=False).fetch(entries, ledger)
    assert len(mirror.asked) <= PARALLEL
    assert sum("cannot be reached" in error.why for error in ledger.lost.values()) >= 2 * PARALLEL


def leave(cache: Path, name: str, content: bytes) -> Path:
    """What a killed run may have left for a file with the SHA-256 of `program(LONG)`."""
    downloads = cache / "toolbox" / "downloads"
    downloads.mkdir(parents=True)
    path = downloads / f"{hashlib.sha256(program(LONG)).hexdigest()[:12]}-{name}"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("left", [b"something else", b"x" * (LONG + 5), b"x" * LONG])
def test_rubbish_left_by_another_run_is_replaced(tmp_path: Path, mirror: Mirror, left: bytes) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    leave(tmp_path, "tool.part", left)
    path = Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).path()
    assert path.read_bytes() == program(LONG)


def test_complete_download_of_a_killed_run_is_used(tmp_path: Path, mirror: Mirror) -> None:
    leave(tmp_path, "tool", program(LONG))
    assert Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).path().is_file()
    assert mirror.asked == []


def test_progress_says_size_and_remaining_time(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    mirror.pause = 0.04
    run = Run(tmp_path, mirror.url, bundle("/tool", program(LONG)))
    run.path()
    seen = [event for event in run.events if isinstance(event, Transfer)]
    assert [e.done for e in seen] == sorted(e.done for e in seen)
    assert all(e.total == LONG and e.remaining is not None for e in seen)
    assert len(seen) >= 3


def test_full_disk_is_one_clear_error(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    part = leave(tmp_path, "tool.part", b"")
    part.unlink()
    part.symlink_to("/dev/full")
    assert Run(tmp_path, mirror.url, bundle("/tool", program(LONG))).fails().code == "TOOL-NO-SPACE"


def test_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "file").touch()
    error = Run(tmp_path / "file" / "cache", mirror.url, bundle("/tool", program())).fails()
    assert (error.code, "CHAOSCTL_CACHE_DIR" in error.remedy) == ("TOOL-CACHE-READONLY", True)


def test_no_network_fails_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    error = Run(tmp_path, "http://127.0.0.1:1", bundle("/tool", program())).fails()
    assert "127.0.0.1:1 cannot be reached" in error.why
    assert time.monotonic() - began < 1


def test_downloads_can_be_switched_off(tmp_path: Path, mirror: Mirror) -> None:
    toolbox = Toolbox(tmp_path, ToolboxSettings(mirror=mirror.url, packages_only=True), table=[bundle("/t", b"")])
    with pytest.raises(PreconditionFailed, match="TOOL-UNAVAILABLE"):
        toolbox.ensure("example")
    assert mirror.asked == []


def test_program_of_another_version_is_not_taken(tmp_path: Path, mirror: Mirror) -> None:
    old = b"#!/bin/sh\necho tool v1.1.9\n"
    mirror.files["/example.test/tool"] = old
    assert "says 1.1.9" in Run(tmp_path, mirror.url, bundle("/tool", old)).fails().why


def test_program_that_does_not_run_is_not_taken(tmp_path: Path, mirror: Mirror) -> None:
    broken = b"#!/no/such/interpreter\n"
    mirror.files["/example.test/tool"] = broken
    assert "does not run here" in Run(tmp_path, mirror.url, bundle("/tool", broken)).fails().why


def start(cache: Path, mirror: Mirror, size: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.contract.toolbox.driver", str(cache), mirror.url, str(size)]
    root = Path(__file__).parents[3]
    return subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, text=True)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_runs_at_once_fetch_once(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(LONG)
    mirror.pause = 0.05
    runs = [start(tmp_path, mirror, LONG) for _ in range(2)]
    answers = [run.communicate(timeout=30)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(mirror.asked) == 1
    assert sum("another run of chaosctl to finish getting example" in answer for answer in answers) == 1


def test_kill_in_the_middle_and_again(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/example.test/tool"] = program(2 * LONG)
    mirror.pause = 0.05
    downloads = tmp_path / "toolbox" / "downloads"
    with start(tmp_path, mirror, 2 * LONG) as killed:
        until(lambda: any(p.stat().st_size > 200_000 for p in downloads.glob("*.part")))
        killed.kill()
    assert [p.suffix for p in downloads.iterdir()] == [".part"]
    mirror.pause = 0
    path = Run(tmp_path, mirror.url, bundle("/tool", program(2 * LONG))).path()
    assert path.read_bytes() == program(2 * LONG)
    assert len(mirror.ranges_asked()) == 1
