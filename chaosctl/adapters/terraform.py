"""Terraform, run where it cannot write into the package, told nothing secret on its command line, heard as it works.

python-terraform builds the command lines. It does not run them: it would capture everything until the end, has no
way to interrupt, and no time-out. `process.stream` does, in a session of its own and with the output in a file, so that
Terraform finishes and unlocks the state even when this process is killed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.adapters import process, terraform_lock
from chaosctl.adapters.terraform_messages import Changes, Diagnostic, Messages, PlannedChange, values
from chaosctl.errors import Busy, ChaosctlError, StageFailed
from chaosctl.events import Emit, Step
from chaosctl.waiting import TimedOut, heartbeat, wait_until

PARALLELISM = 40  # Terraform's 10 would queue resources behind those that only wait
INTERRUPT_SECONDS = 120.0  # to let requests in flight end and to save the state
ORPHAN_SECONDS = 3600.0  # an EKS cluster takes a quarter of an hour, its removal as well
TAIL_LINES = 20
LOCKED = "Error acquiring the state lock"
ERRORED_STATE = "errored.tfstate"  # what Terraform writes when it could not store the state
ADOPTION = "adoption.tf"  # import blocks for one apply, in the working copy; whatever is not shipped goes from there
ENDED = (0, 1)  # statuses with which Terraform ends by itself, its state stored
SHIPPED = ("*.tf", "*.tftpl", ".terraform.lock.hcl")
OTHER_ROOTS = ("alarms", "bootstrap", "tests")

REMEDIES = {
    "AccessDenied": "give the credentials in use the permission that is named",
    "AccessDeniedException": "give the credentials in use the permission that is named",
    "UnauthorizedOperation": "give the credentials in use the permission that is named",
    "ExpiredToken": "log in again (for example `aws sso login`), then run the same command",
    "ExpiredTokenException": "log in again (for example `aws sso login`), then run the same command",
    "InvalidClientTokenId": "check the credentials with `aws sts get-caller-identity`",
    "VpcLimitExceeded": "delete a VPC that is not needed, or have the quota L-F678F1CE raised",
    "AddressLimitExceeded": "release an Elastic IP that is not needed, or have the quota L-0263D0A3 raised",
    "VcpuLimitExceeded": "use smaller nodes, or have the quota L-1216C47A raised",
    "NoSuchBucket": "run `chaosctl infra`: it makes the bucket for the state",
    "UnsupportedAvailabilityZoneException": "use another region, or fewer zones (infra.az_count)",
}
REMEDY = "correct what is named, then run the same command again: it carries on from here"


class TerraformFailed(StageFailed):
    """Terraform ended with errors: `diagnostics` has all of them, `aws_code` the first AWS error's name or nothing."""

    def __init__(self, command: str, diagnostics: list[Diagnostic], output: str, log: Path) -> None:
        first = diagnostics[0] if diagnostics else None
        what = f"terraform {command} failed" + (f": {first.summary}" if first else "")
        self.diagnostics = diagnostics
        self.aws_code = next((d.aws_code for d in diagnostics if d.aws_code), "")
        super().__init__(
            " ".join(what.split()),
            code="TERRAFORM-FAILED",
            why="\n".join(map(str, diagnostics)) or f"{output}\n(all of it: {log})".strip(),
            remedy=REMEDIES.get(self.aws_code, REMEDY),
        )


def unlocking(lock: terraform_lock.LockInfo) -> str:
    """How a person removes a lock."""
    return f"`chaosctl infra --unlock {lock.id}`, with --target and --environment as here"


class TerraformLocked(Busy):
    """Somebody else holds the lock on the state."""

    def __init__(self, lock: terraform_lock.LockInfo | None, detail: str) -> None:
        self.lock = lock
        held = str(lock) if lock else detail.strip()
        unlock = f"; if that run is dead for certain: {unlocking(lock)}" if lock else ""
        super().__init__(
            "the Terraform state is locked by another run",
            code="TERRAFORM-LOCKED",
            why=f"held by {held}",
            remedy=f"wait until it has ended{unlock}",
        )


