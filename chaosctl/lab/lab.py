"""The lab as a whole: start it, stop it, say how it is. Its parts, in order, are in `Lab.start`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import filelock

from chaosctl import places
from chaosctl.config import Settings
from chaosctl.errors import Busy, PreconditionFailed, StageFailed
from chaosctl.events import Emit, StageFinished, StageStarted, Step
from chaosctl.lab import cleanup, images, machine_image, memory, preflight, upstream
from chaosctl.lab.endpoint import Endpoint
from chaosctl.lab.layout import Layout
from chaosctl.lab.supervisor import Program, Supervisor
from chaosctl.lab.tools import IN_IMAGES, RUNNING
from chaosctl.toolbox import Toolbox
from chaosctl.waiting import TimedOut, heartbeat, wait_until

AWS = "aws"  # name of the supervised program that is the lab's AWS and its reconcilers
START_TIMEOUT = 60.0  # seconds until the AWS endpoint answers; 1 to 5 s in practice


@dataclass(frozen=True)
class LabStatus:
    """How a lab is. `programs` maps each supervised program to supervisord's state name; memory in bytes (PSS)."""

    root: str
    running: bool
    endpoint: str
    programs: Mapping[str, str]
    memory: int
    left: tuple[str, ...]  # what exists on this machine because of the lab


class Lab:
    """One lab on this machine."""

    def __init__(self, layout: Layout, settings: Settings, emit: Emit) -> None:
        self.layout = layout
        self.settings = settings
        self.emit = emit
        self.aws = Endpoint(layout, settings.lab.aws_port)

    @cached_property
    def _supervisor(self) -> Supervisor:
        return Supervisor(self.layout)

    def start(self) -> None:
        """Bring the lab up, or what is missing of it; does nothing when all of it runs."""
        if self._supervisor.running() and self.aws.running():
            return
        started = time.monotonic()
        self.emit(StageStarted("lab", "an AWS on this machine"))
        with self._locked():
            if not self.aws.exists():
                self._remove_remains()
            if not self._supervisor.running():
                preflight.check(self.layout, self.aws.port)
            tools = Toolbox(places.cache_dir(), self.settings.toolbox, self.emit).ensure(*RUNNING, *IN_IMAGES)
            self._prepare(tools)
            self._supervisor.start()
            self._pull(tools)
            self._supervisor.ensure(self._aws_program())
            self._wait_for_aws()
        self.emit(StageFinished("lab", time.monotonic() - started, True, f"AWS answers at {self.aws.url}"))

    def remains(self) -> list[str]:
        """What of the lab is on this machine, one line each. Raises PreconditionFailed where there can be none."""
        preflight.check_platform(self.layout)
        return cleanup.inventory(self.layout)

    def stop(self) -> None:
        """Remove all of the lab from this machine; works on a lab of which only parts are left."""
        started = time.monotonic()
        self.emit(StageStarted("lab", "remove the lab from this machine"))
        with self._locked():
            before = self.remains()
            with heartbeat("the lab's processes to end", self.emit):
                cleanup.remove_everything(self.layout)
            left = self.remains()
        if left:
            raise StageFailed(
                "parts of the lab could not be removed",
                code="LAB-LEFTOVERS",
                why="\n".join(left),
                remedy="run `chaosctl lab stop` again; what is still there after that, something else holds",
            )
        self.emit(StageFinished("lab", time.monotonic() - started, bool(before), "nothing of the lab is left"))

    def status(self) -> LabStatus:
        """How the lab is now; works when it does not run. Raises PreconditionFailed where there can be none."""
        preflight.check_platform(self.layout)
        return LabStatus(
            root=str(self.layout.root),
            running=self.aws.running(),
            endpoint=self.aws.url,
            programs=self._supervisor.programs() if self._supervisor.running() else {},
            memory=memory.of_lab(self.layout),
            left=tuple(self.remains()),
        )

    def logs(self) -> Mapping[str, Path]:
        """The log file of each program, by name."""
        return {path.stem: path for path in sorted(self.layout.logs.glob("*.log"))}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in starting or stopping this lab. Raises Busy (LAB-BUSY) when another run is."""
        path = self.layout.root.parent / f"{self.layout.root.name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise Busy(
                "the lab is being started or stopped by another run",
                code="LAB-BUSY",
                why=f"{path} is locked",
                remedy="wait for the other run to end",
            ) from error
        try:
            yield
        finally:
            if not self.aws.exists():  # refused, or removed: nothing of it stays; who opened the file makes a new one
                path.unlink(missing_ok=True)
            lock.release()

    def _remove_remains(self) -> None:
        """Of a lab that was killed while it was made, or whose directory somebody has deleted."""
        preflight.check_rights(self.layout)
        if self.remains():
            self.emit(Step("removing what is left of an earlier lab"))
            cleanup.remove_everything(self.layout)
        cleanup.forget_deployments(self.layout)

    def _prepare(self, tools: Mapping[str, Path]) -> None:
        for directory in (self.layout.root, self.layout.logs, self.layout.aws, self.layout.images):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        parameters = {
            "aws_port": self.aws.port,
            "tools": {name: str(path) for name, path in tools.items()},
        }
        self.aws.parameters.write_text(json.dumps(parameters))
        built = images.build(self.layout, tools)
        self.emit(Step(f"container images: {', '.join(path.name for path in built)}"))

    def _pull(self, tools: Mapping[str, Path]) -> None:
        """Get the real images now, where a failure can be told, and not when the first node wants them."""
        settings = self.settings
        wanted = upstream.choose(
            self.layout, settings.mirrors, wanted=settings.lab.upstream, autoscaling=settings.infra.node_autoscaling
        ).references
        if not wanted:
            return
        try:
            with heartbeat(f"the images {', '.join(wanted)}", self.emit):
                machine_image.ensure(self.layout, tools, self._supervisor)
        except StageFailed as error:
            raise StageFailed(
                "an image that the lab is to run instead of a stand-in cannot be had",
                code="LAB-UPSTREAM",
                why=error.why or error.what,
                remedy="name a registry that has it in mirrors.images, or set lab.upstream = false",
            ) from error

    def _aws_program(self) -> Program:
        argv = [sys.executable, "-m", "chaosctl.lab.aws", "--root", str(self.layout.root), "--port", str(self.aws.port)]
        # The lab must not act on the caller's account, whatever their environment says.
        env = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        return Program(name=AWS, argv=tuple(argv), env=env, stop_seconds=20)

    def _aws_answers(self) -> bool:
        if self.aws.running():
            return True
        if self._supervisor.programs().get(AWS) == "BACKOFF":
            for what, remedy in preflight.listener(self.layout, self.aws.port):
                raise PreconditionFailed("the lab's AWS cannot listen", code="AWS-PORT-TAKEN", why=what, remedy=remedy)
        return False

    def _wait_for_aws(self) -> None:
        try:
            wait_until(
                lambda: (self._aws_answers(), "no answer yet"),
                f"the lab's AWS at {self.aws.url}",
                timeout=START_TIMEOUT,
                emit=self.emit,
                interval=0.1,
            )
        except TimedOut as error:
            log = self.layout.logs / f"{AWS}.log"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else "it wrote no log"
            raise StageFailed(
                "the lab's AWS did not start",
                code="LAB-AWS-DOWN",
                why=tail,
                remedy="see `chaosctl lab logs aws`; `chaosctl lab stop` and `chaosctl lab start` begin anew",
            ) from error
