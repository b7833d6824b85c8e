"""The state of the lab's AWS on disk: it survives a restart, also after kill -9."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict

from chaosctl.errors import PreconditionFailed
from chaosctl.lab.aws import pickling
from chaosctl.lab.aws.world import LOCK
from chaosctl.lab.complaints import Complaint

log = logging.getLogger(__name__)

QUIET = 1.0  # seconds without a change after which it is saved
AT_MOST = 5.0  # seconds that a change may wait for quiet
RETRY = 5.0  # seconds after which what could not be saved is tried again
MAGIC = b"chaosctl-aws-1\n"

# (module, attribute) under which moto publishes a service -> account -> region -> backend
Graph = dict[tuple[str, str], dict[str, dict[str, Any]]]


def snapshot() -> bytes:
    """Everything that every service keeps, consistent."""
    with LOCK:
        graph: Graph = {
            _published(service): {account: dict(regions.items()) for account, regions in service.items()}
            for service in list(BackendDict._instances)
        }
        return pickling.dumps(graph)


def _published(service: Any) -> tuple[str, str]:
    models = f"moto.{service.service_name.replace('-', '')}.models"
    candidates = [models, *(name for name in sys.modules if name.startswith("moto.") and name.endswith(".models"))]
    for name in candidates:
        for attribute, value in vars(sys.modules[name]).items() if name in sys.modules else ():
            if value is service:
                return name, attribute
    raise LookupError(service.service_name)


def restore(data: bytes) -> None:
    """Put back what `snapshot` took, in place of what is there."""
    graph: Graph = pickling.loads(data)
    with LOCK:
        for (module, attribute), accounts in graph.items():
            service = getattr(importlib.import_module(module), attribute)
            for account, regions in accounts.items():
                known = service[account]
                for region, backend in regions.items():
                    dict.__setitem__(known, region, backend)


def load(file: Path) -> bool:
    """Restore from `file`; False when there is none.

    Raises PreconditionFailed (AWS-STATE-DAMAGED) when it cannot be read; the damaged file is kept beside it.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return False
    try:
        restore(_checked(content))
    except Exception as error:  # a damaged pickle can raise anything
        aside = file.with_name(f"{file.name}.damaged-{int(time.time())}")
        file.rename(aside)
        raise PreconditionFailed(
            "the state of the lab's AWS cannot be read",
            code="AWS-STATE-DAMAGED",
            why=f"{type(error).__name__}: {error}; the file was kept as {aside}",
            remedy="run `chaosctl lab stop` to remove what is left of the lab, then `chaosctl up`",
        ) from error
    return True


def _checked(content: bytes) -> bytes:
    magic, digest, data = content[: len(MAGIC)], content[len(MAGIC) :][:32], content[len(MAGIC) + 32 :]
    if magic != MAGIC or hashlib.sha256(data).digest() != digest:
        raise ValueError("its checksum is wrong")
    return data


def save(file: Path) -> None:
    """Write the state to `file`: the old one or the new one is there at any moment, also after a power cut."""
    started = time.monotonic()
    data = snapshot()
    draft = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(MAGIC + hashlib.sha256(data).digest() + data)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    log.debug("saved %d bytes in %.2f s", len(data), time.monotonic() - started)


class Saver:
    """Saves after changes, on a thread: once it is quiet for a second, and at least every five. Tries until it can."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._last = 0.0
        self._complaint = Complaint(log)
        self._thread = threading.Thread(target=self._run, name="saver", daemon=True)

    def start(self) -> None:
        """Begin to watch for changes."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def changed(self) -> None:
        """Something changed; returns at once."""
        self._last = time.monotonic()
        self._changed.set()

    def stop(self) -> None:
        """Save what is not saved yet, and end."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._changed.wait()
            self._settle()
            self._changed.clear()
            stopping = self._stopping.is_set()  # looked at before saving: what changes meanwhile is saved once more
            if not self._saved():
                self._changed.set()  # nobody may change anything for a long time
                self._stopping.wait(RETRY)

    def _saved(self) -> bool:
        try:
            save(self._file)
        except Exception as error:  # noqa: BLE001 - a full disk must not end the lab
            self._complaint.about("the state could not be saved", error)
            return False
        self._complaint.settled()
        return True

    def _settle(self) -> None:
        begun = time.monotonic()
        while not self._stopping.is_set():
            now = time.monotonic()
            wait = min(self._last + QUIET, begun + AT_MOST) - now
            if wait <= 0:
                return
            self._stopping.wait(wait)
