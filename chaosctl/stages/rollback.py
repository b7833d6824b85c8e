"""Going back: when an upgrade of the app fails, the revision that served last is put back, and the next run says so.

What has to be remembered are annotations of the app's Deployment: they live as long as the release does, an interrupted
run leaves them, and whoever runs chaosctl next, from wherever, finds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from chaosctl.adapters.helm import Helm
from chaosctl.adapters.kube import DEPLOYMENTS, SECRETS, Kube, Object
from chaosctl.adapters.pod import Pod
from chaosctl.errors import ChaosctlError, StageFailed
from chaosctl.events import Emit, Warned
from chaosctl.stages.readiness import rolled_out, selector_of, wait_for_rollout
from chaosctl.waiting import heartbeat

SERVED = "chaosctl.dev/served-revision"  # the latest revision of the release that was seen to serve
ROLLED_BACK = "chaosctl.dev/rolled-back"  # RolledBack as JSON, until an upgrade succeeds
SECONDS = 20.0  # for what served before to be complete again; its pods were never taken away
SAID = 600  # characters of the reason that are kept


@dataclass(frozen=True)
class RolledBack:
    """An upgrade that failed, to the revision `failed`. What serves since is `revision`, with the content of `to`."""

    failed: int
    to: int
    revision: int
    at: str  # RFC 3339
    why: str

    def __str__(self) -> str:
        return (
            f"the upgrade to revision {self.failed} failed and was rolled back to revision {self.to} "
            f"({self.at}): {self.why}"
        )


def last_rollback(kube: Kube, namespace: str, release: str) -> RolledBack | None:
    """What became of the last upgrade when it failed; None when it did not, or something was installed since."""
    told = _annotations(kube.get(DEPLOYMENTS, release, namespace)).get(ROLLED_BACK)
    if not told:
        return None
    found = RolledBack(**json.loads(told))
    return found if found.revision == _latest(kube, namespace, release)[0] else None


class Revisions:
    """Which revision of the app's release serves, and the way back to it.

    reachable  says in words what a load balancer lacks for these pods, as `wait_for_rollout` takes it
    """

    def __init__(
        self, helm: Helm, kube: Kube, namespace: str, release: str, reachable: Callable[[list[Pod]], str], emit: Emit
    ) -> None:
        self._helm, self._kube, self._reachable, self._emit = helm, kube, reachable, emit
        self._namespace, self._release = namespace, release

    def look(self) -> None:
        """Tell what became of the last upgrade, and note what serves now, whoever installed it."""
        if past := last_rollback(self._kube, self._namespace, self._release):
            self._emit(Warned(str(past), "what is wanted now is compared with what serves, and tried if it differs"))
        revision, status = _latest(self._kube, self._namespace, self._release)
        if status == "deployed" and revision != self.served() and self._complete():
            self._annotate({SERVED: str(revision)})

    def _complete(self) -> bool:
        """Whether all that is installed is ready and gets traffic."""
        deployment = self._deployment()
        if deployment is None or rolled_out(deployment):
            return False
        return not self._reachable(self._kube.ready_pods(self._namespace, selector_of(deployment)))

    def served(self) -> int | None:
        """The latest revision that was seen to serve; None before the first."""
        noted = _annotations(self._deployment()).get(SERVED)
        return int(noted) if noted else None

    def serves(self, revision: int) -> None:
        """Note that this revision serves: the way back from the next one leads here."""
        self._annotate({SERVED: str(revision), ROLLED_BACK: None})

    def roll_back(self, error: StageFailed) -> StageFailed:
        """Undo the upgrade that `error` ended, if there was one, and return the error that says so.

        That is `error` itself when nothing else served before.
        """
        failed, good = _latest(self._kube, self._namespace, self._release)[0], self.served()
        if good is None or failed == good or self._same(failed, good):
            return error
        self._emit(Warned(error.what, f"the revision {good}, which served before, is put back"))
        try:
            revision = self._put_back(good)
        except ChaosctlError as second:
            return _stuck(error, good, second)
        past = RolledBack(failed, good, revision, datetime.now(UTC).isoformat(timespec="seconds"), _short(error))
        self._annotate({SERVED: str(revision), ROLLED_BACK: json.dumps(asdict(past))})
        return StageFailed(
            f"the upgrade of {self._namespace}/{self._release} to revision {failed} failed, and was rolled back "
            f"to revision {good}, which serves",
            code="ROLLED-BACK",
            why=f"{error.what}\n{error.why}",
            remedy=error.remedy,
        )

    def _put_back(self, good: int) -> int:
        """Returns the new revision, when all its pods are ready and get traffic."""
        with heartbeat(f"helm to roll {self._release} back", self._emit):
            self._helm.rollback(self._release, self._namespace, good)
        wait_for_rollout(
            self._kube, self._namespace, self._release, timeout=SECONDS, emit=self._emit, also=self._reachable
        )
        return _latest(self._kube, self._namespace, self._release)[0]

    def _same(self, one: int, other: int) -> bool:
        """Whether both revisions are the same objects: an upgrade only put right what somebody had changed."""
        first, second = (self._helm.release(self._release, self._namespace, n) for n in (one, other))
        return bool(first and second and first.renders_like(second))

    def _deployment(self) -> Object | None:
        return self._kube.get(DEPLOYMENTS, self._release, self._namespace)

    def _annotate(self, changed: dict[str, str | None]) -> None:
        there = _annotations(self._deployment())
        if any(there.get(key) != value for key, value in changed.items()):
            change = {"metadata": {"annotations": changed}}
            self._kube.patch(DEPLOYMENTS, self._release, change, self._namespace)


def _latest(kube: Kube, namespace: str, release: str) -> tuple[int, str]:
    """Number and status of the latest revision, from the labels of Helm's own records; (0, "") when there is none."""
    records = kube.list(SECRETS, namespace, labels=f"owner=helm,name={release}")
    labels = [record["metadata"]["labels"] for record in records]
    return max(((int(label["version"]), str(label["status"])) for label in labels), default=(0, ""))


def _annotations(deployment: Object | None) -> dict[str, str]:
    return dict((deployment or {"metadata": {}})["metadata"].get("annotations") or {})


def _short(error: StageFailed) -> str:
    """What failed and why, in one line, without what the app has logged: that is not ours to keep."""
    lines = [line for line in error.why.splitlines() if not line.startswith("log: ")]
    return "; ".join([error.what, *lines])[:SAID]


def _stuck(error: StageFailed, good: int, second: ChaosctlError) -> StageFailed:
    return StageFailed(
        f"{error.what}; and putting revision {good} back failed too",
        code="ROLLBACK-FAILED",
        why=f"{error.why}\nputting it back: {second}",
        remedy=second.remedy or error.remedy,
    )
