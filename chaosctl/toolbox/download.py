"""Downloads over HTTP: resumable, verified, with progress; what has no final name is not complete."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chaosctl.events import Emit, Transfer
from chaosctl.toolbox.reach import Reach
from chaosctl.toolbox.trouble import SourceFailed, writing
from chaosctl.waiting import Cancellation

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0
STALL_SECONDS = 20.0  # without a single byte
ATTEMPTS = 4  # each carries on where the last one broke off
REPORT_EVERY = 0.25  # seconds between two Transfer events


def mirrored(url: str, mirror: str) -> str:
    """`https://host/path` as MIRROR/host/path; as it is without a mirror."""
    parts = urlsplit(url)
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}" if mirror else url


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def published(text: str, name: str) -> str:
    """The SHA-256 of `name` in a publisher's checksum file: a bare hash, or lines of hash and name. "" if absent."""
    for line in text.splitlines():
        words = line.split()
        if words and re.fullmatch(r"[0-9a-fA-F]{64}", words[0]):
            named = words[1].lstrip("*").rsplit("/", 1)[-1] if len(words) > 1 else name
            if named == name:
                return words[0].lower()
    return ""


class Downloader:
    """Fetches files into `directory`. One per run; its methods may be called from several threads.

    A host that cannot be connected to, or that stalls before it sends anything, is not asked again.
    """

    def __init__(self, directory: Path, mirror: str, reach: Reach, emit: Emit, cancellation: Cancellation) -> None:
        self._directory = directory
        self._mirror = mirror
        self._reach = reach
        self._emit = emit
        self._cancellation = cancellation
        self._client: httpx.Client | None = None
        self._opening = threading.Lock()
        self._sockets: list[socket.socket] = []

    def source(self, url: str) -> str:
        """Where the file that is published at `url` is really fetched from."""
        return mirrored(url, self._mirror)

    def text(self, url: str) -> str:
        """A small file, such as a list of checksums, from just this URL. Raises SourceFailed, Cancelled."""
        import httpx

        self._require(url)
        try:
            with self._cancellation.calling(self._break_off):
                response = self._http().get(url, extensions={"trace": self._note})
        except httpx.HTTPError as error:
            if isinstance(error, httpx.ConnectError | httpx.TimeoutException):
                self._reach.lost(url)
            raise _broken(url, error) from error
        _check_status(url, response.status_code)
        return response.text

    def file(self, url: str, what: str, *, digest: str, size: int = 0) -> Path:
        """The file at `url`, complete and with SHA-256 `digest`.

        Raises SourceFailed, PreconditionFailed (disk full, cache read-only), Cancelled.
        """
        with writing(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
        name = f"{digest[:12]}-{urlsplit(url).path.rsplit('/', 1)[-1]}"
        final, part = self._directory / name, self._directory / f"{name}.part"
        if final.is_file() and sha256(final) == digest:
            return final
        resumed = part.is_file()
        found = self._whole(url, part, what, size)
        if found != digest and resumed:  # what an earlier run left may be of another file
            part.unlink(missing_ok=True)
            found = self._whole(url, part, what, size)
        if found != digest:
            part.unlink(missing_ok=True)
            raise SourceFailed(
                f"{what}: what {self.source(url)} sends is not what was published",
                code="TOOL-CHECKSUM",
                why=f"SHA-256 is {found}, expected {digest}",
                remedy="somebody on the way may have changed it; look at the URL",
            )
        with writing(self._directory):
            part.rename(final)
        return final

    def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            self._client.close()

    def _http(self) -> httpx.Client:
        import httpx

        with self._opening:
            if self._client is None:
                timeout = httpx.Timeout(STALL_SECONDS, connect=CONNECT_SECONDS)
                self._client = httpx.Client(timeout=timeout, follow_redirects=True)
            return self._client

    def _whole(self, url: str, part: Path, what: str, size: int) -> str:
        """Fill `part` to its end, in as many attempts as make progress, and return its SHA-256."""
        import httpx

        url = self.source(url)
        for attempt in range(1, ATTEMPTS + 1):
            self._cancellation.check()
            self._require(url)
            before = _size(part)
            try:
                with writing(self._directory), self._cancellation.calling(self._break_off):
                    self._append(url, part, what, size)
                    return sha256(part)
            except httpx.HTTPError as error:
                stalled = isinstance(error, httpx.ReadTimeout) and _size(part) == before
                if stalled or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    self._reach.lost(url)
                    raise _broken(url, error) from error
                if attempt == ATTEMPTS:
                    raise _broken(url, error) from error
                self._cancellation.wait(0.2 * attempt)
        raise AssertionError

    def _append(self, url: str, part: Path, what: str, size: int) -> None:
        have = _size(part)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self._http().stream("GET", url, headers=headers, extensions={"trace": self._note}) as response:
            if response.status_code == 416:  # it was complete already, or is of another file: the checksum tells
                return
            _check_status(url, response.status_code)
            if response.status_code != 206:
                have = 0
            length = response.headers.get("Content-Length")
            progress = Progress(what, have, have + int(length) if length else size, self._emit)
            with part.open("ab" if have else "wb") as file:
                for chunk in response.iter_raw():
                    self._cancellation.check()
                    file.write(chunk)
                    progress.add(len(chunk))
                file.flush()
                os.fsync(file.fileno())
            progress.end()

    def _require(self, url: str) -> None:
        """Spare the wait for a host that another request could not get an answer from."""
        if not self._reach.reachable(url):
            raise SourceFailed(f"{url} cannot be fetched", why=f"{urlsplit(url).netloc} cannot be reached")

    def _note(self, event: str, facts: Mapping[str, Any]) -> None:
        """Remember connections as they are made: only their sockets can end a read that waits for a silent host."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(facts["return_value"].get_extra_info("socket"))
            if self._cancellation.is_set():
                self._break_off()

    def _break_off(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):  # closed long ago
                connection.shutdown(socket.SHUT_RDWR)


def _broken(url: str, error: Exception) -> SourceFailed:
    return SourceFailed(f"{url} cannot be fetched", why=str(error) or type(error).__name__)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


class Progress:
    """Turns bytes into Transfer events, a few a second, with the time that remains at the rate so far."""

    def __init__(self, what: str, done: int, total: int, emit: Emit) -> None:
        self._what, self._done, self._total, self._emit = what, done, total, emit
        self._began, self._first, self._said = time.monotonic(), done, 0.0

    def add(self, amount: int) -> None:
        """Some more arrived."""
        self._done += amount
        now = time.monotonic()
        if now - self._said >= REPORT_EVERY:
            self._said = now
            rate = (self._done - self._first) / max(now - self._began, 1e-6)
            known = self._total and rate
            self._emit(
                Transfer(self._what, self._done, self._total, (self._total - self._done) / rate if known else None)
            )

    def end(self) -> None:
        """It is complete."""
        self._emit(Transfer(self._what, self._done, self._done, 0.0))


def _check_status(url: str, status: int) -> None:
    if status >= 400:
        raise SourceFailed(f"{url} cannot be fetched", why=f"the server answers {status}")
