"""The lab as a whole: start it, stop it, say how it is. Its parts, in order, are in `Lab.start`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import filelock

from chaosctl import places
from chaosctl.config import Settings
from chaosctl.errors import Busy, PreconditionFailed, StageFailed, Unreachable
from chaosctl.events import Emit, StageFinished, StageStarted, Step
from chaosctl.lab import cleanup, images, machine_image, memory, preflight, upstream
from chaosctl.lab.layout import AWS_ENDPOINT, Layout
from chaosctl.lab.supervisor import Program, Supervisor
from chaosctl.lab.tools import IN_IMAGES, RUNNING
from chaosctl.toolbox import Toolbox
from chaosctl.waiting import TimedOut, heartbeat, wait_until

AWS = "aws"  # name of the supervised program that is the lab's AWS and its reconcilers
RESTART_SECONDS = 20.0  # for the supervisor to start an AWS again that was killed; 2 s in practice
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

    @property
    def endpoint(self) -> str:
        """URL of the lab's AWS on this machine."""
        return f"http://{self.layout.loopback(AWS_ENDPOINT)}:{self._port}"

    @property
    def _port(self) -> int:
        """Of the running lab, whatever the settings say by now."""
        with suppress(OSError, ValueError, KeyError):
            return int(json.loads(self._parameters.read_text())["aws_port"])
        return self.settings.lab.aws_port

    @property
    def _parameters(self) -> Path:
        return self.layout.root / "lab.json"

    @cached_property
    def _supervisor(self) -> Supervisor:
        return Supervisor(self.layout)

    def running(self) -> bool:
        """Whether the lab's AWS answers; that of another lab at the same address does not count."""
        connection = HTTPConnection(self.layout.loopback(AWS_ENDPOINT), self._port, timeout=5)
        try:
            connection.request("GET", "/chaosctl/health")
            answer = connection.getresponse()
            said = json.loads(answer.read())
            return answer.status == HTTPStatus.OK and said.get("lab", str(self.layout.root)) == str(self.layout.root)
        except (OSError, HTTPException, ValueError):
            return False
        finally:
            connection.close()

    def exists(self) -> bool:
        """Whether it was started and not removed since, however it is now."""
        return self._parameters.exists()

    def answers(self) -> bool:
        """Whether there is a lab to work with; one that was just killed gets the time to come back.

        Raises Unreachable (LAB-DIED) when there is one that nobody starts again.
        """
        if not self.exists():
            return False
        if self.running():
            return True
        if self._supervisor.running():
            with suppress(TimedOut):
                return wait_until(
                    lambda: (self.running(), ""),
                    "the lab's AWS, which starts again",
                    timeout=RESTART_SECONDS,
                    emit=self.emit,
                )
        raise Unreachable(
            "the lab does not run",
            code="LAB-DIED",
            why=f"it was started, in {self.layout.root}, but its processes were ended",
            remedy="`chaosctl lab start` starts it again with all that was deployed; `chaosctl lab stop` removes it",
        )

    def account_id(self) -> str:
        """The twelve digits of the lab's AWS account."""
        operator = json.loads((self.layout.aws / "operator.json").read_text())
        return str(operator["Arn"].split(":")[4])

    def start(self) -> None:
        """Bring the lab up, or what is missing of it; does nothing when all of it runs."""
        if self._supervisor.running() and self.running():
            return
        started = time.monotonic()
        self.emit(StageStarted("lab", "an AWS on this machine"))
        with self._locked():
            if not self.exists():
                self._remove_remains()
            if not self._supervisor.running():
                preflight.check(self.layout, self._port)
            tools = Toolbox(places.cache_dir(), self.settings.toolbox, self.emit).ensure(*RUNNING, *IN_IMAGES)
            self._prepare(tools)
            self._supervisor.start()
            self._pull(tools)
            self._supervisor.ensure(self._aws_program())
            self._wait_for_aws()
        self.emit(StageFinished("lab", time.monotonic() - started, True, f"AWS answers at {self.endpoint}"))

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
            running=self.running(),
            endpoint=self.endpoint,
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
            if not self.exists():  # refused, or removed: nothing of it stays, and who opened the file makes a new one
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
            "aws_port": self._port,
            "tools": {name: str(path) for name, path in tools.items()},
        }
        self._parameters.write_text(json.dumps(parameters))
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
        argv = [sys.executable, "-m", "chaosctl.lab.aws", "--root", str(self.layout.root), "--port", str(self._port)]
        # The lab must not act on the caller's account, whatever their environment says.
        env = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        return Program(name=AWS, argv=tuple(argv), env=env, stop_seconds=20)

    def _aws_answers(self) -> bool:
        if self.running():
            return True
        if self._supervisor.programs().get(AWS) == "BACKOFF":
            for what, remedy in preflight.listener(self.layout, self._port):
                raise PreconditionFailed("the lab's AWS cannot listen", code="AWS-PORT-TAKEN", why=what, remedy=remedy)
        return False

    def _wait_for_aws(self) -> None:
        try:
            wait_until(
                lambda: (self._aws_answers(), "no answer yet"),
                f"the lab's AWS at {self.endpoint}",
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
