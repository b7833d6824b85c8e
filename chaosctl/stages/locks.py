"""The locks on Terraform's states: who holds them, and taking one away from a holder that died on another machine.

A run of ours that died here loses its lock by itself (adapters/terraform_lock.py). Of another machine nobody here can
tell whether it still works: a person has to say so, with the lock's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaosctl.adapters import terraform_lock
from chaosctl.adapters.aws import Aws
from chaosctl.adapters.terraform_lock import LockInfo
from chaosctl.errors import Busy, UsageProblem
from chaosctl.stages import alarms, infra
from chaosctl.stages.stage import Context

NOT_TERRAFORMS = "not a lock of Terraform's"
STATES = ((infra.STATE_KEY, infra.MAIN), (alarms.STATE_KEY, infra.ALARMS))  # and where Terraform works on each


@dataclass(frozen=True)
class Held:
    """A lock. `info` is None when it says nothing that Terraform would say."""

    state: str  # key of the state in the bucket
    info: LockInfo | None
    directory: Path

    @property
    def runs(self) -> terraform_lock.Runs:
        """The runs of this machine that may have taken it."""
        return terraform_lock.Runs(self.directory / "runs.jsonl")

    @property
    def stale(self) -> bool:
        """Whether it is surely that of a run that died on this machine."""
        return self.info is not None and terraform_lock.is_stale(self.info, self.runs, self.directory / "data")


def held(context: Context, aws: Aws) -> Iterator[Held]:
    """The locks of this environment that somebody holds, dead or alive."""
    for key, directory in STATES:
        if said := infra.lock_file(context, aws, key):
            state = key.format(environment=context.settings.environment)
            yield Held(state, terraform_lock.of_file(said), context.workdir / directory)


def find(context: Context, identifier: str) -> Held:
    """The lock with that id. Raises UsageProblem (LOCK-UNKNOWN) when there is none."""
    there = list(held(context, context.aws))
    for lock in there:
        if lock.info and lock.info.id == identifier:
            return lock
    raise UsageProblem(
        f"no Terraform state of the environment {context.settings.environment} has the lock {identifier}",
        code="LOCK-UNKNOWN",
        why="\n".join(f"{lock.state}: {lock.info or NOT_TERRAFORMS}" for lock in there) or "none is locked",
        remedy="name one that is there; without any there is nothing to do",
    )


def remove(context: Context, identifier: str) -> Held:
    """Take away the lock with that id, and no other. Raises as `find`, and Busy when its holder works here."""
    lock = find(context, identifier)
    assert lock.info is not None
    holder = lock.runs.holder(lock.info)
    working = [p.pid for p in terraform_lock.at_work(lock.directory / "data")]
    if working or (holder and holder.alive):
        raise Busy(
            "the run that holds this lock is at work on this machine",
            code="LOCK-IN-USE",
            why=f"process {', '.join(map(str, working)) or (holder and holder.pid)}; {lock.info}",
            remedy="wait until it has ended",
        )
    bucket = context.target.state_bucket
    context.aws.call("s3", "delete_object", Bucket=bucket, Key=lock.state + infra.LOCK_SUFFIX)
    return lock