@dataclass(frozen=True)
class Applied:
    """What an apply or a destroy did."""

    changes: Changes
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What an apply would do; `drifted` is what differs from what Terraform left behind."""

    changes: tuple[PlannedChange, ...]
    drifted: tuple[PlannedChange, ...]
    counts: Changes


class Terraform:
    """One root module with its state.

    program     the terraform executable
    sources     directory of the root module, which is only read
    directory   private directory of our own: working copy, plugins, variables, log, record of runs
    cli_config  Terraform CLI configuration that says where providers come from; None leaves that to Terraform
    env         environment for the provider and the backend, such as Target.aws_env
    """

    def __init__(
        self,
        program: Path,
        sources: Path,
        directory: Path,
        *,
        cli_config: Path | None,
        env: Mapping[str, str],
        emit: Emit,
    ) -> None:
        self._program, self._sources, self._emit = program, sources, emit
        self._copy, self._data = directory / "module", directory / "data"
        self._variables, self._log = directory / "variables.tfvars.json", directory / "last.jsonl"
        self._initialised, self._settled = directory / "initialised.json", directory / "settled"
        self._runs = terraform_lock.Runs(directory / "runs.jsonl")
        self._env: dict[str, str | None] = {**env, **self._own_environment(cli_config)}
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _own_environment(self, cli_config: Path | None) -> dict[str, str | None]:
        own = {
            "CHECKPOINT_DISABLE": "1",
            "GOGC": "400",  # at start the provider only builds things up: collecting less often saves a third of that
            "TF_CLI_ARGS": "",
            "TF_DATA_DIR": str(self._data),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "TF_LOG": "",
            "TF_WORKSPACE": "",
        }
        # What the user set for other projects must not change this one; and it may point to a file that is not there.
        others: dict[str, str | None] = {name: "" for name in os.environ if name.startswith("TF_CLI_ARGS_")}
        others |= dict.fromkeys(name for name in os.environ if name.startswith("TF_VAR_"))  # empty is a value too
        return {**others, **own, "TF_CLI_CONFIG_FILE": str(cli_config or os.devnull)}

    def init(self, backend: Mapping[str, str] | None = None) -> None:
        """Install the providers and connect to the state; nothing when the last time was with the same of everything.

        `backend` completes the backend block of the module, for example {"bucket": ...}.
        """
        self._copy_module()
        wanted = json.dumps([self._fingerprint(), dict(backend or {}), str(self._program)], sort_keys=True)
        if self._is_initialised(wanted):
            return
        self._initialised.unlink(missing_ok=True)
        self._run(
            "init",
            json=True,
            input=False,
            lockfile="readonly",
            reconfigure=True,
            backend_config=dict(backend) if backend else None,
        )
        self._initialised.write_text(wanted)

    def _is_initialised(self, wanted: str) -> bool:
        providers = self._data / "providers"
        installed = any(path.is_file() for path in providers.glob("*/*/*/*/*/*")) if providers.is_dir() else False
        return installed and self._initialised.is_file() and self._initialised.read_text() == wanted

    def _fingerprint(self) -> str:
        content = b"".join(str(path).encode() + path.read_bytes() for path in self._shipped())
        return hashlib.sha256(content).hexdigest()

    def _shipped(self) -> list[Path]:
        found = {path for pattern in SHIPPED for path in self._sources.rglob(pattern)}
        return sorted(p for p in found if p.relative_to(self._sources).parts[0] not in OTHER_ROOTS)

    def _copy_module(self) -> None:
        shipped = {self._copy / path.relative_to(self._sources): path.read_bytes() for path in self._shipped()}
        for stale in {path for pattern in SHIPPED for path in self._copy.rglob(pattern)} - shipped.keys():
            stale.unlink()
        for path, content in shipped.items():
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    @property
    def settled(self) -> bool:
        """Whether the last apply or destroy ended by itself here, so that the state knows all that it made."""
        return self._settled.exists()

    def recover(self) -> None:
        """Wait for a Terraform that an earlier run left at work, and store what such a run could not store."""
        self.wait_for_orphan()
        self._store_errored_state()

    def apply(self, variables: Mapping[str, Any], imports: Mapping[str, str] | None = None) -> Applied:
        """Make everything as the module says. Raises TerraformFailed, TerraformLocked.

        `imports` exist already and are taken into the state: ids by address.
        """
        adoption = self._copy / ADOPTION
        adoption.write_text(import_blocks(imports or {}))
        try:
            messages = self._change("apply", variables)
        finally:
            adoption.unlink()
        return Applied(messages.changes, messages.outputs)

    def destroy(self, variables: Mapping[str, Any]) -> Changes:
        """Remove everything that is in the state. Raises TerraformFailed, TerraformLocked."""
        return self._change("destroy", variables).changes

    def _change(self, command: str, variables: Mapping[str, Any]) -> Messages:
        self.recover()
        self._settled.unlink(missing_ok=True)
        return self._unlocking(
            command, json=True, auto_approve=True, input=False, parallelism=PARALLELISM, var_file=self._write(variables)
        )

    def plan(self, variables: Mapping[str, Any]) -> Plan:
        """What an apply would change, without changing anything."""
        messages = self._unlocking(
            "plan", json=True, input=False, parallelism=PARALLELISM, var_file=self._write(variables)
        )
        return Plan(tuple(messages.planned), tuple(messages.drifted), messages.changes)

    def examine(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """A plan as `terraform show -json` tells it: values of all resources, secrets too. Takes no lock."""
        file = self._log.with_name("examined.tfplan")
        try:
            self._run(
                "plan",
                json=True,
                input=False,
                lock=False,
                parallelism=PARALLELISM,
                var_file=self._write(variables),
                out=file,
            )
            shown: dict[str, Any] = json.loads(self._ask("show", str(file), json=True).stdout)
        finally:
            file.unlink(missing_ok=True)
        return shown

    def outputs(self) -> dict[str, Any]:
        """The outputs of the last apply, by name; empty before the first."""
        return values(json.loads(self._ask("output", json=True).stdout or "{}"))

    def known(self) -> frozenset[str]:
        """Ids and ARNs of everything in the state."""
        return identifiers(json.loads(self._ask("state pull").stdout or "{}"))

    def forget(self, addresses: Iterable[str]) -> None:
        """Take what is at these addresses out of the state; nothing is deleted. Those that it has not do not matter."""
        if not self.known():
            return  # `state list` calls it an error when there is no state yet
        stale = sorted(set(self._ask("state list").stdout.split("\n")) & set(addresses))
        if stale:
            self._ask("state rm", *stale)

    def _write(self, variables: Mapping[str, Any]) -> Path:
        """A file for the variables, private: on the command line everybody on the machine could read them."""
        descriptor = os.open(self._variables, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(dict(variables), file, indent=2)
        return self._variables

    def _unlocking(self, command: str, **options: Any) -> Messages:
        """Run a command; when it finds the lock of a dead run of ours, remove that lock and run it again."""
        try:
            return self._run(command, **options)
        except TerraformLocked as error:
            if error.lock is None or not terraform_lock.is_stale(error.lock, self._runs, self._data):
                raise
            self._emit(Step(f"removing the state lock of a run that died ({error.lock})"))
            self._ask("force-unlock", error.lock.id, force=True)
            return self._run(command, **options)

    def _run(self, command: str, **options: Any) -> Messages:
        messages = Messages(self._emit)
        self._runs.begin()
        with heartbeat(f"terraform {command}", self._emit, messages.doing):
            done = process.stream(
                self._argv(command, **options),
                messages,
                env=self._env,
                cwd=self._copy,
                log=self._log,
                interrupt_grace=INTERRUPT_SECONDS,
            )
        if command in ("apply", "destroy") and done.status in ENDED:
            self._settled.touch()
        if done.status != 0:
            raise self._failure(command, messages)
        return messages

    def _ask(self, command: str, *words: str, **options: Any) -> process.Completed:
        done = process.run(self._argv(command, *words, **options), env=self._env, cwd=self._copy, check=False)
        if done.status != 0:
            raise TerraformFailed(command, [], done.stderr.strip(), self._log)
        return done

    def _argv(self, command: str, *words: str, **options: Any) -> list[str]:
        from python_terraform import IsFlagged
        from python_terraform import Terraform as CommandLines

        flags = {name: IsFlagged if value is True else value for name, value in options.items()}
        lines = CommandLines(working_dir=str(self._copy), terraform_bin_path=str(self._program))
        argv: list[str] = lines.generate_cmd_string(command, *words, **flags)
        return argv

    def _failure(self, command: str, messages: Messages) -> ChaosctlError:
        locked = next((d for d in messages.errors if d.summary == LOCKED), None)
        if locked:
            return TerraformLocked(terraform_lock.parse(locked.detail), locked.detail)
        return TerraformFailed(command, messages.errors, "\n".join(messages.plain[-TAIL_LINES:]), self._log)

    def wait_for_orphan(self) -> None:
        """A run that was killed leaves its Terraform at work: stopping it would leave half-made things."""
        try:
            wait_until(
                lambda: (not list(terraform_lock.at_work(self._data)), ""),
                "the end of the Terraform that an earlier run left at work",
                timeout=ORPHAN_SECONDS,
                emit=self._emit,
            )
        except TimedOut as error:
            pids = ", ".join(str(p.pid) for p in terraform_lock.at_work(self._data))
            raise Busy(
                "a Terraform of an earlier run is still at work",
                code="TERRAFORM-AT-WORK",
                why=f"process {pids}, for more than {error.seconds:.0f} s",
                remedy=f"see what it does in {self._log}; `kill -INT {pids}` makes it stop in good order",
            ) from error

    def _store_errored_state(self) -> None:
        """What a run could not store must reach the state before anything else, or what it made is forgotten."""
        errored = self._copy / ERRORED_STATE
        if errored.exists():
            self._emit(Step("storing the state that an earlier run could not store"))
            self._ask("state push", ERRORED_STATE)
            errored.rename(errored.with_suffix(".stored"))


def import_blocks(imports: Mapping[str, str]) -> str:
    """Terraform that takes each id into the state under its address."""
    return "".join(f"import {{\n  to = {to}\n  id = {json.dumps(what)}\n}}\n" for to, what in imports.items())


def identifiers(state: Mapping[str, Any]) -> frozenset[str]:
    """The ids and ARNs in a state file; data sources are not in it."""
    managed = (r for r in state.get("resources", ()) if r["mode"] == "managed")
    attributes = [instance["attributes"] for resource in managed for instance in resource["instances"]]
    return frozenset(str(a[name]) for a in attributes for name in ("id", "arn", "allocation_id") if a.get(name))
