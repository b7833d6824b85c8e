"""Starts, restarts and stops the lab's processes: supervisord, with one file per program.

supervisord daemonizes, so it and all that it runs survive the command that started it. Every process carries
layout.marker in its environment; that is how orphans are found when supervisord itself was killed.
"""

from __future__ import annotations

import http.client
import os
import shlex
import socket
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaosctl.adapters import process
from chaosctl.errors import StageFailed, Unreachable
from chaosctl.events import ignore
from chaosctl.lab import processes
from chaosctl.lab.layout import Layout
from chaosctl.waiting import TimedOut, wait_until

RPC_TIMEOUT = 60.0  # seconds; stopping a program is one call and lasts as long as its stop_seconds
ORPHAN_GRACE = 5.0  # seconds that orphans of a killed supervisord get to end by themselves
# The rest of the caller's environment stays outside of the lab: credentials, proxies.
PASSED_ON = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME")

DAEMON = """\
[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
identifier={identifier}
pidfile={pidfile}
directory={root}
logfile={log}
logfile_maxbytes=5MB
logfile_backups=1
silent=true
{user}
[include]
files={programs}/*.ini
"""

PROGRAM = """\
[program:{name}]
command={command}
directory={directory}
environment={environment}
autostart=true
autorestart=true
startsecs=1
startretries=1000000
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
stopasgroup={as_group}
killasgroup={as_group}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""


@dataclass(frozen=True)
class Program:
    """A process to keep running.

    netns       name of the network namespace in which it runs
    mount_ns    file that holds the mount namespace in which it runs
    as_group    also stop what it started itself; not for a containerd, whose containers must outlive it
    group       programs of one group can be removed together
    revision    what else it depends on, a digest of its configuration for example: another one restarts it
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    netns: str | None = None
    mount_ns: Path | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    as_group: bool = True
    group: str = ""
    revision: str = ""


def command(program: Program) -> tuple[str, ...]:
    """The command line of a program, through nsenter where it runs in namespaces of its own."""
    namespaces = []
    if program.mount_ns:
        namespaces.append(f"--mount={program.mount_ns}")
    if program.netns:
        namespaces.append(f"--net=/run/netns/{program.netns}")
    return ("nsenter", *namespaces, "--", *program.argv) if namespaces else program.argv


def render(program: Program, layout: Layout) -> str:
    """The ini file of a program. Raises ValueError for text that supervisord's format cannot hold."""
    env = {**program.env, "LAB_UNIT": program.name}
    if program.group:
        env["LAB_GROUP"] = program.group
    if program.revision:
        env["LAB_REVISION"] = program.revision
    return PROGRAM.format(
        name=program.name,
        command=_ini(shlex.join(command(program))),
        directory=_ini(str(layout.root)),
        environment=",".join(f"{key}={_quoted(value)}" for key, value in env.items()),
        stop_signal=program.stop_signal,
        stop_seconds=program.stop_seconds,
        as_group="true" if program.as_group else "false",
        log=_ini(str(layout.logs / f"{program.name}.log")),
    )


def _quoted(value: str) -> str:
    if '"' in value:
        raise ValueError(f"supervisord cannot pass a double quote in an environment variable: {value}")
    return f'"{_ini(value)}"'


def _ini(text: str) -> str:
    # supervisord expands %(name)s, and takes what follows a blank and ; or # for a comment.
    if "\n" in text or " ;" in text or " #" in text:
        raise ValueError(f"supervisord's configuration cannot hold {text!r}")
    return text.replace("%", "%%")


