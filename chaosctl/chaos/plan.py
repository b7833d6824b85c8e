"""Who is killed: chosen by seed, within the guard rails, or refused. Pure.

The choice is a ranking by a hash of seed and UID, so that it does not depend on the order in which pods are listed,
nor on the version of Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chaosctl.adapters.pod import Pod
from chaosctl.chaos import cluster
from chaosctl.chaos.cluster import DisruptionBudget, Place
from chaosctl.chaos.experiment import Aim, FaultPlan, Mode, Victim
from chaosctl.errors import Refused, UsageProblem

FORMAT = 1  # of a plan file


def select(aim: Aim, place: Place, pods: Iterable[Pod], budgets: Iterable[DisruptionBudget]) -> FaultPlan:
    """Victims for `aim` among the ready pods that a controller will replace.

    Raises Refused (CHAOS-NO-CANDIDATES, CHAOS-BLAST-RADIUS, CHAOS-PDB) when a guard rail forbids it.
    """
    ready = cluster.ready(pods, place)
    candidates = [pod for pod in ready if pod.owner_uid and pod.uid not in aim.spare]
    wanted = how_many(aim, len(ready))
    if len(candidates) < wanted:
        raise _too_few(wanted, candidates, place)
    chosen = sorted(candidates, key=lambda pod: rank(aim.seed, pod.uid))[:wanted]
    plan = FaultPlan(
        fault="pod-kill",
        mode=aim.mode,
        seed=aim.seed,
        place=place,
        victims=tuple(Victim.of(pod) for pod in chosen),
        ready=len(ready),
    )
    _guard(plan, aim, ready, budgets)
    return plan


def verify(plan: FaultPlan, aim: Aim, place: Place, pods: Iterable[Pod], budgets: Iterable[DisruptionBudget]) -> None:
    """Check, right before the injection, that the cluster is still the one that the plan was made for.

    Raises Refused: CHAOS-OTHER-PLACE when cluster, account, namespace or labels differ, CHAOS-DRIFTED when a victim
    is gone or no longer ready, and as `select` when the guard rails do not allow it any more.
    """
    if plan.place != place:
        raise _other_place(plan.place, place)
    ready = cluster.ready(pods, place)
    present = {pod.uid for pod in ready if pod.owner_uid}
    missing = [victim for victim in plan.victims if victim.uid not in present]
    if missing:
        raise drifted(plan, present)
    _guard(plan, aim, ready, budgets)


def verify_place(plan: FaultPlan, place: Place) -> None:
    """Check that the plan was made for this place. Raises Refused (CHAOS-OTHER-PLACE)."""
    if plan.place != place:
        raise _other_place(plan.place, place)


def drifted(plan: FaultPlan, present: Collection[str]) -> Refused:
    """That victims are not what they were; `present` are the UIDs of those that could be hit now."""
    missing = [victim for victim in plan.victims if victim.uid not in present]
    return Refused(
        "the cluster is no longer the one that the plan was made for",
        code="CHAOS-DRIFTED",
        why="\n".join(f"{victim.name} ({victim.uid}) is gone or not ready" for victim in missing)
        or "the same seed chooses others now, or a victim has changed",
        remedy="make a new plan with --dry-run --json",
    )


def verify_identity(plan: FaultPlan, cluster_identity: str) -> None:
    """Check that this is the cluster that the plan was made for. Raises Refused (CHAOS-OTHER-PLACE)."""
    if plan.place.cluster != cluster_identity:
        raise _other_place(plan.place, replace(plan.place, cluster=cluster_identity))


def rank(seed: int, uid: str) -> bytes:
    """Where the seed puts something among others: sort by this, take the first."""
    return hashlib.sha256(f"{seed}:{uid}".encode()).digest()


def how_many(aim: Aim, ready: int) -> int:
    """Never more than asked for: a percentage is rounded down, but to one at least."""
    if aim.percent is not None:
        return max(1, int(ready * aim.percent / 100))
    return aim.count if aim.count is not None else 1


def _guard(plan: FaultPlan, aim: Aim, ready: Sequence[Pod], budgets: Iterable[DisruptionBudget]) -> None:
    if not aim.consent:
        guard_blast_radius(len(plan.victims), len(ready))
    if plan.mode is not Mode.EVICT and not aim.ignore_pdb:
        guard_budgets({victim.uid for victim in plan.victims}, ready, budgets)


def guard_blast_radius(victims: int, ready: int) -> None:
    """At most half of the ready pods, and one of them left. Raises Refused (CHAOS-BLAST-RADIUS)."""
    if victims * 2 <= ready and victims < ready:
        return
    raise Refused(
        f"killing {victims} of {ready} ready pods is more than half of them",
        code="CHAOS-BLAST-RADIUS",
        why=f"without consent at most {ready // 2} may be killed, and one must stay ready",
        remedy="ask for fewer with --count or --percent, or consent with --yes-really",
    )


def at_once(victims: Sequence[Pod], budgets: Iterable[DisruptionBudget]) -> int:
    """How many of these pods can be gone at the same time when they are evicted: budgets hold the others back."""
    budgets = list(budgets)
    free = sum(not any(budget.covers(pod) for budget in budgets) for pod in victims)
    return free + sum(min(sum(map(b.covers, victims)), b.disruptions_allowed) for b in budgets)


def guard_budgets(victims: Collection[str], ready: Sequence[Pod], budgets: Iterable[DisruptionBudget]) -> None:
    """No more deletions, of pods with these UIDs, than each budget allows now. Raises Refused (CHAOS-PDB)."""
    for budget in budgets:
        hit = sum(pod.uid in victims and budget.covers(pod) for pod in ready)
        if hit > budget.disruptions_allowed:
            raise Refused(
                f"deleting {hit} pods would violate the PodDisruptionBudget {budget.name}",
                code="CHAOS-PDB",
                why=f"it allows {budget.disruptions_allowed} disruptions now; a deletion does not ask it",
                remedy="use --evict, which respects it, or --ignore-pdb",
            )


def _too_few(wanted: int, candidates: Sequence[Pod], place: Place) -> Refused:
    return Refused(
        f"there are not {wanted} pods to kill, but {len(candidates)}",
        code="CHAOS-NO-CANDIDATES",
        why=f"ready pods with a controller that replaces them, in namespace {place.namespace}, labels {place.selector}",
        remedy="ask for fewer, or see with `chaosctl status` why no more are ready",
    )


def _other_place(planned: Place, found: Place) -> Refused:
    pairs = zip(asdict(planned).items(), asdict(found).values(), strict=True)
    return Refused(
        "the plan was made for another place",
        code="CHAOS-OTHER-PLACE",
        why="\n".join(f"{name}: planned {a or 'none'}, found {b or 'none'}" for (name, a), b in pairs if a != b),
        remedy="use the settings that the plan was made with, or make a new one with --dry-run",
    )


_plans = TypeAdapter(FaultPlan)


def to_plain(plan: FaultPlan) -> dict[str, Any]:
    """The plan as the content of a plan file."""
    return {"format": FORMAT, **asdict(plan)}


def all_to_plain(plans: Sequence[FaultPlan]) -> dict[str, Any]:
    """The plans of several steps as the content of a plan file."""
    return {"format": FORMAT, "steps": [asdict(plan) for plan in plans]}


def all_from_json(text: str, source: str) -> tuple[FaultPlan, ...]:
    """The plans in a plan file, one for each step. Raises UsageProblem (CHAOS-PLAN-UNREADABLE).

    `source` names it, for people.
    """
    try:
        data = json.loads(text)
        data = data.get("result", data)  # the whole answer to `--dry-run --json` will do
        data = data.get("plan", data)
        if data.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        plans = tuple(_plans.validate_python(step) for step in data.get("steps", [data]))
        for plan in plans:
            if not plan.victims or len({victim.uid for victim in plan.victims}) < len(plan.victims):
                raise ValueError("it names no victim, or one twice")
    except (ValueError, AttributeError, ValidationError) as error:
        raise _unreadable(source, str(error)) from error
    return plans


def _unreadable(source: str, why: str) -> UsageProblem:
    return UsageProblem(
        f"{source} is not a plan",
        code="CHAOS-PLAN-UNREADABLE",
        why=why,
        remedy="make one: chaosctl chaos --kill-pods --dry-run --json > plan.json",
    )
