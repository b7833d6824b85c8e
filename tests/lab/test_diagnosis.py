"""Faults seeded into a real cluster are named, with object, reason, event and log, soon after they are final.

`benchmarks/diagnosis.py` measures how soon.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import pytest

from chaosctl.adapters.kube import DISRUPTION_BUDGETS, EvictionBlocked, Kube
from chaosctl.events import ignore
from chaosctl.stages.diagnosis import BUDGET, Evidence, causes
from chaosctl.waiting import wait_until
from tests.lab.faults import FAULTS, TIMEOUT, Ended, cluster, seed_all
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak]
APP = "chaotic-backend"


@pytest.fixture(scope="module")
def kube(user: User) -> Iterator[Kube]:
    with cluster(user) as kube:
        yield kube


@pytest.fixture(scope="module")
def ended(kube: Kube) -> dict[str, Ended]:
    return seed_all(kube)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(ended: dict[str, Ended], name: str) -> None:
    error = ended[name].error
    assert error.code == "NOT-READY"
    assert name.replace("-", " ") in error.what
    assert FAULTS[name].object in error.why
    for part in FAULTS[name].says:
        assert part in error.why


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "failing-readiness"])
def test_nobody_waits_for_what_is_hopeless(ended: dict[str, Ended], name: str) -> None:
    assert ended[name].seconds < TIMEOUT
    assert not math.isnan(ended[name].since)


def test_a_readiness_that_may_still_come_gets_its_time(ended: dict[str, Ended]) -> None:
    assert ended["failing-readiness"].seconds >= TIMEOUT


def test_a_disruption_budget_that_blocks_is_named(kube: Kube) -> None:
    kube.patch(DISRUPTION_BUDGETS, "coredns", {"spec": {"maxUnavailable": 0}}, "kube-system")
    wait_until(lambda: (_is_strict(kube), "its status"), "the budget to be observed", timeout=30, emit=ignore)
    pod = kube.ready_pods("kube-system", "k8s-app=kube-dns")[0]
    with pytest.raises(EvictionBlocked) as refused:
        kube.evict("kube-system", pod.name, uid=pod.uid)
    budgets = kube.list(DISRUPTION_BUDGETS, "kube-system")
    cause = causes(Evidence(budgets=budgets, errors=[refused.value.why]))[0]
    assert (cause.fault, cause.object) == (BUDGET, "PodDisruptionBudget kube-system/coredns")
    kube.patch(DISRUPTION_BUDGETS, "coredns", {"spec": {"maxUnavailable": 1}}, "kube-system")


def _is_strict(kube: Kube, name: str = "coredns", namespace: str = "kube-system") -> bool:
    found = kube.get(DISRUPTION_BUDGETS, name, namespace) or {}
    return bool(found.get("status", {}).get("disruptionsAllowed") == 0)


def test_credentials_that_are_over_are_named(user: User, kube: Kube) -> None:
    """As of a shell into which somebody exported the credentials of a session this morning."""
    told = dict(re.findall(r"^export (AWS_\w+)=(\S+)$", user.chaosctl("lab", "env").stdout, re.MULTILINE))
    over = {**told, "CHAOSCTL_TARGET": "aws", "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}
    found = json.loads(user.chaosctl("doctor", "--json", status=3, **over).stdout)["result"]["findings"]
    (named,) = [finding for finding in found if finding["level"] == "problem"]
    assert (named["origin"], named["what"].partition(":")[0]) == (
        "AWS-CREDENTIALS",
        "AWS does not accept these credentials",
    )
    assert "log in again" in named["remedy"]


def test_subnets_without_their_tag_are_named_and_infra_puts_it_back(user: User, kube: Kube) -> None:
    user.chaosctl("controller")
    ec2 = user.aws("ec2")
    tag = {"Key": "kubernetes.io/role/elb", "Value": "1"}
    tagged = ec2.describe_subnets(Filters=[{"Name": f"tag:{tag['Key']}", "Values": ["1"]}])["Subnets"]
    ec2.delete_tags(Resources=[subnet["SubnetId"] for subnet in tagged], Tags=[tag])
    refused = user.chaosctl("app", status=5)
    assert "[INGRESS-NOT-RECONCILED]" in refused.stderr
    assert "subnet tags: Ingress chaotic-backend/chaotic-backend" in refused.stderr
    user.chaosctl("infra")
    user.chaosctl("app")


def test_a_disruption_budget_that_blocks_is_named_to_who_would_break_it(user: User, kube: Kube) -> None:
    """On the command line; the app of the test before is there."""
    kube.patch(DISRUPTION_BUDGETS, APP, {"spec": {"minAvailable": 3}}, APP)
    wait_until(lambda: (_is_strict(kube, APP, APP), "its status"), "it to be observed", timeout=30, emit=ignore)
    refused = user.chaosctl("chaos", "--kill-pods", "--dry-run", status=14)
    assert "[CHAOS-PDB]" in refused.stderr
    assert f"would violate the PodDisruptionBudget {APP}" in refused.stderr
    assert "allows 0 disruptions now" in refused.stderr
    user.chaosctl("app")
    user.chaosctl("chaos", "--kill-pods", "--dry-run")
