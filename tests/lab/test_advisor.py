"""Six misconfigurations, each deployed in the lab and named from what really happened to real requests.

A story that is told by hand (tests/unit/chaos/test_advisor.py) shows that a rule fits the story; this shows that such a
story happens. The values are those that a user would have got wrong; where the stand-in is too well-behaved, a variable
of its own (chaosctl/lab/standins/backend.py) takes that away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.usefixtures("deployed")]
APP = "chaotic-backend"
GATE = "elbv2.k8s.aws/pod-readiness-gate-inject"
SLOW = "CHAOTIC_BAD_ANSWERS"
LIVES_BEFORE_IT_SERVES = {"CHAOTIC_COLD_START_SECONDS": "10,10", "CHAOTIC_ALIVE_AT_ONCE": "1"}


@dataclass(frozen=True)
class Wrong:
    """A misconfiguration, the fault that brings it to light, and what has to be named.

    gated  pods are Ready only when the load balancer serves them
    """

    values: Mapping[str, Any]
    fault: tuple[str, ...]
    cause: str
    setting: str
    variables: Mapping[str, str] = field(default_factory=dict)
    gated: bool = True


WRONG = {
    "pre-stop": Wrong(
        {"preStopSleepSeconds": 1},
        ("pod-kill",),
        "PRE_STOP",
        "preStopSleepSeconds",
        {SLOW: "0,1", "CHAOTIC_DRAIN_SECONDS": "0"},
    ),
    "readiness gate": Wrong(
        {"probes": {"readiness": {"path": "/health/live"}}},
        ("rolling-restart",),
        "NO_GATE",
        "pod-readiness-gate-inject",
        LIVES_BEFORE_IT_SERVES,
        gated=False,
    ),
    "deregistration delay": Wrong(
        {"ingress": {"deregistrationDelaySeconds": 0}},
        ("pod-kill",),
        "DEREGISTRATION",
        "ingress.deregistrationDelaySeconds",
        {SLOW: "0,1"},
    ),
    "keep-alive": Wrong({}, ("scale",), "KEEP_ALIVE", "keep-alive time-out", {"CHAOTIC_KEEP_ALIVE_RACES": "0.3"}),
    "cold start": Wrong(
        {
            "probes": {"readiness": {"path": "/health/live"}, "startup": {"path": "/health/live"}},
            "ingress": {"healthCheck": {"path": "/health/live"}},
        },
        ("pod-kill",),
        "COLD_START",
        "probes.readiness.path",
        LIVES_BEFORE_IT_SERVES,
    ),
    "crash": Wrong(
        {
            "probes": {"readiness": {"periodSeconds": 5, "failureThreshold": 3}},
            "ingress": {"healthCheck": {"intervalSeconds": 30}},
        },
        ("app-crash",),
        "CRASH",
        "probes.readiness",
    ),
}


def deploy(user: User, wrong: Wrong) -> None:
    """As a user who got that wrong."""
    env = [{"name": name, "value": value} for name, value in wrong.variables.items()]
    with (user.home / "values.yaml").open("w") as file:
        YAML(typ="safe").dump({**wrong.values, "extraEnv": env}, file)
    (user.home / "chaosctl.toml").write_text('[app]\nvalues = "values.yaml"\n')
    user.chaosctl("app")
    if not wrong.gated:  # `app` sets the label, so somebody took it away afterwards, and the pods came later
        user.kubectl("label", "namespace", APP, f"{GATE}=disabled", "--overwrite")
        user.kubectl("-n", APP, "rollout", "restart", f"deployment/{APP}")
        user.kubectl("-n", APP, "rollout", "status", f"deployment/{APP}", "--timeout=300s")


def advice(user: User, wrong: Wrong, seed: int) -> list[dict[str, Any]]:
    """What the run names, the cause of most failures first. Its verdict does not matter here; nor do slow answers."""
    words = ("chaos", "--fault", *wrong.fault, "--seed", str(seed), "--budget-latency", "10", "--json")
    told = user.chaosctl(*words, status=None)
    assert told.returncode in (0, 10, 11, 12), told.stderr[-4000:]  # what fails all the time may leave no steady state
    found: list[dict[str, Any]] = json.loads(told.stdout)["result"]["advice"]
    return found


@pytest.mark.parametrize("name", WRONG)
def test_a_misconfiguration_is_named_with_a_setting_that_avoids_it(user: User, name: str) -> None:
    wrong = WRONG[name]
    deploy(user, wrong)
    found = advice(user, wrong, seed=7)
    assert found, "nothing failed: the misconfiguration did not show"
    assert (found[0]["cause"], wrong.setting in found[0]["setting"]) == (wrong.cause, True), found
