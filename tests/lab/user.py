"""A user of chaosctl on a machine of their own: a home, a kubeconfig and a state directory that nothing else uses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from tests.unit.cli.json_schema import mistakes

UP_TIMEOUT = 20 * 60  # seconds; the first run on a machine builds the tools


@dataclass(frozen=True)
class User:
    """Runs programs as a user does: by name, from a shell's environment, looking at output and exit status only."""

    home: Path

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CHAOSCTL_", "KUBE"))}
        return {
            **kept,
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "CHAOSCTL_STATE_DIR": str(self.state),
            "CHAOSCTL_CACHE_DIR": os.environ.get("CHAOSCTL_CACHE_DIR", str(Path.home() / ".cache" / "chaosctl")),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def state(self) -> Path:
        return self.home / "state"

    def run(
        self, *argv: str, status: int | None = 0, timeout: float = 300, **env: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv,
            env={**self.env, **env},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if status is not None:
            shown = f"{verdicts(done.stdout)}{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
            assert done.returncode == status, f"$ {' '.join(argv)}\n{shown}"
        assert "Traceback" not in done.stderr + done.stdout, done.stderr[-8000:]
        return done

    def chaosctl(
        self, *words: str, status: int | None = 0, timeout: float = UP_TIMEOUT, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run("chaosctl", *words, status=status, timeout=timeout, **env)

    def json(self, *words: str, status: int = 0, timeout: float = UP_TIMEOUT) -> Any:
        """Result of `chaosctl ... --json`."""
        told = json.loads(self.chaosctl(*words, "--json", status=status, timeout=timeout).stdout)
        assert mistakes(told) == [], "that is not what `chaosctl schema` promises"
        return told["result"]

    @cached_property
    def tools(self) -> dict[str, str]:
        """Programs that chaosctl found or fetched; a fresh machine has neither kubectl nor helm of its own."""
        return {tool["tool"]: tool["path"] for tool in self.json("tools")["tools"]}

    def kubectl(self, *words: str, status: int = 0) -> str:
        return self.run(self.tools["kubectl"], "--context", "chaotic-backend-cluster", *words, status=status).stdout

    def aws(self, service: str) -> Any:
        """A boto3 client of the lab's AWS, with the credentials that `chaosctl lab env` shows."""
        lines = self.chaosctl("lab", "env").stdout.splitlines()
        env = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
        make: Any = boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_REGION"])
        return make.client(service, endpoint_url=env["AWS_ENDPOINT_URL"])

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start chaosctl and return at once."""
        return subprocess.Popen(
            ("chaosctl", *words),
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def verdicts(stdout: str) -> str:
    """Of a chaos run's JSON, each step's verdict with its reasons: too far above its last lines to be seen in those."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        result = json.loads(stdout)["result"]
        return "".join(f"{step['verdict']}: {step['reasons']}\n" for step in result.get("steps", [result]))
    return ""


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)