def pid(layout: Layout) -> int:
    """The process of a lab's supervisord by its PID file; 0 when it does not run, whoever has that number now."""
    try:
        found = int(pid_file(layout).read_text())
        words = Path(f"/proc/{found}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return found if os.fsencode(_daemon_config(layout)) in words else 0


def pid_file(layout: Layout) -> Path:
    """Where supervisord writes its process id."""
    return layout.run / "supervisord.pid"


def _daemon_config(layout: Layout) -> Path:
    return layout.root / "supervisord.conf"


class _UnixConnection(http.client.HTTPConnection):
    """With a time-out, which SupervisorTransport of supervisor has not: a daemon that hangs would hold us for ever."""

    def __init__(self, path: Path) -> None:
        super().__init__("supervisord", timeout=RPC_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(RPC_TIMEOUT)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._unix = _UnixConnection(path)

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return self._unix

    def close(self) -> None:
        self._unix.close()


class Supervisor:
    """supervisord of one lab. Safe from any thread and from several processes at once."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._programs = layout.root / "programs"
        self._socket = layout.run / "supervisor.sock"

    def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            with self._rpc() as rpc:
                return bool(rpc.getState()["statename"] == "RUNNING")
        except Unreachable:
            return False

    def start(self) -> None:
        """Start supervisord and every program that it knew; does nothing while it runs.

        What a killed supervisord left behind is ended first, except for containers and their shims: a containerd finds
        those again by itself. Raises StageFailed (LAB-SUPERVISOR-DOWN).
        """
        if self.running():
            return
        self._prepare()
        self._end_orphans()
        self._socket.unlink(missing_ok=True)
        process.run(self._daemon_command(), timeout=30)
        try:
            wait_until(lambda: (self.running(), ""), "supervisord answers", timeout=15, emit=ignore, interval=0.02)
        except TimedOut as error:
            raise StageFailed(
                "the lab's supervisor did not start",
                code="LAB-SUPERVISOR-DOWN",
                why=str(error),
                remedy=f"see {self.layout.logs / 'supervisord.log'}",
            ) from error

    def stop(self) -> None:
        """Stop every program, then supervisord; returns when both are gone."""
        daemon = pid(self.layout)
        try:
            with self._rpc() as rpc:
                rpc.shutdown()
        except Unreachable:
            return
        if daemon:
            with suppress(TimedOut):
                wait_until(
                    lambda: (not Path(f"/proc/{daemon}").exists(), ""),
                    "supervisord ends",
                    timeout=RPC_TIMEOUT,
                    emit=ignore,
                    interval=0.05,
                )

    def ensure(self, program: Program) -> None:
        """Run `program` and keep it running; restarts it when something about it changed, else does nothing."""
        text = render(program, self.layout)
        file = self._programs / f"{program.name}.ini"
        changed = not file.exists() or file.read_text() != text
        if changed:
            partial = file.with_suffix(f".{os.getpid()}.part")
            partial.write_text(text)
            partial.rename(file)
        with self._rpc() as rpc:
            state = self._states(rpc).get(program.name)
            if changed and state:
                self._forget(rpc, program.name)
            if changed or not state:
                rpc.reloadConfig()
                rpc.addProcessGroup(program.name)
            elif state in ("STOPPED", "EXITED", "FATAL"):
                rpc.startProcess(program.name, False)

    def remove(self, *names: str) -> None:
        """Stop programs, all at the same time, and forget them. Names that are not known are ignored."""
        for name in names:
            (self._programs / f"{name}.ini").unlink(missing_ok=True)
        with self._rpc() as rpc:
            known = [name for name in names if name in self._states(rpc)]
            for name in known:
                with suppress(xmlrpc.client.Fault):  # it may have ended by itself
                    rpc.stopProcess(name, False)
            for name in known:
                self._forget(rpc, name)
            rpc.reloadConfig()

    def remove_group(self, group: str) -> None:
        """Remove all programs of a group."""
        mark = f'LAB_GROUP="{group}"'
        self.remove(*(file.stem for file in self._programs.glob("*.ini") if mark in file.read_text()))

    def programs(self) -> Mapping[str, str]:
        """State of each program: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED or FATAL.

        Raises Unreachable (LAB-SUPERVISOR-GONE) when supervisord does not run.
        """
        with self._rpc() as rpc:
            return self._states(rpc)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal, HUP for example, to a running program. Raises KeyError when it does not run."""
        with self._rpc() as rpc:
            try:
                rpc.signalProcess(name, signal)
            except xmlrpc.client.Fault as fault:
                raise KeyError(f"{name} does not run: {fault.faultString}") from fault

    def _states(self, rpc: Any) -> dict[str, str]:
        return {info["name"]: info["statename"] for info in rpc.getAllProcessInfo()}

    def _forget(self, rpc: Any, name: str) -> None:
        with suppress(xmlrpc.client.Fault):
            rpc.stopProcess(name)
        deadline = time.monotonic() + RPC_TIMEOUT
        while True:
            try:
                rpc.removeProcessGroup(name)
            except xmlrpc.client.Fault as fault:
                if "STILL_RUNNING" not in fault.faultString or time.monotonic() > deadline:
                    return
                time.sleep(0.05)
            else:
                return

    def _prepare(self) -> None:
        for directory in (self.layout.root, self.layout.logs, self._programs, self.layout.run):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._config.write_text(
            DAEMON.format(
                socket=_ini(str(self._socket)),
                identifier=self.layout.cgroup,
                pidfile=_ini(str(pid_file(self.layout))),
                root=_ini(str(self.layout.root)),
                log=_ini(str(self.layout.logs / "supervisord.log")),
                user="user=0\n" if os.getuid() == 0 else "",  # what USER says may be whoever became root
                programs=_ini(str(self._programs)),
            )
        )

    @property
    def _config(self) -> Path:
        return _daemon_config(self.layout)

    def _daemon_command(self) -> tuple[str, ...]:
        marker = "=".join(self.layout.marker)
        passed_on = [f"{key}={os.environ[key]}" for key in PASSED_ON if key in os.environ]
        passed_on += [f"{key}={value}" for key, value in os.environ.items() if key.startswith("CHAOSCTL_")]
        daemon = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        return ("env", "-i", *passed_on, marker, *daemon)

    def _end_orphans(self) -> None:
        orphans = [p for p in processes.with_marker(self.layout.marker) if not processes.is_shim(p)]
        processes.end(orphans, grace=ORPHAN_GRACE)

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        proxy = xmlrpc.client.ServerProxy("http://supervisord", transport=_UnixTransport(self._socket))
        try:
            yield proxy.supervisor
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                "the lab's supervisor does not answer",
                code="LAB-SUPERVISOR-GONE",
                why=f"{self._socket}: {error}",
                remedy="run `chaosctl lab start`, which starts it again",
            ) from error
        finally:
            proxy("close")()
